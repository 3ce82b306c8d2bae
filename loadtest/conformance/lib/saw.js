// What a script sees becomes the name of a check, and so a part of what is compared.
import { check } from 'k6';

// Keys in one order: k6's own objects have none.
function sorted(key, value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function text(value) {
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  const json = JSON.stringify(value, sorted);
  return json === undefined ? String(value) : json;
}

// Records what `what` was.
export function saw(what, value) {
  return check(value, { [`${what}: ${text(value)}`.split('::').join(': :')]: () => true });
}

// Records whether `act` throws, and what it gives when it does not.
export function tried(what, act) {
  let value;
  try {
    value = act();
  } catch (error) {
    return check(error, { [`${what} throws`]: () => true });
  }
  return saw(what, value);
}

// Records what a promise becomes.
export async function awaited(what, promise) {
  try {
    saw(what, await promise);
  } catch (error) {
    check(error, { [`${what} is rejected`]: () => true });
  }
}

// Base64 of what a script holds as bytes.
export function hex(buffer) {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
