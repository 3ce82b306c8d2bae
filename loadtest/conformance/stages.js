// Stages, and what the command line makes of them.
// run: => 0
// run: --stage 1s:2 => 0
// run: --vus 2 --duration 1s => 0
// run: --iterations 3 => 0
// run: K6_STAGES=1s:1 => 0
// run: K6_DURATION=1s => 0
// varying: iterations iteration_duration
import exec from 'k6/execution';
import { sleep } from 'k6';
import { saw } from './lib/saw.js';

export const options = { stages: [{ duration: '500ms', target: 2 }, { duration: '500ms', target: 0 }] };

export function setup() {
  const scenario = exec.test.options.scenarios.default;
  const { executor, stages, duration, iterations } = scenario;
  saw('scenario', [executor, stages, duration, iterations]);
}

export default function () { sleep(0.1); }
