// Checks of all kinds of values, in groups and with tags.
// run: => 99
import { check, group } from 'k6';
import { saw, tried } from './lib/saw.js';

export const options = {
  iterations: 2,
  thresholds: {
    checks: ['rate>0.1'],
    'checks{kind:mine}': ['rate==0.5'],
    'checks{check:passes}': ['rate==1'],
    'checks{group:::outer::inner}': ['rate<=0.5'],
  },
};

export default function () {
  check(1, { passes: (v) => v === 1, fails: (v) => v === 2, 'is true': true, 'is false': false });
  check(null, {
    'an empty text': '', 'a text': 'x', zero: 0, one: 1, nothing: null, 'not there': undefined,
    'an object': {}, 'an array': [], 'not a number': NaN, 'gives an object': () => ({}),
    'gives nothing': () => {}, 'gives a text': () => 'x', 'gives zero': () => 0,
  });
  saw('all hold', check(1, { passes: () => true }));
  saw('one fails', check(1, { passes: () => true, fails: () => false }));
  saw('none', check(1, {}));
  check(1, { tagged: true, 'tagged and fails': false }, { kind: 'mine' });
  group('outer', () => {
    check(1, { passes: true });
    group('inner', () => check(1, { passes: true, 'inner fails': false }));
    group('inner', () => check(1, { passes: true }));
  });
  tried('a check that throws', () => check(1, { throws: () => { throw new Error('x'); } }));
  tried('after one that throws', () => check(1, {
    'throws first': () => { throw new Error('x'); }, 'comes after': true,
  }));
  tried('no checks', () => check(1));
  tried('null', () => check(1, null));
  tried('a name with colons', () => check(1, { 'a::b': true }));
  tried('an empty name', () => check(1, { '': true }));
  check(1, { 'Ünïcode ✓ "quoted"': true });
}
