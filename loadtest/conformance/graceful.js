// Iterations that are not done when the time is over.
// run: => 0
// run: -e GRACE=0s => 0
// varying: iteration_duration
import { check, sleep } from 'k6';

export const options = {
  scenarios: {
    one: { executor: 'constant-vus', vus: 2, duration: '1s', gracefulStop: __ENV.GRACE || '3s' },
    two: {
      executor: 'per-vu-iterations', vus: 1, iterations: 9, maxDuration: '1s',
      gracefulStop: __ENV.GRACE || '3s',
    },
    three: {
      executor: 'shared-iterations', vus: 2, iterations: 9, maxDuration: '1s',
      gracefulStop: __ENV.GRACE || '3s',
    },
  },
  thresholds: { 'iterations{scenario:one}': ['count>=0'], dropped_iterations: ['count>=0'] },
};

export default function () {
  check(1, { begun: true });
  sleep(1.5);
  check(1, { ended: true });
}
