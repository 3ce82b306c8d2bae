// Scripts that cannot be read; K is which kind.
// run: -e K=throw => 107
// run: -e K=missing => 107
// run: -e K=abort => 108
// run: -e K=request => 107
// run: -e K=sleep => 0
// run: -e K=check => 107
// run: -e K=group => 107
// run: -e K=none => 0
import http from 'k6/http';
import exec from 'k6/execution';
import { check, group, sleep } from 'k6';

switch (__ENV.K) {
  case 'throw': throw new Error('on purpose');
  case 'missing': open('./nowhere.txt'); break;
  case 'abort': exec.test.abort('at once'); break;
  case 'request': http.get(__ENV.URL); break;
  case 'sleep': sleep(1); break;
  case 'check': check(1, { a: true }); break;
  case 'group': group('a', () => 1); break;
  default:
}

export default function () {}
