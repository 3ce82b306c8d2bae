// k6/execution.
// run: => 0
import exec from 'k6/execution';
import { sleep } from 'k6';
import { saw, tried } from './lib/saw.js';

export const options = {
  scenarios: {
    first: { executor: 'per-vu-iterations', vus: 2, iterations: 2, exec: 'first', tags: { t: '1' } },
    second: {
      executor: 'shared-iterations', vus: 1, iterations: 3, exec: 'second', startTime: '1s',
      env: { OWN: 'mine' },
    },
  },
  thresholds: { 'iterations{t:1}': ['count==4'], 'iterations{own:x}': ['count>=0'] },
};

const early = (act) => { try { return typeof act(); } catch (error) { return 'throws'; } };
const inInit = {
  scenario: early(() => exec.scenario.name), vu: early(() => exec.vu.idInTest),
  instance: early(() => exec.instance.vusActive), options: early(() => exec.test.options),
};

export function setup() {
  tried('scenario in setup', () => exec.scenario.name);
  tried('vu in setup', () => exec.vu.idInTest);
  tried('options in setup', () => Object.keys(exec.test.options.scenarios));
}

export function first() {
  saw('init', inInit);
  saw('scenario', [exec.scenario.name, exec.scenario.executor]);
  saw('kinds', [typeof exec.scenario.startTime, typeof exec.scenario.progress,
    typeof exec.scenario.iterationInInstance, typeof exec.scenario.iterationInTest]);
  saw('iteration', [exec.vu.iterationInScenario, exec.vu.iterationInInstance, __ITER]);
  saw('ids', exec.vu.idInTest === exec.vu.idInInstance && exec.vu.idInTest === __VU);
  saw('active', exec.instance.vusActive > 0 && exec.instance.vusInitialized >= 2);
  saw('options', exec.test.options.scenarios.first.iterations);
  saw('tags', Object.keys(exec.vu.metrics.tags).sort());
  saw('tag', [exec.vu.metrics.tags.scenario, exec.vu.metrics.tags.t]);
  exec.vu.metrics.tags.own = 'x';
  saw('own tag', exec.vu.metrics.tags.own);
  tried('bad tag', () => { exec.vu.metrics.tags.bad = {}; return 'set'; });
  tried('number tag', () => { exec.vu.metrics.tags.number = 5; return exec.vu.metrics.tags.number; });
  tried('delete tag', () => { delete exec.vu.metrics.tags.number; return exec.vu.metrics.tags.number; });
  tried('metadata', () => { exec.vu.metrics.metadata.trace = 'x'; return exec.vu.metrics.metadata.trace; });
  sleep(0.05);
}

export function second() {
  saw('second', [exec.scenario.name, exec.scenario.executor, exec.scenario.iterationInTest]);
  saw('environment', __ENV.OWN);
  saw('completed', exec.instance.iterationsCompleted >= 4);
  saw('interrupted', exec.instance.iterationsInterrupted);
  saw('keys', [Object.keys(exec).sort(), Object.keys(exec.vu).sort(), Object.keys(exec.scenario).sort()]);
}
