// Some are crossed; others are not.
// run: => 99
// run: --no-thresholds => 0
import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';

const [counter, trend] = [new Counter('a_counter'), new Trend('a_trend')];
new Counter('never_added');
new Trend('never_added_trend');
export const options = {
  iterations: 4,
  thresholds: {
    a_counter: ['count>4', 'count>3'],
    a_trend: ['avg<0', 'max<2', 'max<4', 'p(50)>1'],
    checks: ['rate>0.9'],
    never_added: ['count>0', 'count<1'],
    never_added_trend: ['p(95)<1', 'avg>1'],
    http_reqs: ['count>0'],
    http_req_duration: ['avg>0'],
    http_req_failed: ['rate>0.5'],
    'a_counter{k:v}': ['count==2'],
    'a_counter{k:w}': ['count==1'],
  },
};

export default function () {
  counter.add(1, { k: __ITER < 2 ? 'v' : 'x' });
  trend.add(__ITER);
  check(__ITER, { small: (n) => n < 3 });
}
