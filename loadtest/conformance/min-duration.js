// Iterations that may not be too short.
// run: => 0
// run: --min-iteration-duration 300ms => 0
// varying: iteration_duration
import { Counter } from 'k6/metrics';

const done = new Counter('done');
export const options = {
  vus: 1, iterations: 3, minIterationDuration: '200ms',
  thresholds: { iteration_duration: ['max<150'] },
};

export default function () { done.add(1); }
