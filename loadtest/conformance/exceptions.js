// An iteration that throws ends, and the run goes on.
// run: => 0
import { check, fail } from 'k6';
import { Counter } from 'k6/metrics';

const counter = new Counter('counted');
export const options = { iterations: 6 };

export default async function () {
  counter.add(1);
  switch (__ITER) {
    case 0: throw new Error('on purpose');
    case 1: throw 'a text';
    case 2: fail('no more');
    case 3: await Promise.reject(new Error('later'));
    case 4: undefined.property;
    default: check(1, { 'comes to its end': true });
  }
}
