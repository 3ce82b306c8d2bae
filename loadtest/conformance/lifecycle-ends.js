// How a run ends when setup() or teardown() do not come to theirs.
// run: -e FAILS=setup => 107
// run: -e FAILS=teardown => 107
// run: -e FAILS=setup-slow => 100
// run: -e FAILS=teardown-slow => 101
// run: -e FAILS=setup-abort => 108
// run: -e FAILS=teardown-abort => 108
// k6 has no code for a promise that nobody caught; the script threw all the same.
// run: -e FAILS=setup-async => 255, ours 107
// run: -e FAILS=setup-fail => 107
import { check, fail, sleep } from 'k6';
import exec from 'k6/execution';

export const options = { iterations: 2, setupTimeout: '1s', teardownTimeout: '1s' };

function perhaps(where) {
  check(1, { [where]: true });
  if (__ENV.FAILS === where) throw new Error('on purpose');
  if (__ENV.FAILS === `${where}-slow`) sleep(3);
  if (__ENV.FAILS === `${where}-abort`) exec.test.abort('enough');
  if (__ENV.FAILS === `${where}-fail`) fail('no');
  if (__ENV.FAILS === `${where}-async`) return Promise.reject(new Error('later'));
  return 1;
}

export function setup() { return perhaps('setup'); }

export default function () { check(1, { iterated: true }); }

export function teardown() { perhaps('teardown'); }
