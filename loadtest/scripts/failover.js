// What do clients see while an endpoint dies, or a reload or restart goes on?
//
// RATE requests a second for DURATION seconds, timed from when each should have begun. Kill what you
// like meanwhile. At most FAILED of them may fail (none by default), and 99 of 100 must be answered
// within P99 milliseconds.
import http from 'k6/http';
import { check } from 'k6';

const TARGET = __ENV.TARGET || 'http://127.0.0.1:8080';
const PATH = __ENV.PATH_PLAIN || '/';
const RATE = Number(__ENV.RATE || 200);
const DURATION = Number(__ENV.DURATION || 30);
const FAILED = Number(__ENV.FAILED || 0);
const P99 = Number(__ENV.P99 || 2000);

export const options = {
  scenarios: {
    traffic: {
      executor: 'constant-arrival-rate',
      rate: RATE,
      timeUnit: '1s',
      duration: `${DURATION}s`,
      preAllocatedVUs: 50,
      maxVUs: 2000,
    },
  },
  thresholds: {
    http_req_failed: [`rate<=${FAILED}`],
    http_req_duration: [`p(99)<=${P99}`],
    dropped_iterations: ['count==0'],
  },
};

export default function () {
  check(http.get(TARGET + PATH), { 'it is answered': (r) => r.status === 200 });
}
