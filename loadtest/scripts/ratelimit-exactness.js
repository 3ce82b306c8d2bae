// Does a limit admit what it says, no more and hardly less?
//
// Asks twice as often as a limit of RATE a second with a burst of BURST lets pass, for DURATION
// seconds, from one address. What was admitted must not exceed BURST + RATE x time, and must come to
// nine tenths of it; every 429 must say when to come again.
import http from 'k6/http';
import { check } from 'k6';
import { Counter } from 'k6/metrics';

const TARGET = __ENV.TARGET || 'http://127.0.0.1:8080';
const PATH = __ENV.PATH_LIMITED || '/limited';
const RATE = Number(__ENV.RATE || 100);
const BURST = Number(__ENV.BURST || 100);
const DURATION = Number(__ENV.DURATION || 10);

// One more than the formula: the run may last a little longer than it should.
const MOST = BURST + Math.ceil(RATE * DURATION) + Math.max(1, Math.ceil(RATE / 10));
const LEAST = Math.floor(0.9 * (BURST + RATE * DURATION));

const admitted = new Counter('admitted');
const denied = new Counter('denied');

export const options = {
  scenarios: {
    twice: {
      executor: 'constant-arrival-rate',
      rate: 2 * RATE + Math.ceil(BURST / DURATION),
      timeUnit: '1s',
      duration: `${DURATION}s`,
      preAllocatedVUs: 50,
      maxVUs: 200,
      gracefulStop: '1s',
    },
  },
  thresholds: {
    admitted: [`count<=${MOST}`, `count>=${LEAST}`],
    denied: ['count>0'],
    checks: ['rate==1'],
  },
};

http.setResponseCallback(http.expectedStatuses(429, { min: 200, max: 299 }));

export default function () {
  const response = http.get(TARGET + PATH);
  if (response.status === 429) {
    denied.add(1);
    check(response, { 'a 429 says when to come again': (r) => Number(r.headers['Retry-After']) >= 1 });
  } else {
    check(response, { 'admitted requests are answered': (r) => r.status >= 200 && r.status < 300 });
    admitted.add(1);
  }
}
