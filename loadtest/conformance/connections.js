// Connections that are used again, and those that are not.
// run: => 0
// run: --no-connection-reuse => 0
// run: --no-vu-connection-reuse => 0
import http from 'k6/http';
import { Counter } from 'k6/metrics';
import { saw } from './lib/saw.js';

const connected = new Counter('connected');
export const options = { vus: 1, iterations: 3 };

export default function () {
  for (let i = 0; i < 3; i++) {
    if (http.get(`${__ENV.URL}/`).timings.connecting > 0) connected.add(1);
  }
  const closed = http.get(`${__ENV.URL}/`, { headers: { Connection: 'close' } });
  saw('closed', closed.status);
  if (http.get(`${__ENV.URL}/`).timings.connecting > 0) connected.add(1);
}
