// An arrival rate that its virtual users cannot keep.
// run: => 0
// varying: iteration_duration iterations dropped_iterations
import { sleep } from 'k6';

export const options = {
  scenarios: {
    paced: {
      executor: 'constant-arrival-rate', rate: 20, duration: '2s', preAllocatedVUs: 2, maxVUs: 2,
    },
  },
  thresholds: { dropped_iterations: ['count>=25', 'count<=37'], iterations: ['count>=4', 'count<=9'] },
};

export default function () { sleep(0.5); }
