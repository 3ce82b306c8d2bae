// __ENV and its layers.
// run: -e A=1 -e B=two=2 => 0
// run: K6_OWN=x -e C => 0
// run: K6_OWN=x --include-system-env-vars => 0
// run: K6_OWN=x --include-system-env-vars=false => 0
// run: K6_OWN=x --no-such-flag => 255
import { saw } from './lib/saw.js';

const early = __ENV.A;

export default function () {
  saw('early', early);
  saw('given', [__ENV.A, __ENV.B, __ENV.C]);
  saw('system', [__ENV.K6_OWN, typeof __ENV.PATH]);
  saw('missing', __ENV.NOWHERE);
  __ENV.A = 'changed';
  saw('changed', __ENV.A);
  saw('VU', [__VU, __ITER]);
}
