// Promises, timers and requests that do not wait.
// run: => 0
import http from 'k6/http';
import { setTimeout, setInterval, clearTimeout, clearInterval } from 'k6/timers';
import { awaited, saw } from './lib/saw.js';

const url = __ENV.URL;
const nap = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const options = { iterations: 2 };

export default async function () {
  const response = await http.asyncRequest('GET', `${url}/`);
  saw('async', [response.status, response.body]);
  const both = await Promise.all([
    http.asyncRequest('POST', `${url}/echo`, 'x'), http.asyncRequest('GET', `${url}/status/404`),
  ]);
  saw('both', both.map((r) => r.status));
  await awaited('dead', http.asyncRequest('GET', `${__ENV.DEAD_URL}/`).then((r) => r.error_code));
  await awaited('bad url', http.asyncRequest('GET', 'nonsense').then((r) => r.error_code));
  saw('lower', (await http.asyncRequest('put', `${url}/echo`, 'x')).json('method'));
  const order = [];
  setTimeout(() => order.push('late'), 30);
  setTimeout(() => order.push('soon'), 5);
  Promise.resolve().then(() => order.push('at once'));
  order.push('first');
  await nap(60);
  saw('order', order);
  let ticks = 0;
  await new Promise((resolve) => {
    const id = setInterval(() => { if (++ticks === 3) { clearInterval(id); resolve(); } }, 5);
  });
  saw('ticks', ticks);
  const never = setTimeout(() => saw('never', 1), 10);
  clearTimeout(never);
  await nap(20);
  saw('race', await Promise.race([nap(50).then(() => 'slow'), nap(5).then(() => 'fast')]));
  saw('settled', (await Promise.allSettled([nap(1), Promise.reject(1)])).map((s) => s.status));
  await new Promise((resolve) => setTimeout((a, b) => { saw('given', [a, b]); resolve(); }, 1, 1, 2));
  setTimeout(() => saw('after the end', 1), 5);
}
