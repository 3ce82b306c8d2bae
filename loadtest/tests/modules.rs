//! What scripts import, against real servers.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod running;
mod server;
mod serving;

use running::{run_file, run_with};

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
    let foreign = &run.summary["metrics"]["foreign"]["count"];
    assert_eq!(foreign.as_f64().unwrap_or(0.0), 0.0, "{}", run.stdout);
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
    let run = run_with(script, &["--vm-memory", "1K"], &[]).ends_with(255);
    assert!(run.stderr.contains("too little"), "{}", run.stderr);
}

#[test]
fn runs_typescript() {
    let script = "import http, { Response } from 'k6/http';
import { check } from 'k6';
import { Options } from 'k6/options';
import { twice, type Pair } from './lib.ts';
enum Method { Get = 'GET', Post = 'POST' }
enum Level { Low, High }
interface User { name: string; level?: Level }
class Client<T extends User> {
    constructor(private readonly base: string, public user: T) {}
    call(method: Method): Response { return http.request(method as string, this.base + '/'); }
}
export const options: Options = { iterations: 2, thresholds: { checks: ['rate==1'] } };
export default function (): void {
    const client = new Client<User>(__ENV.URL!, { name: 'a', level: Level.High });
    const pair: Pair = [1, 2];
    check(client.call(Method.Get), {
        status: (r: Response): boolean => r.status === 200,
        twice: () => twice(pair[1]) === 4,
        level: () => client.user.level === 1 && Level[1] === 'High',
    });
}";
    let lib = "export type Pair = [number, number];
export const twice = (n: number): number => 2 * n;";
    let run = run_file("main.ts", script, &[], &[("lib.ts", lib)]).ends_with(0);
    assert_eq!(run.value("checks", "passes"), 6.0, "{}", run.stdout);
}

#[test]
fn typescript_errors_have_their_place() {
    let bad = run_file("main.ts", "let a: string = '';\nlet = 2;", &[], &[]).ends_with(107);
    assert!(bad.stderr.contains("main.ts:2:"), "{}", bad.stderr);
    let script = "export default function (a: { b: string }): void {
    const x = (a as any)      ; throw new Error('thrown');
}";
    let run = run_file("main.ts", script, &[], &[]).ends_with(0);
    assert!(run.stderr.contains("main.ts:2:"), "{}", run.stderr);
    let column = script.lines().nth(1).unwrap().find("Error").unwrap() + 1;
    let js = run_file(
        "main.js",
        &script.replace("(a: { b: string }): void", "(a)").replace(" as any", ""),
        &[],
        &[],
    );
    let offset = |text: &str| -> usize {
        let at = text.split("main.").nth(1).unwrap();
        // Behind it whatever else a run says, which is more where it takes its time.
        let column = at.split(':').nth(2).unwrap();
        let digits = column.find(|c: char| !c.is_ascii_digit()).unwrap_or(column.len());
        column[..digits].parse().unwrap()
    };
    // The same column as JavaScript would have, and that of the source.
    assert_eq!(offset(&run.stderr), offset(&js.stderr) + " as any".len(), "{}", run.stderr);
    assert!(offset(&run.stderr).abs_diff(column) <= 12);
    let lib = ("lib.ts", "export const a: number = ;");
    let bad = run_file(
        "main.ts",
        "import { a } from './lib.ts'; a; export default () => {}",
        &[],
        &[lib],
    )
    .ends_with(107);
    assert!(bad.stderr.contains("lib.ts:1:"), "{}", bad.stderr);
}
