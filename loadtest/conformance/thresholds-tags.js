// Parts of metrics by tags, the program's own and the script's.
// run: => 0
// run: --tag colour=red => 99
import http from 'k6/http';
import { Counter } from 'k6/metrics';

const counter = new Counter('counted');
export const options = {
  tags: { of: 'test' },
  thresholds: {
    'http_reqs{status:200}': ['count==3'],
    'http_reqs{status:404}': ['count==1'],
    'http_reqs{method:GET}': ['count==3'],
    'http_reqs{method:POST}': ['count==1'],
    'http_reqs{name:mine}': ['count==1'],
    'http_reqs{proto:HTTP/1.1}': ['count==4'],
    'http_reqs{scenario:default}': ['count==4'],
    'http_reqs{expected_response:false}': ['count==1'],
    'http_reqs{error_code:1404}': ['count==1'],
    'http_reqs{own:1}': ['count==2'],
    'http_reqs{own:1,method:POST}': ['count==1'],
    'http_reqs{of:test}': ['count==4'],
    'http_reqs{of:request}': ['count==0'],
    'http_reqs{colour:red}': ['count>=0'],
    'http_req_failed{status:404}': ['rate==1'],
    'counted{of:test}': ['count==2'],
    'counted{of:sample}': ['count==1'],
    'iterations{scenario:default}': ['count==1'],
  },
};

export default function () {
  http.get(`${__ENV.URL}/`);
  http.get(`${__ENV.URL}/status/404`);
  http.get(`${__ENV.URL}/`, { tags: { name: 'mine', own: 1 } });
  http.post(`${__ENV.URL}/echo`, 'x', { tags: { own: '1' } });
  counter.add(2);
  counter.add(1, { of: 'sample' });
}
