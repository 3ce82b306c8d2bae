// The first script that anybody writes.
// run: => 0
// run: -i 3 => 0
// run: -u 2 -i 5 => 0
// run: K6_ITERATIONS=4 => 0
// run: K6_ITERATIONS=4 -i 2 => 0
import http from 'k6/http';
import { check } from 'k6';

export default function () {
  const response = http.get(`${__ENV.URL}/`);
  check(response, { 'is 200': (r) => r.status === 200, 'says hello': (r) => r.body === 'hello' });
}
