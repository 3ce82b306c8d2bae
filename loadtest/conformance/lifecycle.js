// setup(), data and teardown().
// run: => 0
// run: --no-setup => 0
// run: --no-teardown => 0
// run: --no-setup --no-teardown => 0
import http from 'k6/http';
import { check, group } from 'k6';
import { Counter } from 'k6/metrics';
import { saw } from './lib/saw.js';

const counter = new Counter('counted');
export const options = {
  scenarios: { default: { executor: 'per-vu-iterations', vus: 2, iterations: 2 } },
  thresholds: {
    'http_reqs{group:::setup}': ['count>=0'],
    'http_reqs{group:::teardown}': ['count>=0'],
    'http_reqs{scenario:default}': ['count>=0'],
    'checks{group:::setup::inside}': ['rate>=0'],
  },
};

export function setup() {
  http.get(`${__ENV.URL}/`);
  group('inside', () => check(1, { 'set up': true }));
  counter.add(10);
  saw('setup VU and ITER', [typeof __VU, __VU, typeof __ITER]);
  return {
    nothing: null, list: [undefined, 1],
    nested: { a: [1, { b: 2 }] },
  };
}

export default function (data) {
  saw('data', data);
  if (data) {
    saw('changed by another iteration', data.changed);
    data.changed = true;
  }
  http.get(`${__ENV.URL}/`);
  counter.add(1);
}

export function teardown(data) {
  saw('torn down', data);
  http.get(`${__ENV.URL}/`);
  counter.add(100);
}
