// Do retries make an outage worse?
//
// For a route whose service fails: asks RATE times a second for DURATION seconds and compares, by the
// gateway's own metrics, how many attempts it made upstream with how many requests it got. More than
// 1 + BUDGET attempts a request, and what RESERVE a second allows beside, is a storm. A budget
// remembers the requests of the last WINDOW seconds: so long nothing is asked first.
import http from 'k6/http';
import { check, fail, sleep } from 'k6';
import { Gauge } from 'k6/metrics';

const TARGET = __ENV.TARGET || 'http://127.0.0.1:8080';
const ADMIN = __ENV.ADMIN || 'http://127.0.0.1:9901';
const PATH = __ENV.PATH_FAILING || '/fail';
const RATE = Number(__ENV.RATE || 100);
const DURATION = Number(__ENV.DURATION || 10);
const BUDGET = Number(__ENV.BUDGET || 0.2);
// The least retries a second that the budget allows, however few the requests are.
const RESERVE = Number(__ENV.RESERVE || 3);
const WINDOW = Number(__ENV.WINDOW || 10);

const amplification = new Gauge('amplification');
const MOST = 1 + BUDGET + (RESERVE * (DURATION + WINDOW)) / (RATE * DURATION) + 0.02;

export const options = {
  scenarios: {
    failing: {
      executor: 'constant-arrival-rate',
      rate: RATE,
      timeUnit: '1s',
      duration: `${DURATION}s`,
      preAllocatedVUs: 50,
      maxVUs: 500,
    },
  },
  thresholds: { amplification: [`value<=${MOST}`], checks: ['rate==1'] },
};

http.setResponseCallback(http.expectedStatuses({ min: 200, max: 599 }));

// The sum of a counter over all its labels.
function total(text, name) {
  let sum = 0;
  for (const line of text.split('\n')) {
    if (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) sum += Number(line.split(' ').pop());
  }
  return sum;
}

function read() {
  const response = http.get(`${ADMIN}/metrics`);
  if (response.status !== 200) fail(`${ADMIN}/metrics says ${response.status}`);
  return {
    requests: total(response.body, 'weir_requests_total'),
    retries: total(response.body, 'weir_retries_total'),
  };
}

export function setup() {
  sleep(WINDOW);
  return read();
}

export default function () {
  check(http.get(TARGET + PATH), { 'somebody answers': (r) => r.status > 0 });
}

export function teardown(before) {
  const after = read();
  const requests = after.requests - before.requests;
  if (requests <= 0) fail('the gateway counted no requests');
  amplification.add(1 + (after.retries - before.retries) / requests);
}
