// Every verb, and what arrives.
// run: => 0
// run: --user-agent mine/1.0 => 0
// run: --discard-response-bodies => 0
import http from 'k6/http';
import { saw, tried } from './lib/saw.js';

const url = `${__ENV.URL}/echo?a=1&b=%20x`;
const params = { headers: { 'X-Mine': 'yes', 'Content-Type': 'text/plain' } };

function show(what, response) {
  saw(`${what} status`, [response.status, response.status_text, response.error_code]);
  if (!response.body || response.status !== 200) {
    saw(`${what} body`, !response.body);
    return;
  }
  const seen = JSON.parse(response.body);
  saw(`${what} request`, [seen.method, seen.target, seen.body, seen.headers['x-mine']]);
  saw(`${what} headers`, [seen.headers['content-type'], seen.headers['content-length']]);
  if (seen.headers['user-agent'] === 'mine/1.0') saw(`${what} agent`, 'mine/1.0');
}

export default function () {
  show('get', http.get(url, params));
  show('head', http.head(url, params));
  show('post', http.post(url, 'body', params));
  show('put', http.put(url, 'body', params));
  show('patch', http.patch(url, 'body', params));
  show('del', http.del(url, 'body', params));
  show('del without', http.del(url));
  show('options', http.options(url, 'body', params));
  show('post without', http.post(url));
  show('post null', http.post(url, null));
  saw('post empty', http.post(url, '').json('method'));
  saw('post number', http.post(url, 5).status);
  saw('post boolean', http.post(url, true).error !== '');
  show('post undefined', http.post(url, undefined, params));
  show('request', http.request('GET', url, null, params));
  show('request lower', http.request('post', url, 'x', params));
  show('request own', http.request('PURGE', url, null, params));
  show('get with body', http.request('GET', url, 'body', params));
  tried('no url', () => http.get().status);
  tried('null url', () => http.get(null).status);
  show('template', http.get(http.url`${__ENV.URL}/echo?id=${7}`, params));
  saw('request body', http.post(url, 'body', params).request.body);
  saw('request headers', http.post(url, 'body', params).request.headers['X-Mine']);
  saw('request method', http.post(url, 'body', params).request.method);
}
