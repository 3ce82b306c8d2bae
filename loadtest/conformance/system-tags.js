// Which tags a sample has of itself.
// run: => 0
// run: --system-tags method,status => 0
// run: K6_SYSTEM_TAGS=vu,iter,url => 0
import http from 'k6/http';
import { check } from 'k6';

const on = (metric, tag) => [`${metric}{${tag}}`, ['count>=0']];
export const options = {
  iterations: 2,
  thresholds: Object.fromEntries([
    on('http_reqs', 'method:GET'), on('http_reqs', 'status:200'), on('http_reqs', 'vu:1'),
    on('http_reqs', 'iter:1'), on('http_reqs', 'scenario:default'),
    on('http_reqs', `url:${__ENV.URL}/`), on('http_reqs', `name:${__ENV.URL}/`),
    on('http_reqs', 'expected_response:true'), on('http_reqs', 'proto:HTTP/1.1'),
    on('iterations', 'vu:1'), on('iterations', 'iter:0'),
    on('data_sent', 'scenario:default'),
    ['checks{check:is}', ['rate>=0']],
  ]),
};

export default function () {
  check(http.get(`${__ENV.URL}/`), { is: (r) => r.status === 200 });
}
