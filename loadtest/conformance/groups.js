// Groups: what they give, what they measure, what they tag.
// run: => 0
import http from 'k6/http';
import { group } from 'k6';
import { saw, tried } from './lib/saw.js';

export const options = {
  thresholds: {
    'group_duration{group:::a}': ['max<10000'],
    'group_duration{group:::a::b}': ['max<10000'],
    'http_reqs{group:::a::b}': ['count==2'],
    'http_reqs{group:::a}': ['count==1'],
  },
};

export default function () {
  const get = () => http.get(`${__ENV.URL}/`);
  get();
  saw('gives', group('a', () => {
    get();
    group('b', () => { get(); get(); });
    return 7;
  }));
  tried('throws', () => group('throws', () => { throw new Error('x'); }));
  saw('afterwards', group('after', () => 1));
  tried('colons', () => group('a::b', () => 1));
  tried('empty', () => group('', () => 1));
  tried('no function', () => group('x'));
  tried('async', () => group('async', async () => 1));
}
