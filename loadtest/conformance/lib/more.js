export function half(x) { return x / 2; }
export const state = { count: 0 };
