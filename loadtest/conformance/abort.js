// A script ends the run.
// run: => 108
// run: --no-teardown => 108
import exec from 'k6/execution';
import { check, sleep } from 'k6';

export const options = { vus: 1, duration: '20s' };

export default function () {
  if (__ITER === 2) exec.test.abort('enough');
  check(1, { iterated: true });
  sleep(0.01);
}

export function teardown() { check(1, { 'torn down': true }); }
