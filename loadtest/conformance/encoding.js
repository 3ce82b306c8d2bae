// k6/encoding and texts.
// run: => 0
import encoding from 'k6/encoding';
import { b64decode, b64encode } from 'k6/encoding';
import { saw, tried, hex } from './lib/saw.js';

export default function () {
  for (const kind of ['std', 'rawstd', 'url', 'rawurl', undefined]) {
    for (const text of ['', 'a', 'hello', 'ÿ?>~', '\u0000']) {
      const coded = b64encode(text, kind);
      saw(`${kind} ${JSON.stringify(text)}`, coded);
      saw(`${kind} ${JSON.stringify(text)} back`, b64decode(coded, kind, 's'));
    }
  }
  saw('bytes', b64encode(new Uint8Array([251, 255, 254]).buffer));
  saw('to bytes', hex(encoding.b64decode('+//+')));
  tried('unknown kind', () => b64encode('x', 'nonsense'));
  tried('bad text', () => b64decode('!!!', 'std', 's'));
  tried('bad padding', () => b64decode('YQ', 'std', 's'));
  tried('undefined', () => b64encode(undefined));
  tried('number', () => b64encode(5));
  saw('encodeURI', [encodeURIComponent('ü &'), decodeURIComponent('%C3%BC'), escape('ü')]);
}
