// A module that k6 does not have.
// run: => 107
import x from 'k6/nowhere';

export default function () { x(); }
