// What goes wrong on the way.
// run: => 0
// run: --throw => 0
import http from 'k6/http';
import { saw, tried } from './lib/saw.js';

const url = __ENV.URL;
export const options = {
  hosts: { 'here.example': __ENV.URL.replace('http://', '') },
  blacklistIPs: ['127.1.0.0/16'],
  blockHostnames: ['blocked.example', '*.blocked.example'],
  thresholds: {
    'http_reqs{error_code:1212}': ['count>=0'],
    'http_reqs{error_code:1050}': ['count>=0'],
    'http_req_failed{status:0}': ['rate==1'],
  },
};

export default function () {
  const show = (what, act) => tried(what, () => {
    const r = act();
    return [r.status, r.error_code, r.error !== '', r.proto || ''];
  });
  show('refused', () => http.get(`${__ENV.DEAD_URL}/`));
  show('no such name', () => http.get('http://nowhere.invalid/'));
  show('unknown certificate', () => http.get(`${__ENV.TLS_URL}/`));
  show('no TLS there', () => http.get(url.replace('http:', 'https:')));
  show('timeout', () => http.get(`${url}/wait/2000`, { timeout: 100 }));
  show('timeout as text', () => http.get(`${url}/wait/2000`, { timeout: '100ms' }));
  show('closed', () => http.get(`${url}/close`));
  show('closed post', () => http.post(`${url}/close`, 'x'));
  show('blacklisted', () => http.get('http://127.1.2.3:1/'));
  show('blocked', () => http.get('http://blocked.example/'));
  show('blocked below', () => http.get('http://a.blocked.example/'));
  show('hosts', () => http.get('http://here.example/'));
  show('bad url', () => http.get('nonsense'));
  show('bad scheme', () => http.get('ftp://127.0.0.1/'));
  show('no host', () => http.get('http://'));
  show('bad port', () => http.get('http://127.0.0.1:99999/'));
  show('empty url', () => http.get(''));
  show('space in host', () => http.get('http://a b/'));
  show('bad escape', () => http.get(`${url}/%zz`));
  tried('bad header', () => http.get(url, { headers: { 'a b': 'x' } }).error_code);
  tried('bad value', () => http.get(url, { headers: { a: 'x\r\ny: z' } }).error_code);
  tried('bad timeout', () => http.get(url, { timeout: 'soon' }).status);
  tried('bad method', () => http.request('A B', url).error_code);
  saw('and on', http.get(url).status);
}
