// As bundlers write it.
const inner = require('./older.js');
exports.sum = (a, b) => a + b;
exports.inner = inner;
