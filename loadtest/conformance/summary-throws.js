// handleSummary() that throws.
// run: => 0
export default function () {}

export function handleSummary() { throw new Error('on purpose'); }
