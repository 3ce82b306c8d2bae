export const twice = (x) => 2 * x;
export default { answer: 42 };
export * from './more.js';
