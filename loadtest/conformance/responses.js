// What a response holds.
// run: => 0
import http from 'k6/http';
import { saw, tried, hex } from './lib/saw.js';

const url = __ENV.URL;

export default function () {
  const response = http.get(`${url}/headers`);
  saw('headers', ['X-One', 'X-Two-Parts', 'X-Many', 'x-one'].map((n) => response.headers[n]));
  saw('url', [response.url === `${url}/headers`, response.request.url === `${url}/headers`]);
  saw('kinds', ['body', 'headers', 'status', 'timings', 'cookies', 'error', 'error_code', 'proto',
    'remote_ip', 'remote_port', 'tls_version', 'tls_cipher_suite', 'ocsp', 'request', 'status_text']
    .map((name) => `${name} ${typeof response[name]}`));
  saw('timings', Object.keys(response.timings).sort());
  saw('ocsp', response.ocsp);
  saw('remote', [response.remote_ip, response.remote_port === Number(url.split(':')[2])]);
  saw('proto', [response.proto, response.tls_version, response.tls_cipher_suite]);
  for (const status of [200, 201, 204, 304, 400, 404, 418, 429, 500, 503, 599]) {
    const r = http.get(`${url}/status/${status}`);
    saw(`status ${status}`, [r.status, r.error_code, r.error !== '', r.body]);
  }
  saw('empty', http.get(`${url}/headers`).body);
  saw('text', http.get(`${url}/binary`).body.length > 0);
  const binary = http.get(`${url}/binary`, { responseType: 'binary' }).body;
  saw('binary', [binary.constructor.name, binary.byteLength, hex(binary).slice(0, 8)]);
  saw('none', http.get(`${url}/bytes/10`, { responseType: 'none' }).body);
  saw('text type', http.get(`${url}/bytes/10`, { responseType: 'text' }).body);
  saw('long', http.get(`${url}/bytes/300000`).body.length);
  tried('bad type', () => http.get(`${url}/`, { responseType: 'nonsense' }).status);
  const zipped = http.get(`${url}/gzip`);
  saw('gzip', [zipped.body, zipped.headers['Content-Encoding'], zipped.headers['Content-Length']]);
  const garbage = http.get(`${url}/garbage`);
  saw('garbage', [garbage.status, garbage.error_code, garbage.body]);
  const sent = http.post(`${url}/echo`, 'x'.repeat(500), { compression: 'gzip' }).json();
  saw('sent gzip', [sent.headers['content-encoding'], sent.length < 100]);
  const twice = http.post(`${url}/echo`, 'x'.repeat(500), { compression: 'gzip, deflate' }).json();
  saw('sent twice', twice.headers['content-encoding']);
  tried('bad compression', () => http.post(`${url}/echo`, 'x', { compression: 'nonsense' }).status);
}
