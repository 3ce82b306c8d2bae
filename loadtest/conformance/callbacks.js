// Which responses are expected.
// run: => 0
import http from 'k6/http';
import { saw, tried } from './lib/saw.js';

const url = __ENV.URL;
const some = http.expectedStatuses(404, { min: 500, max: 503 });
export const options = {
  iterations: 2,
  thresholds: {
    'http_reqs{expected_response:true}': ['count>0'],
    'http_reqs{expected_response:false}': ['count>0'],
    'http_req_failed{name:some}': ['rate<1'],
    'http_req_failed{name:none}': ['rate>=0'],
  },
};

const outcome = (act) => { try { act(); return 'fine'; } catch (error) { return 'throws'; } };
const wrong = {
  nothing: outcome(() => http.expectedStatuses()),
  text: outcome(() => http.expectedStatuses('200')),
  half: outcome(() => http.expectedStatuses({ min: 1 })),
  float: outcome(() => http.expectedStatuses(200.5)),
};

export default function () {
  saw('wrong', wrong);
  for (const status of [200, 302, 404, 499, 500, 503, 504]) {
    const params = { redirects: 0, responseCallback: some, tags: { name: 'some' } };
    const r = http.get(`${url}/status/${status}`, params);
    saw(`some ${status}`, [r.status, r.error_code]);
    http.get(`${url}/status/${status}`, { redirects: 0, responseCallback: null, tags: { name: 'none' } });
  }
  http.setResponseCallback(http.expectedStatuses(404));
  http.get(`${url}/status/404`);
  http.get(`${url}/`);
  http.setResponseCallback(null);
  http.get(`${url}/status/404`);
  http.setResponseCallback(http.expectedStatuses({ min: 200, max: 399 }));
  http.get(`${url}/status/404`);
  tried('a function', () => http.setResponseCallback(() => true));
  tried('bad param', () => http.get(url, { responseCallback: 5 }).status);
}
