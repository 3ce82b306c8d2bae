// Modules of one's own, as ES modules and as bundlers write them.
// run: => 0
import fixed, { half, state, twice } from './lib/numbers.js';
import * as all from './lib/numbers.js';
import { state as same } from './lib/more.js';
import old, { sum } from './lib/old.js';
import * as k6 from 'k6';
import defaults from 'k6';
import * as http from 'k6/http';
import http2 from 'k6/http';
import { saw, tried } from './lib/saw.js';

const required = require('./lib/older.js');
state.count += 1;

export default function () {
  saw('functions', [twice(2), half(3), fixed.answer]);
  saw('star', Object.keys(all).sort());
  saw('the same', same === state);
  saw('count', same.count);
  saw('commonjs', [old.sum(1, 2), sum(2, 3), old.inner.name, required.name]);
  saw('k6', Object.keys(k6).filter((name) => name !== 'default').sort());
  saw('k6 default', Object.keys(defaults).sort());
  saw('k6/http', typeof http.get === typeof http2.get);
  tried('require late', () => require('./lib/older.js').name);
  saw('this', typeof this);
  saw('globals', [typeof globalThis, typeof window, typeof process, typeof require]);
}
