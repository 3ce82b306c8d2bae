// A threshold ends the run.
// run: => 99
// run: --no-thresholds => 0
// varying: iterations iteration_duration checks
import { check, sleep } from 'k6';

export const options = {
  vus: 1, duration: '6s',
  thresholds: { checks: [{ threshold: 'rate>0.5', abortOnFail: true }] },
};

export default function () {
  check(1, { never: false });
  sleep(0.2);
}

export function teardown() { check(1, { 'torn down': true }); }
