// Forms and files.
// run: => 0
import http from 'k6/http';
import { saw, tried, hex } from './lib/saw.js';

const url = `${__ENV.URL}/echo`;
const bytes = open('./lib/data.bin', 'b');

function parts(response) {
  const { headers, body } = response.json();
  const type = headers['content-type'];
  const boundary = (type.match(/boundary=(.*)$/) || [])[1];
  return [type.split(';')[0], body.split(boundary).join('BOUNDARY')];
}

export default function () {
  const form = (body, params) => {
    const seen = http.post(url, body, params).json();
    return [seen.body, seen.headers['content-type']];
  };
  saw('simple', form({ a: '1', b: 'two words' }));
  saw('letters', form({ 'a&b': 'ü+=&%/?', '': 'x' }));
  saw('lists', form({ a: ['1', '2'], b: [] }));
  saw('kinds', form({ n: 1, f: 1.5, t: true, z: null }));
  saw('own type', form({ a: '1' }, { headers: { 'Content-Type': 'application/x-own' } }));
  saw('empty', form({}));
  saw('file', parts(http.post(url, { f: http.file('content', 'f.txt', 'text/plain') })));
  saw('file name', parts(http.post(url, { f: http.file('content', 'f.txt') })));
  saw('file and field', parts(http.post(url, { a: '1', f: http.file('c', 'q"uote.txt', 'a/b') })));
  saw('binary file', parts(http.post(url, { f: http.file(bytes, 'b.bin', 'a/b') }))[0]);
  saw('file data', [http.file('x', 'n', 't/t').filename, http.file('x', 'n', 't/t').content_type]);
  saw('bytes', http.post(url, bytes).json('length'));
  saw('view', http.post(url, new Uint8Array([1, 2, 3]).buffer).json('length'));
  tried('typed array', () => http.post(url, new Uint8Array([1, 2, 3])).json('length'));
  saw('json', http.post(url, JSON.stringify({ a: 1 })).json('headers.content-type'));
  saw('get', http.get(`${url}?a=${encodeURIComponent('ü x')}`).json('target'));
  saw('hex', hex(bytes));
}
