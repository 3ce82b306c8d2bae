// Several requests at once.
// run: => 0
// run: --batch 1 => 0
// run: --batch-per-host 1 => 0
import http from 'k6/http';
import { saw, tried } from './lib/saw.js';

const url = __ENV.URL;
export const options = { thresholds: { 'http_reqs{in:batch}': ['count==2'] } };

export default function () {
  const all = http.batch([
    ['GET', `${url}/status/201`], `${url}/`, { method: 'POST', url: `${url}/echo`, body: 'x' },
    ['POST', `${url}/echo`, 'a', { headers: { 'X-Mine': '1' }, tags: { in: 'batch' } }],
    ['GET', `${url}/`, null, { tags: { in: 'batch' } }], { url: `${url}/status/404` },
  ]);
  saw('array', Array.isArray(all));
  saw('statuses', all.map((r) => r.status));
  saw('bodies', [all[2].json('body'), all[3].json('headers.x-mine')]);
  const named = http.batch({ a: `${url}/`, b: ['PUT', `${url}/echo`, 'y'], c: { url: `${url}/` } });
  saw('lower', http.batch([['post', `${url}/echo`, 'x']])[0].json('method'));
  saw('named', [named.a.status, named.b.json('method'), named.c.body]);
  saw('keys', Object.keys(named).sort());
  saw('none', http.batch([]).length);
  saw('many', http.batch(Array.from({ length: 30 }, () => `${url}/wait/5`)).length);
  saw('one dead', http.batch([`${__ENV.DEAD_URL}/`, `${url}/`]).map((r) => r.error_code));
  tried('null', () => http.batch(null));
  tried('text', () => http.batch('x'));
  tried('number within', () => http.batch([5]).length);
  tried('bad url within', () => http.batch(['nonsense', `${url}/`]).map((r) => r.error_code));
}
