// Does a request that is sent many times run once?
//
// Each iteration sends one POST with one key WAYS times at once, then once more. All answers of
// success must be the same, all but one of them replayed; whoever came while the first was under way
// may get a 409 and come again.
import http from 'k6/http';
import { check } from 'k6';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';

const TARGET = __ENV.TARGET || 'http://127.0.0.1:8080';
const PATH = __ENV.PATH_KEYED || '/pay';
const WAYS = Number(__ENV.WAYS || 6);

const executions = new Counter('executions');

export const options = {
  scenarios: {
    keys: {
      executor: 'shared-iterations',
      vus: Number(__ENV.VUS || 10),
      iterations: Number(__ENV.ITERATIONS || 200),
      maxDuration: '60s',
    },
  },
  batchPerHost: WAYS,
  thresholds: {
    executions: [`count==${Number(__ENV.ITERATIONS || 200)}`],
    checks: ['rate==1'],
  },
};

http.setResponseCallback(http.expectedStatuses(409, { min: 200, max: 299 }));

const isReplayed = (response) => response.headers['Idempotent-Replayed'] === 'true';

// Other keys in each run.
export function setup() {
  return { run: __ENV.RUN || String(Date.now()) };
}

export default function ({ run }) {
  const key = `${run}-${exec.scenario.iterationInTest}`;
  const params = { headers: { 'Idempotency-Key': key, Authorization: 'load' } };
  const body = JSON.stringify({ amount: 5, key });
  const requests = Array.from({ length: WAYS }, () => ['POST', TARGET + PATH, body, params]);
  const responses = http.batch(requests);
  responses.push(http.post(TARGET + PATH, body, params));
  const answered = responses.filter((r) => r.status >= 200 && r.status < 300);
  check(responses, {
    'each is answered or told to come again': (all) => all.every((r) => r.status === 409 || answered.includes(r)),
    'the answers are the same': () => answered.every((r) => r.body === answered[0].body),
    'the last one is a replay': (all) => isReplayed(all[all.length - 1]),
  });
  executions.add(answered.filter((r) => !isReplayed(r)).length);
}
