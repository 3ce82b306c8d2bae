//! Real scripts against a real server: what they see, what is counted, and how the run ends.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod running;
mod server;
mod serving;

use running::{holds, run, run_with};

#[test]
fn runs_iterations_and_counts_checks() {
    let run = run("import http from 'k6/http';
        import { check } from 'k6';
        export const options = { vus: 3, iterations: 20 };
        export function setup() { return { n: 7 }; }
        export default function (data) {
            const r = http.get(__ENV.URL + '/');
            check(r, { ok: (r) => r.status === 200, data: () => data.n === 7, no: () => false });
        }
        export function teardown(data) { console.log('torn down ' + data.n); }")
    .ends_with(0);
    assert_eq!(run.value("iterations", "count"), 20.0);
    assert_eq!(run.value("http_reqs", "count"), 20.0);
    assert_eq!(run.value("checks", "passes"), 40.0);
    assert_eq!(run.value("checks", "fails"), 20.0);
    assert!(run.stderr.contains("torn down 7"), "{}", run.stderr);
}

#[test]
fn crossed_thresholds_are_99() {
    let script = "import http from 'k6/http';
        export const options = { thresholds: { 'http_reqs{name:x}': ['count>1'] } };
        export default function () { http.get(__ENV.URL + '/', { tags: { name: 'x' } }); }";
    run(script).ends_with(99);
    run_with(script, &["-i", "2"], &[]).ends_with(0);
    run_with(script, &["--no-thresholds"], &[]).ends_with(0);
}

#[test]
fn bad_scripts_say_where() {
    let syntax = run("export default function () {\n  const = 1;\n}").ends_with(107);
    assert!(syntax.stderr.contains("main.js:2:"), "{}", syntax.stderr);
    let missing = run("import x from './nowhere.js';\nexport default () => {};").ends_with(107);
    assert!(missing.stderr.contains("nowhere.js"), "{}", missing.stderr);
    let throwing = run("\nthrow new Error('at init');").ends_with(107);
    assert!(throwing.stderr.contains("at init"), "{}", throwing.stderr);
    assert!(throwing.stderr.contains("main.js:2:"), "{}", throwing.stderr);
    let browser = run("import { browser } from 'k6/browser';\nexport default () => {};");
    assert!(browser.ends_with(107).stderr.contains("'k6/browser' is not supported"));
    run("export const options = {};").ends_with(255);
    run("export const options = { vus: 'many' };\nexport default () => {};").ends_with(104);
    let bad = "export const options = { thresholds: { checks: ['rates>1'] } };";
    run(&format!("{bad}\nexport default () => {{}};")).ends_with(104);
    run("export function setup() { throw new Error('no') }\nexport default () => {};")
        .ends_with(107);
}

#[test]
fn a_throwing_iteration_does_not_fail_the_run() {
    let run = run("export const options = { iterations: 3 };
        export default function () { throw new Error('on purpose'); }")
    .ends_with(0);
    assert_eq!(run.value("iterations", "count"), 3.0);
    assert!(
        run.stderr.contains("on purpose") && run.stderr.contains("main.js:2:"),
        "{}",
        run.stderr
    );
}

#[test]
fn recursion_is_an_exception() {
    holds(
        "let caught = ''; const f = () => f() + 1; try { f() } catch (e) { caught = e.name }
           is('recursion', caught, 'RangeError');",
    );
}

#[test]
fn sees_responses() {
    holds(
        "const r = http.post(url + '/echo?a=b', JSON.stringify({ list: [{ id: 1 }, { id: 2 }] }),
               { headers: { 'Content-Type': 'application/json', 'X-Mine': 'yes' } });
           is('status', r.status, 200);
           is('method', r.headers['X-Method'], 'POST');
           is('uri', r.headers['X-Uri'], '/echo?a=b');
           is('mine', r.headers['X-Seen-Mine'], 'yes');
           is('json', r.json('list.#.id'), [1, 2]);
           is('json', r.json().list.length, 2);
           is('proto', r.proto, 'HTTP/1.1');
           is('error', [r.error, r.error_code], ['', 0]);
           check(r, { timings: (r) => r.timings.duration > 0 && r.timings.waiting > 0 });
           is('request', r.request.method, 'POST');
           is('text', r.status_text, '200 OK');",
    );
}

#[test]
fn sends_forms_and_files() {
    holds(
        "const r = http.post(url + '/echo', { a: '1 2', b: ['x', 'y'] });
           is('form', r.body, 'a=1+2&b=x&b=y');
           is('type', r.headers['X-Type'], 'application/x-www-form-urlencoded');
           const m = http.post(url + '/echo', { f: http.file('content', 'f.txt', 'text/plain') });
           check(m, { multipart: (m) => m.body.includes('filename=\"f.txt\"') &&
               m.body.includes('content') &&
               m.headers['X-Type'].startsWith('multipart/form-data') });
           const c = http.post(url + '/echo', 'x'.repeat(1000), { compression: 'gzip',
               responseType: 'binary' });
           check(c, { gzip: (c) => c.body.byteLength < 100 });",
    );
}

#[test]
fn follows_redirects_and_keeps_cookies() {
    holds(
        "const r = http.get(url + '/redirect');
           is('followed', [r.status, r.url], [200, url + '/cookies']);
           is('cookie', r.body, 'session=1');
           is('not followed', http.get(url + '/redirect', { redirects: 0 }).status, 302);
           is('cookies', http.get(url + '/redirect', { redirects: 0 }).cookies.session[0].value,
               '1');
           const jar = http.cookieJar();
           is('jar', jar.cookiesForURL(url + '/').session, ['1']);
           jar.set(url, 'mine', '2');
           is('own', http.get(url + '/cookies').body, 'session=1; mine=2');
           is('replaced', http.get(url + '/cookies', { cookies: { session: { value: '3',
               replace: true } } }).body, 'mine=2; session=3');
           jar.clear(url);
           is('cleared', http.get(url + '/cookies').body, '');",
    );
}

#[test]
fn names_what_goes_wrong() {
    holds(
        "is('refused', http.get('http://127.0.0.1:1/').error_code, 1212);
           is('url', http.get('http://a b/').error_code, 1020);
           is('scheme', http.get('nonsense').error_code, 1000);
           is('status', http.get(url + '/status/404').error_code, 1404);
           is('timeout', http.get(url + '/slow', { timeout: '50ms' }).error_code, 1050);
           is('name', http.get('http://nowhere.invalid/').status, 0);",
    );
}

#[test]
fn does_several_things_at_once() {
    holds(
        "const begun = Date.now();
           const all = http.batch([['GET', url + '/wait'], url + '/wait', { method: 'GET',
               url: url + '/wait' }]);
           is('batch', all.map((r) => r.status), [200, 200, 200]);
           const named = http.batch({ a: url + '/', b: ['POST', url + '/echo', 'x'] });
           is('named', named.b.body, 'x');
           const [x, y] = await Promise.all([http.asyncRequest('GET', url + '/wait'),
               http.asyncRequest('GET', url + '/wait')]);
           is('async', [x.status, y.status], [200, 200]);
           is('timer', await new Promise((done) => setTimeout(() => done('rang'), 5)), 'rang');
           let ticks = 0;
           await new Promise((done) => { const id = setInterval(() => { if (++ticks === 3) {
               clearInterval(id); done(); } }, 2); });
           is('ticks', ticks, 3);",
    );
}

#[test]
fn hashes_and_encodes() {
    holds(
        "is('md5', crypto.md5('hello', 'hex'), '5d41402abc4b2a76b9719d911017c592');
           is('sha256', crypto.sha256('', 'base64'),
               '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=');
           const h = crypto.createHash('sha1'); h.update('a'); h.update('bc');
           is('sha1', h.digest('hex'), 'a9993e364706816aba3e25717850c26c9cd0d89d');
           is('hmac', crypto.hmac('sha256', 'key', 'x', 'hex').length, 64);
           is('b64', encoding.b64encode('hello'), 'aGVsbG8=');
           is('b64d', encoding.b64decode('aGVsbG8=', 'std', 's'), 'hello');
           is('random', new Uint8Array(crypto.randomBytes(8)).length, 8);",
    );
}

#[test]
fn knows_where_it_is() {
    holds(
        "is('scenario', exec.scenario.name, 'default');
           is('executor', exec.scenario.executor, 'per-vu-iterations');
           is('vu', [exec.vu.idInTest, __VU, __ITER], [1, 1, 0]);
           exec.vu.tags.mine = 'x';
           is('tags', exec.vu.tags.mine, 'x');
           group('outer', () => group('inner', () => is('in', 1, 1)));
           is('options', Array.isArray(exec.test.options.thresholds.checks), true);",
    );
}

#[test]
fn shares_arrays_and_files() {
    let script = "import { SharedArray } from 'k6/data';
        import { check } from 'k6';
        import { twice } from './lib.js';
        import { Counter, Trend } from 'k6/metrics';
        const users = new SharedArray('users', () => JSON.parse(open('./users.json')));
        const counter = new Counter('my_counter'), trend = new Trend('my_trend', true);
        export const options = { vus: 2, iterations: 4, thresholds: { checks: ['rate==1'] } };
        export default function () {
            let frozen = false;
            try { users[0].name = 'x' } catch { frozen = true }
            check(users, { length: (u) => u.length === 2, first: (u) => u[0].name === 'a',
                frozen: () => frozen,
                map: (u) => u.map((x) => x.name).join() === 'a,b', of: (u) => [...u].length === 2,
                twice: () => twice(2) === 4 });
            counter.add(2); trend.add(5, { a: 'b' });
        }";
    let files = [
        ("users.json", r#"[{"name":"a"},{"name":"b"}]"#),
        ("lib.js", "export const twice = (x) => 2 * x;"),
    ];
    let run = run_with(script, &[], &files).ends_with(0);
    assert_eq!(run.value("my_counter", "count"), 8.0);
    assert_eq!(run.value("my_trend", "max"), 5.0);
}

#[test]
fn writes_its_own_summary() {
    let run = run("export default function () {}
        export function handleSummary(data) {
            return { stdout: 'mine ' + data.metrics.iterations.values.count, 'out.txt': 'x' };
        }")
    .ends_with(0);
    assert!(run.stdout.contains("mine 1"), "{}", run.stdout);
}

#[test]
fn aborts_when_a_script_says_so() {
    let script = "import exec from 'k6/execution';
        import { sleep } from 'k6';
        export const options = { vus: 2, duration: '30s' };
        export default function () {
            if (exec.vu.idInTest === 1) exec.test.abort('enough'); sleep(20); }";
    let run = run(script).ends_with(108);
    assert!(run.stderr.contains("enough"), "{}", run.stderr);
}

#[test]
fn fails_when_a_script_says_so() {
    run("import exec from 'k6/execution';
         export default function () { exec.test.fail('bad'); }")
    .ends_with(110);
}

#[test]
fn begins_by_the_clock() {
    let run = run("import http from 'k6/http';
        export const options = { scenarios: { open: { executor: 'constant-arrival-rate', rate: 50,
            timeUnit: '1s', duration: '1s', preAllocatedVUs: 50 } } };
        export default function () { http.get(__ENV.URL + '/'); }")
    .ends_with(0);
    let iterations = run.value("iterations", "count");
    assert!((49.0..=51.0).contains(&iterations), "{iterations}");
    assert!(run.summary["metrics"]["iteration_latency"].is_object(), "{}", run.summary);
}

#[test]
fn a_busy_script_does_not_starve_the_others() {
    let run = run_with(
        "import { sleep } from 'k6';
        import { Counter } from 'k6/metrics';
        const ticks = new Counter('ticks');
        export const options = { scenarios: {
            busy: { executor: 'per-vu-iterations', vus: 1, iterations: 1, exec: 'busy' },
            calm: { executor: 'constant-vus', vus: 1, duration: '1s', exec: 'calm' } } };
        export function busy() { const end = Date.now() + 1000; while (Date.now() < end); }
        export function calm() { sleep(0.01); ticks.add(1); }",
        &["--workers", "1"],
        &[],
    )
    .ends_with(0);
    assert!(run.value("ticks", "count") > 3.0, "{}", run.stdout);
    assert!(run.stderr.contains("scripts ran for"), "{}", run.stderr);
}

#[test]
fn interrupts_what_takes_too_long() {
    let run = run("import { sleep } from 'k6';
        export const options = { scenarios: { s: { executor: 'constant-vus', vus: 2,
            duration: '1s', gracefulStop: '0s' } } };
        export default function () { try { sleep(60); } catch { sleep(60); } }")
    .ends_with(0);
    assert!(run.value("iterations", "count").is_nan() || run.value("iterations", "count") == 0.0);
}

#[test]
fn a_full_summary_tells_scenarios_and_groups_apart() {
    let script = "import http from 'k6/http'; import { check, group } from 'k6';
        import { Counter } from 'k6/metrics';
        const mine = new Counter('mine');
        const once = (exec) => ({ executor: 'per-vu-iterations', vus: 1, iterations: 2, exec });
        export const options = { scenarios: { one: once('a'), two: once('b') } };
        export function setup() { group('before', () => mine.add(5)); }
        export function a() {
            group('login', () => {
                http.get(__ENV.URL + '/');
                group('inner', () => { mine.add(3); check(1, { holds: () => true }); });
            });
            mine.add(1);
        }
        export function b() { check(1, { breaks: () => false }); }";
    let run = run_with(script, &["--summary-mode", "full"], &[]).ends_with(0);
    let (total, parts) = run.stdout.split_once("GROUP: setup").unwrap();
    assert!(total.contains("mine") && total.contains(": 13 "), "{}", run.stdout);
    let (before, parts) = parts.split_once("\u{2588} SCENARIO: one").unwrap();
    assert!(before.contains("\u{21b3} GROUP: before") && before.contains(": 5 "), "{before}");
    let (one, two) = parts.split_once("\u{2588} SCENARIO: two").unwrap();
    assert!(two.contains("\u{2717} breaks") && !two.contains("holds"), "{two}");
    assert!(two.contains("iterations") && !two.contains("http_reqs"), "{two}");
    // A group's metrics are those of its own: what is counted further in is told there.
    let (one, login) = one.split_once("    \u{21b3} GROUP: login").unwrap();
    let (login, inner) = login.split_once("      \u{21b3} GROUP: inner").unwrap();
    assert!(one.contains(": 8 ") && one.contains("data_sent"), "{one}");
    assert!(login.contains("http_reqs") && !login.contains("mine"), "{login}");
    assert!(inner.contains(": 6 ") && inner.contains("\u{2713} holds"), "{inner}");
    // Without scenarios there are only groups, and without the mode none of this.
    let single = script.replace("scenarios: {", "tags: { no: '1' } }; const none = { x: {");
    let single = single + " export default a;";
    let run = run_with(&single, &["--summary-mode", "full"], &[]).ends_with(0);
    assert!(run.stdout.contains("\u{2588} GROUP: login"), "{}", run.stdout);
    assert!(!run.stdout.contains("SCENARIO"), "{}", run.stdout);
    let run = run_with(script, &[], &[]).ends_with(0);
    assert!(!run.stdout.contains("SCENARIO") && !run.stdout.contains("GROUP"), "{}", run.stdout);
}
