// Does a breaker spare a service that fails, and let it be asked again when it is well?
//
// For an upstream with a breaker that opens for OPEN seconds: asks RATE times a second for DURATION
// seconds for what fails, then for what does not. By the admin API, the breaker of UPSTREAM must have
// opened, and the service must have got no more than MIN_REQUESTS, PROBES each time that the breaker was
// half open, and SLACK for what was under way. RECOVERY seconds after it asks for what does not fail,
// all must be well.
import http from 'k6/http';
import { check, fail } from 'k6';
import exec from 'k6/execution';
import { Gauge } from 'k6/metrics';

const TARGET = __ENV.TARGET || 'http://127.0.0.1:8080';
const ADMIN = __ENV.ADMIN || 'http://127.0.0.1:9901';
const FAILING = __ENV.PATH_FAILING || '/fail';
const PLAIN = __ENV.PATH_PLAIN || '/';
const UPSTREAM = __ENV.UPSTREAM;
const RATE = Number(__ENV.RATE || 50);
const DURATION = Number(__ENV.DURATION || 10);
const OPEN = Number(__ENV.OPEN || 5);
const PROBES = Number(__ENV.PROBES || 3);
const MIN_REQUESTS = Number(__ENV.MIN_REQUESTS || 20);
const SLACK = Number(__ENV.SLACK || 20);
const RECOVERY = Number(__ENV.RECOVERY || 2 * OPEN);

const attempts = new Gauge('attempts_at_the_failing_service');
const opened = new Gauge('breaker_opened');
const MOST = MIN_REQUESTS + PROBES * (Math.floor(DURATION / OPEN) + 1) + SLACK;

const paced = (exec, begin, duration) => ({
  executor: 'constant-arrival-rate', exec, rate: RATE, timeUnit: '1s', duration: `${duration}s`,
  startTime: `${begin}s`, preAllocatedVUs: 20, maxVUs: 200,
});

export const options = {
  scenarios: {
    failing: paced('failing', 0, DURATION),
    look: {
      executor: 'per-vu-iterations', vus: 1, iterations: 1, exec: 'look', startTime: `${DURATION}s`,
    },
    recovering: paced('recovering', DURATION + 1, RECOVERY + 2),
  },
  thresholds: {
    attempts_at_the_failing_service: [`value<=${MOST}`],
    breaker_opened: ['value>=1'],
    'checks{phase:recovered}': ['rate==1'],
    checks: ['rate==1'],
  },
};

http.setResponseCallback(http.expectedStatuses({ min: 200, max: 599 }));

function endpoints() {
  const response = http.get(`${ADMIN}/upstreams`);
  if (response.status !== 200) fail(`${ADMIN}/upstreams says ${response.status}`);
  const { upstreams } = response.json();
  const found = UPSTREAM ? upstreams.find((one) => one.name === UPSTREAM) : upstreams[0];
  if (!found || !found.endpoints.every((one) => one.breaker)) {
    fail('no upstream with a breaker: name it with UPSTREAM');
  }
  const sum = (of) => found.endpoints.reduce((all, one) => all + of(one), 0);
  return { requests: sum((one) => one.requests), opened: sum((one) => one.breaker.opened) };
}

export function setup() { return endpoints(); }

export function failing() {
  check(http.get(TARGET + FAILING), { 'somebody answers': (r) => r.status > 0 });
}

export function look(before) {
  const now = endpoints();
  attempts.add(now.requests - before.requests);
  opened.add(now.opened - before.opened);
}

export function recovering() {
  const since = (Date.now() - exec.scenario.startTime) / 1000;
  const response = http.get(TARGET + PLAIN);
  if (since > RECOVERY) {
    check(response, { 'it is well again': (r) => r.status === 200 }, { phase: 'recovered' });
  }
}
