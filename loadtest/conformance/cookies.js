// Cookies, sent and kept.
// run: => 0
// run: K6_NO_COOKIES_RESET=true => 0
import http from 'k6/http';
import { saw, tried } from './lib/saw.js';

const url = __ENV.URL;
const sent = (params) => http.get(`${url}/cookies`, params).json();

export const options = { iterations: 2 };

export default function () {
  saw('at the begin', sent());
  const set = http.get(`${url}/set?a=1&b=two%3B%20Path=/cookies&c=3%3B%20Path=/elsewhere`);
  saw('set', Object.keys(set.cookies).sort());
  const { name, value, domain, path, http_only, secure, max_age } = set.cookies.a[0];
  saw('a', [name, value, domain, path, http_only, secure, max_age]);
  saw('kept', sent());
  saw('own', sent({ cookies: { d: '4' } }));
  saw('own once', sent());
  saw('replaced', sent({ cookies: { a: { value: '9', replace: true } } }));
  saw('beside', sent({ cookies: { a: { value: '9', replace: false } } }));
  saw('number', sent({ cookies: { n: 5 } }));
  saw('own header', sent({ headers: { Cookie: 'h=1' } }));
  http.get(`${url}/set?a=changed`);
  saw('changed', sent());
  http.get(`${url}/set?a=gone%3B%20Max-Age=0`);
  saw('gone', sent());
  http.get(`${url}/set?e=old%3B%20Expires=Wed,%2021%20Oct%202015%2007:28:00%20GMT`);
  saw('expired', sent());
  http.get(`${url}/set?s=1%3B%20Secure&h=1%3B%20HttpOnly`);
  saw('secure', sent());
  const jar = http.cookieJar();
  saw('jar', jar.cookiesForURL(`${url}/cookies`));
  jar.set(url, 'mine', 'x');
  jar.set(url, 'narrow', 'y', { path: '/cookies', secure: false, http_only: true });
  jar.set(url, 'expires', 'z', { expires: 'Mon, 02 Jan 2006 15:04:05 MST' });
  saw('from the jar', sent());
  jar.delete(url, 'mine');
  saw('deleted', sent());
  jar.clear(url);
  saw('cleared', sent());
  const other = new http.CookieJar();
  other.set(`${url}/cookies`, 'other', '1');
  saw('another jar', sent({ jar: other }));
  saw('not in the first', sent());
  tried('bad jar', () => sent({ jar: {} }));
  tried('bad url', () => jar.set('nonsense', 'a', 'b'));
  http.get(`${url}/set?last=1`);
}
