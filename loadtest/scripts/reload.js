// Does a reload disturb anybody?
//
// RATE requests a second while the admin API is told to load the configuration again every second.
// No request may fail, and every reload must succeed.
import http from 'k6/http';
import { check, sleep } from 'k6';

const TARGET = __ENV.TARGET || 'http://127.0.0.1:8080';
const ADMIN = __ENV.ADMIN || 'http://127.0.0.1:9901';
const PATH = __ENV.PATH_PLAIN || '/';
const RATE = Number(__ENV.RATE || 200);
const DURATION = Number(__ENV.DURATION || 10);
const TOKEN = __ENV.ADMIN_TOKEN;

export const options = {
  scenarios: {
    traffic: {
      executor: 'constant-arrival-rate',
      rate: RATE,
      timeUnit: '1s',
      duration: `${DURATION}s`,
      preAllocatedVUs: 20,
      maxVUs: 200,
      exec: 'traffic',
    },
    reloads: { executor: 'constant-vus', vus: 1, duration: `${DURATION}s`, exec: 'reload' },
  },
  thresholds: {
    'http_req_failed{scenario:traffic}': ['rate==0'],
    dropped_iterations: ['count==0'],
    checks: ['rate==1'],
  },
};

export function traffic() {
  check(http.get(TARGET + PATH), { 'it is answered': (r) => r.status === 200 });
}

export function reload() {
  const params = TOKEN ? { headers: { Authorization: `Bearer ${TOKEN}` } } : {};
  check(http.post(`${ADMIN}/reload`, null, params), { 'it reloads': (r) => r.status === 200 });
  sleep(1);
}
