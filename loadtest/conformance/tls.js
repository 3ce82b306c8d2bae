// TLS without looking at the certificate.
// run: --insecure-skip-tls-verify => 0
// run: K6_INSECURE_SKIP_TLS_VERIFY=true => 0
import http from 'k6/http';
import { saw } from './lib/saw.js';

export const options = {
  thresholds: { 'http_reqs{tls_version:tls1.3}': ['count==2'] },
  hosts: { 'localhost': '127.0.0.1' },
};

export default function () {
  const response = http.get(`${__ENV.TLS_URL}/`);
  saw('response', [response.status, response.body, response.proto, response.tls_version]);
  saw('error', [response.error, response.error_code]);
  saw('connected', response.timings.tls_handshaking > 0);
  saw('once', http.get(`${__ENV.TLS_URL}/`).timings.tls_handshaking);
}
