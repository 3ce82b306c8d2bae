// A file that is not there.
// run: => 107
import { x } from './lib/nowhere.js';

export default function () { x(); }
