// The language itself: what scripts of load tests use of it.
// run: => 0
import { randomSeed, sleep } from 'k6';
import { saw, tried } from './lib/saw.js';

class Thing {
  #secret = 1;
  static made = 0;
  get secret() { return this.#secret; }
}

export default async function () {
  randomSeed(5);
  const first = Math.random();
  randomSeed(5);
  saw('the same again', Math.random() === first);
  saw('a share', first >= 0 && first < 1);
  saw('class', [new Thing().secret, Thing.made]);
  saw('optional', [null?.x, undefined ?? 'y', ({ a: 1 })?.a]);
  saw('spread', { ...{ a: 1 }, b: [...'xy'] });
  saw('destructured', (({ a, ...rest }) => [a, rest])({ a: 1, b: 2, c: 3 }));
  saw('generator', [...(function* () { yield 1; yield 2; })()]);
  saw('map', [...new Map([[1, 2]]), ...new Set([3, 3])]);
  saw('regex', 'a1b22'.replace(/(\d+)/g, '<$1>'));
  saw('sticky', 'aXbX'.split(/X/));
  saw('dates', [new Date(0).toISOString(), Date.UTC(2020, 1, 29)]);
  saw('numbers', [0.1 + 0.2, (1234.5678).toFixed(2), parseInt('0x1f'), Number('12'), 2 ** 53]);
  saw('texts', ['ab'.padStart(5, '-'), 'x'.repeat(3), 'aXa'.replaceAll('a', 'b'), 'abc'.at(-1)]);
  saw('arrays', [[3, 1, 2].sort(), [1, [2, [3]]].flat(2), [1, 2, 3].includes(2)]);
  saw('symbols', typeof Symbol.iterator);
  saw('proxy', new Proxy({}, { get: (_, key) => key }).hello);
  saw('typed', Array.from(new Uint16Array([1, 65537])));
  saw('json', JSON.stringify({ a: [1, null, undefined], b: undefined }, null, 1));
  saw('entries', Object.entries({ x: 1, y: 2 }));
  saw('big', typeof BigInt);
  saw('label', (() => { outer: for (;;) { for (;;) break outer; } return 'out'; })());
  tried('sleep nothing', () => sleep());
  tried('sleep less', () => sleep(-1));
  tried('sleep text', () => sleep('0.001'));
  tried('sleep zero', () => sleep(0));
  saw('async', await (async () => 1)());
}
