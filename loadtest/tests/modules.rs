//! What scripts import, against real servers.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod running;
mod server;

use running::run_with;

#[test]
fn work_of_an_ended_iteration_is_not_done_in_the_next() {
    let script = "import { Counter } from 'k6/metrics';
        import exec from 'k6/execution';
        import { sleep } from 'k6';
        const own = new Counter('own'), foreign = new Counter('foreign');
        export const options = { scenarios: {
            throws: { executor: 'per-vu-iterations', vus: 2, iterations: 20, exec: 'throws' },
            stopped: { executor: 'constant-vus', vus: 2, duration: '1s', gracefulStop: '0s',
                exec: 'stopped' },
            after: { executor: 'per-vu-iterations', vus: 2, iterations: 5, startTime: '1200ms',
                exec: 'after' } } };
        const count = (name, iteration) => {
            const here = exec.scenario.name === name && __ITER === iteration;
            (here ? own : foreign).add(1);
        };
        export function throws() {
            const iteration = __ITER;
            Promise.resolve().then(() => count('throws', iteration));
            setTimeout(() => foreign.add(1), 1);
            throw new Error('on purpose');
        }
        export function stopped() {
            for (let i = 0; i < 10000; i++) Promise.resolve(i).then(() => foreign.add(1));
            sleep(60);
        }
        export function after() { sleep(0.001); }";
    let run = run_with(script, &["--workers", "1"], &[]).ends_with(0);
    // What was promised before the exception is kept; timers are not, nor what was stopped.
    assert_eq!(run.value("own", "count"), 40.0, "{}", run.stderr);
    assert!(!(run.value("foreign", "count") > 0.0), "{}", run.stdout);
}

#[test]
fn memory_of_scripts_is_bounded() {
    let script = "export const options = { iterations: 2 };
        export default function () {
            const all = [];
            for (;;) all.push(new Array(1e5).fill(all.length).map((x, i) => x * i));
        }";
    let run = run_with(script, &["--vm-memory", "64M"], &[]).ends_with(0);
    assert!(run.stderr.contains("64 MiB together (--vm-memory)"), "{}", run.stderr);
    let greedy = "const all = []; for (;;) all.push('x'.repeat(1e6) + all.length);
        export default () => {};";
    let run = run_with(greedy, &["--vm-memory", "64M"], &[]).ends_with(107);
    assert!(run.stderr.contains("(--vm-memory)"), "{}", run.stderr);
    let run = run_with(script, &["--vm-memory", "1K"], &[]).ends_with(104);
    assert!(run.stderr.contains("too little"), "{}", run.stderr);
}
