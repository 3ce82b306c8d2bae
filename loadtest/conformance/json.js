// Response.json() and its paths.
// run: => 0
import http from 'k6/http';
import { saw, tried } from './lib/saw.js';

const paths = ['name.last', 'age', 'none', 'children', 'children.#', 'children.1', 'children.-1',
  'child*.2', 'c?ildren.0', 'fav\\.movie', 'friends.#.first', 'friends.1.last', 'friends.#',
  'friends.#(last=="Murphy").first', 'friends.#(last=="Murphy")#.first', 'friends.#(age>45)#.last',
  'friends.#(age>=47).first', 'friends.#(first%"D*").last', 'friends.#(first!%"D*").last',
  'friends.#(nets.#(=="fb"))#.first', 'nowhere', 'nowhere.at.all', 'name', 'empty', 'list', 'yes',
  'no', 'big', 'frac', 'children.9', 'friends.#.nets.#', 'friends.#.nets.0', 'name.first.x', '',
  'friends.#(age==44)', 'friends.#(age!=44)#.age', '#', 'friends.0.nets.1', 'list.#', 'list.0'];

export default function () {
  const response = http.get(`${__ENV.URL}/json`);
  for (const path of paths) tried(`path ${path}`, () => response.json(path));
  saw('whole', response.json());
  saw('twice', response.json().age + response.json('age'));
  const text = http.get(`${__ENV.URL}/`);
  tried('no json', () => text.json());
  tried('no json path', () => text.json('a'));
  tried('no body', () => http.get(`${__ENV.URL}/json`, { responseType: 'none' }).json());
  tried('binary', () => http.get(`${__ENV.URL}/json`, { responseType: 'binary' }).json('age'));
}
