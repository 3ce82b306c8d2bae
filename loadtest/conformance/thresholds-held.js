// Every kind of threshold, all of which hold.
// run: => 0
// run: --no-thresholds => 0
import http from 'k6/http';
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';

const [counter, gauge] = [new Counter('a_counter'), new Gauge('a_gauge')];
const [rate, trend] = [new Rate('a_rate'), new Trend('a_trend')];
export const options = {
  iterations: 10,
  thresholds: {
    a_counter: ['count==10', 'count>=10', 'count<11', 'rate>0'],
    a_gauge: ['value==9', 'value<=9', 'value!=8'],
    a_rate: ['rate===0.5', 'rate<0.51'],
    a_trend: ['avg==4.5', 'min==0', 'max==9', 'med==4.5', 'p(90)<=9', 'p(99.9)<10', 'p(0)==0'],
    http_reqs: ['count == 10'],
    http_req_failed: ['rate==0'],
    http_req_duration: [{ threshold: 'p(95)<10000', abortOnFail: true, delayAbortEval: '1s' }],
    'http_req_duration{expected_response:true}': ['max<10000'],
    iterations: ['count==10'],
    checks: ['rate>=0'],
  },
};

export default function () {
  http.get(`${__ENV.URL}/`);
  counter.add(1);
  gauge.add(__ITER);
  rate.add(__ITER % 2);
  trend.add(__ITER);
}
