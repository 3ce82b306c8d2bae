// SharedArray, open() and files.
// run: => 0
import { SharedArray } from 'k6/data';
import { tried, hex } from './lib/saw.js';

const users = new SharedArray('users', () => JSON.parse(open('./lib/users.json')));
const odd = new SharedArray('odd', () => [1, 'x', null, [1, 2], { a: { b: 1 } }, true]);
const text = open('./lib/users.json');
const bytes = open('./lib/data.bin', 'b');
const outcome = (act) => { try { return act(); } catch (error) { return 'throws'; } };
const wrong = {
  'no array': outcome(() => new SharedArray('n', () => ({ a: 1 })) && 'made'),
  'no function': outcome(() => new SharedArray('m') && 'made'),
  'no name': outcome(() => new SharedArray('', () => []) && 'made'),
  'missing file': outcome(() => open('./lib/nowhere.json') && 'opened'),
  'async function': outcome(() => new SharedArray('as', async () => []) && 'made'),
};

export const options = { vus: 2, iterations: 2 };

export default function () {
  tried('length', () => users.length);
  tried('item', () => users[1]);
  tried('beyond', () => users[9]);
  tried('negative', () => users[-1]);
  tried('kinds', () => Array.from(odd));
  tried('map', () => users.map((user) => user.name));
  tried('filter', () => users.filter((user) => user.n > 1).length);
  tried('find', () => users.find((user) => user.n === 3));
  tried('reduce', () => users.reduce((sum, user) => sum + user.n, 0));
  tried('spread', () => [...users].length);
  tried('json', () => JSON.stringify(users));
  tried('slice', () => users.slice(1));
  tried('indexOf', () => odd.indexOf('x'));
  tried('is array', () => Array.isArray(users));
  tried('keys', () => Object.keys(users));
  tried('in', () => [1 in users, 7 in users, 'length' in users]);
  const all = [];
  for (const user of users) all.push(user.n);
  tried('all', () => all);
  tried('set', () => { 'use strict'; users[0] = 1; return 'set'; });
  tried('set within', () => { 'use strict'; users[0].name = 'z'; return users[0].name; });
  tried('push', () => users.push(1));
  tried('text', () => text.length);
  tried('bytes', () => hex(bytes));
  tried('wrong', () => wrong);
  tried('open late', () => open('./lib/users.json').length);
  tried('array late', () => new SharedArray('late', () => []).length);
}
