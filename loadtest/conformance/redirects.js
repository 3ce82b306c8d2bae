// Redirects, followed and not.
// run: => 0
// run: --max-redirects 2 => 0
// run: --max-redirects 0 => 0
import http from 'k6/http';
import { saw } from './lib/saw.js';

const url = __ENV.URL;
const path = (address) => address.replace(url, '');
export const options = { thresholds: { 'http_reqs{status:302}': ['count>0'] } };

function show(what, response) {
  saw(what, [response.status, path(response.url), response.error_code, response.error !== '']);
}

export default function () {
  show('one', http.get(`${url}/redirect/1`));
  show('two', http.get(`${url}/redirect/2`));
  show('five', http.get(`${url}/redirect/5`));
  show('eleven', http.get(`${url}/redirect/11`));
  show('none', http.get(`${url}/redirect/1`, { redirects: 0 }));
  show('at most one', http.get(`${url}/redirect/3`, { redirects: 1 }));
  saw('location', http.get(`${url}/redirect/1`, { redirects: 0 }).headers.Location);
  for (const status of [301, 302, 303, 307, 308]) {
    for (const method of ['GET', 'POST', 'PUT', 'HEAD']) {
      const r = http.request(method, `${url}/to/${status}?/echo`, method === 'GET' ? null : 'body');
      const seen = r.body && r.status === 200 ? JSON.parse(r.body) : {};
      saw(`${method} ${status}`, [r.status, path(r.url), seen.method, seen.body, r.request.method,
        path(r.request.url)]);
    }
  }
  show('relative', http.get(`${url}/to/302?redirect/0`));
  show('whole', http.get(`${url}/to/302?${url}/redirect/0`));
  show('fragment', http.get(`${url}/to/302?/redirect/0#x`));
  show('loop', http.get(`${url}/to/302?/to/302?/`));
  show('no location', http.get(`${url}/status/302`));
  show('dead', http.get(`${url}/to/302?${__ENV.DEAD_URL}/`));
}
