// Options of a file, over which those of the script win.
// run: --config {HERE}/lib/config.json => 99
// run: K6_CONFIG={HERE}/lib/config.json => 99
// run: --config {HERE}/lib/config.json -i 2 => 0
// run: K6_ITERATIONS=2 --config {HERE}/lib/config.json => 0
// run: --config {HERE}/lib/nowhere.json => 104
// run: --config {HERE}/lib/old.js => 104
import exec from 'k6/execution';
import { saw } from './lib/saw.js';

export const options = { userAgent: 'script' };

export default function () {
  saw('agent', exec.test.options.userAgent);
  saw('tags', exec.test.options.tags);
}
