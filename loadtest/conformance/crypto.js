// k6/crypto and the global crypto.
// run: => 0
import k6crypto from 'k6/crypto';
import { createHash, createHMAC, hmac, randomBytes, sha256 } from 'k6/crypto';
import { saw, tried, hex } from './lib/saw.js';

const kinds = ['md5', 'sha1', 'sha256', 'sha384', 'sha512'];

export default function () {
  for (const kind of kinds) {
    for (const form of ['hex', 'base64', 'base64url', 'base64rawurl']) {
      saw(`${kind} ${form}`, k6crypto[kind]('hello', form));
      saw(`hmac ${kind} ${form}`, hmac(kind, 'key', 'hello', form));
    }
    const hash = createHash(kind);
    hash.update('hel');
    hash.update('lo');
    saw(`${kind} in parts`, hash.digest('hex') === k6crypto[kind]('hello', 'hex'));
    saw(`${kind} bytes`, hex(k6crypto[kind]('hello', 'binary')));
    const keyed = createHMAC(kind, 'key');
    keyed.update('hello');
    saw(`${kind} keyed`, keyed.digest('hex'));
  }
  saw('buffer', sha256(new Uint8Array([1, 2, 3]).buffer, 'hex'));
  saw('key buffer', hmac('sha1', new Uint8Array([1]).buffer, 'x', 'hex'));
  tried('unknown form', () => sha256('x', 'nonsense'));
  saw('random', [randomBytes(8).byteLength, randomBytes(8).constructor.name]);
  tried('no random', () => randomBytes(0).byteLength);
  saw('uuid', /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    .test(crypto.randomUUID()));
  saw('values', crypto.getRandomValues(new Uint8Array(4)).length);
}
