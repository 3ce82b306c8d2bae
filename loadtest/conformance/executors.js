// All six executors at once.
// run: => 0
// varying: iteration_duration iterations looped ::executor:
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';
import exec from 'k6/execution';
import { saw } from './lib/saw.js';

const names = ['shared', 'each'];
const counters = Object.fromEntries(names.map((name) => [name, new Counter(`${name}_done`)]));
const looped = new Counter('looped');
export const options = {
  scenarios: {
    shared: { executor: 'shared-iterations', vus: 3, iterations: 10, exec: 'counted' },
    each: { executor: 'per-vu-iterations', vus: 3, iterations: 4, exec: 'counted' },
    paced: {
      executor: 'constant-arrival-rate', rate: 20, duration: '2s', preAllocatedVUs: 5, maxVUs: 5,
      exec: 'counted',
    },
    loop: { executor: 'constant-vus', vus: 2, duration: '2s', exec: 'loop' },
    ramp: {
      executor: 'ramping-vus', startVUs: 1, exec: 'loop', gracefulRampDown: '1s',
      stages: [{ duration: '1s', target: 3 }, { duration: '1s', target: 0 }],
    },
    hasten: {
      executor: 'ramping-arrival-rate', startRate: 10, preAllocatedVUs: 5, maxVUs: 5, exec: 'loop',
      stages: [{ duration: '1s', target: 20 }, { duration: '1s', target: 0 }],
    },
  },
  thresholds: {
    'iterations{scenario:shared}': ['count==10'],
    'iterations{scenario:each}': ['count==12'],
    'iterations{scenario:paced}': ['count>=39', 'count<=41'],
    'iterations{scenario:loop}': ['count>=10', 'count<=40'],
    'iterations{scenario:ramp}': ['count>=5', 'count<=40'],
    'iterations{scenario:hasten}': ['count>=23', 'count<=26'],
    'iteration_duration{scenario:shared}': ['max<5000'],
  },
};

export function counted() {
  if (exec.scenario.name === 'paced') return;
  counters[exec.scenario.name].add(1);
  saw('executor', [exec.scenario.name, exec.scenario.executor][0] !== '');
  sleep(0.01);
}

export function loop() {
  looped.add(1);
  sleep(0.1);
}
