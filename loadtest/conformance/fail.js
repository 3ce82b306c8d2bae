// A script fails the run, which goes on.
// run: => 110
import exec from 'k6/execution';
import { check } from 'k6';

export const options = { iterations: 3 };

export default function () {
  if (__ITER === 0) exec.test.fail('bad');
  check(1, { iterated: true });
}
