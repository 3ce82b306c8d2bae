//! `k6/net/grpc` against a real server.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod calls;
mod running;
mod server;
mod serving;

use calls::{CallServer, KINDS, PROTO};
use running::{Run, run_with};

/// Runs the body as the iteration of one VU with a connected `client`; `is` compares.
#[track_caller]
fn holds(body: &str) -> Run {
    let server = CallServer::start();
    let script = format!(
        "import grpc from 'k6/net/grpc';
         import {{ check }} from 'k6';
         export const options = {{ thresholds: {{ checks: ['rate==1'],
             iterations: ['count==1'] }} }};
         const client = new grpc.Client();
         const methods = client.load(['.'], 'greeter.proto');
         const is = (name, a, b) => check(a, {{ [name + ' ' + JSON.stringify(a)]: () =>
             JSON.stringify(a) === JSON.stringify(b) }});
         const thrown = (f) => {{ try {{ f(); return ''; }} catch (e) {{ return e.message; }} }};
         export default async function () {{
             client.connect(__ENV.GRPC, {{ plaintext: true }});
             {body}
             client.close();
         }}"
    );
    let files = [("greeter.proto", PROTO), ("kinds.proto", KINDS)];
    let run = run_with(&script, &["-e", &server.variable()], &files).ends_with(0);
    assert!(!run.stderr.contains("ERRO"), "{}", run.stderr);
    assert!(run.value("checks", "passes") > 0.0, "{}", run.stdout);
    run
}

#[test]
fn invokes_methods() {
    let run = holds(
        "is('methods', [methods.length, methods[0].full_method], [6, '/test.Greeter/Say']);
         const r = client.invoke('test.Greeter/Say', { name: 'you', count: 7, kind: 'LOUD' },
             { metadata: { 'X-Mine': 'yes' }, tags: { t: '1' } });
         is('status', [r.status, r.status === grpc.StatusOK, r.error], [0, true, null]);
         is('message', r.message, { text: 'hello you!', number: '7', list: [], raw: '',
             kind: 'PLAIN', more: [], named: {}, inner: null });
         is('headers', [r.headers['x-seen-mine'], r.trailers['x-trailer']], [['yes'], ['behind']]);
         const a = await client.asyncInvoke('/test.Greeter/Say', { name: 'b' });
         is('async', a.message.text, 'hello b');
         const d = client.invoke('test.Greeter/Say', {}, { discardResponseMessage: true });
         is('discarded', [d.status, d.message], [0, null]);",
    );
    assert!(run.value("grpc_req_duration", "max") > 0.0, "{}", run.stdout);
    assert!(run.value("data_received", "count") > 10.0, "{}", run.stdout);
}

#[test]
fn tells_what_goes_wrong() {
    holds(
        "const f = client.invoke('test.Greeter/Fail', { name: 'x' });
         is('failed', [f.status, f.message, f.error.code, f.error.message],
             [grpc.StatusNotFound, null, 5, 'not here']);
         const s = client.invoke('test.Greeter/Slow', {}, { timeout: '50ms' });
         is('late', s.status, grpc.StatusDeadlineExceeded);
         check(null, {
             unknown: () => thrown(() => client.invoke('test.Greeter/No', {}))
                 .includes('not found'),
             field: () => thrown(() => client.invoke('test.Greeter/Say', { no: 1 })).includes('no'),
             refused: () => thrown(() => new grpc.Client().connect('127.0.0.1:1',
                 { plaintext: true })).includes('refused'),
             param: () => thrown(() => client.connect(__ENV.GRPC, { plain: true }))
                 .includes('plain'),
             unconnected: () => thrown(() => new grpc.Client().invoke('test.Greeter/Say', {}))
                 .includes('connect first'),
         });
         const small = { plaintext: true, reflect: true, maxReceiveSize: 10 };
         const large = thrown(() => new grpc.Client().connect(__ENV.GRPC, small));
         check(large, { large: (text) => text.includes('larger than max') });",
    );
}

#[test]
fn asks_the_server_what_it_serves() {
    holds(
        "const other = new grpc.Client();
         other.connect(__ENV.GRPC, { plaintext: true, reflect: true });
         is('reflected', other.invoke('test.Greeter/Say', { name: 'r', kind: 1 }).message.text,
             'hello r!');",
    );
}

#[test]
fn streams_are_events_of_the_iteration() {
    let run = holds(
        "const talk = (method, begin) => new Promise((done) => {
             const stream = new grpc.Stream(client, method, null), said = [];
             stream.on('data', (m, meta) => { said.push(m.text + m.number);
                 if (!(meta.ts > 0)) said.push('no time'); });
             stream.on('error', (e) => said.push(e.code));
             stream.on('end', () => done(said));
             begin(stream, said);
         });
         is('server', await talk('test.Greeter/Count', (s) => { s.write({ name: 'n', count: 3 });
             s.end(); }), ['n0', 'n1', 'n2']);
         is('client', await talk('test.Greeter/Sum', (s) => { s.write({ count: 3 });
             s.write({ count: 4 }); s.end(); }), ['sum7']);
         is('both', await talk('test.Greeter/Chat', (s, said) => {
             s.write({ name: 'a' });
             s.on('data', () => said.length < 3 ? s.write({ name: 'b' }) : s.end());
         }), ['hello a0', 'hello b0', 'hello b0']);
         is('failing', await talk('test.Greeter/Fail', (s) => s.end()), [5]);
         is('many', (await talk('test.Greeter/Count', (s) => {
             s.write({ name: 'm', count: 3000 }); s.end(); })).length, 3000);",
    );
    assert_eq!(run.value("grpc_streams", "count"), 5.0);
    assert_eq!(run.value("grpc_streams_msgs_sent", "count"), 7.0);
    assert_eq!(run.value("grpc_streams_msgs_received", "count"), 3007.0);
}

#[test]
fn bad_files_end_the_run() {
    let script = "import grpc from 'k6/net/grpc';
        const client = new grpc.Client();
        client.load(['.'], 'bad.proto');
        export default () => {};";
    let files = [("bad.proto", "syntax = \"proto3\";\nmessage A { string b = ; }")];
    let run = run_with(script, &[], &files).ends_with(107);
    assert!(run.stderr.contains("bad.proto"), "{}", run.stderr);
}

#[test]
fn calls_over_tls() {
    let server = CallServer::start_tls();
    let script = "import grpc from 'k6/net/grpc';
        import { check } from 'k6';
        export const options = { thresholds: { checks: ['rate==1'], iterations: ['count==1'] } };
        const client = new grpc.Client(), cacerts = open('./ca.pem');
        client.load(null, 'greeter.proto');
        export default function () {
            let why = '';
            try { client.connect(__ENV.GRPC) } catch (e) { why = e.message }
            check(why, { untrusted: (why) => why.includes('unknown authority') });
            client.connect(__ENV.GRPC, { tls: { cacerts }, timeout: '5s' });
            const r = client.invoke('test.Greeter/Say', { name: 'you' });
            check(r, { text: (r) => r.message.text === 'hello you' });
        }";
    let files = [("greeter.proto", PROTO), ("kinds.proto", KINDS), ("ca.pem", &server.certificate)];
    let run = run_with(script, &["-e", &server.named()], &files).ends_with(0);
    assert_eq!(run.value("checks", "passes"), 2.0, "{}", run.stdout);
}

#[test]
fn streams_leave_nothing_behind() {
    let server = CallServer::start();
    let script = "import grpc from 'k6/net/grpc';
        export const options = { vus: 2, iterations: 400 };
        const client = new grpc.Client();
        client.load(null, 'greeter.proto');
        export default function () {
            const ballast = new Array(10000).fill(__ITER);
            if (__ITER === 0) client.connect(__ENV.GRPC, { plaintext: true });
            const stream = new grpc.Stream(client, 'test.Greeter/Sum');
            stream.on('end', () => ballast.push(stream));
            stream.end();
            client.asyncInvoke('test.Greeter/Say', {}).then(() => ballast.push(stream));
        }";
    let arguments = ["-e", &server.variable(), "--vm-memory", "24M"];
    let files = [("greeter.proto", PROTO), ("kinds.proto", KINDS)];
    let run = run_with(script, &arguments, &files).ends_with(0);
    assert!(!run.stderr.contains("memory"), "{}", run.stderr);
    assert_eq!(run.value("grpc_streams", "count"), 400.0);
}

#[test]
fn a_unary_call_takes_one_message() {
    let server = CallServer::start();
    let proto = PROTO.replace("returns (stream Reply)", "returns (Reply)");
    let script = "import grpc from 'k6/net/grpc';
        import { check } from 'k6';
        export const options = { thresholds: { checks: ['rate==1'] } };
        const client = new grpc.Client();
        client.load(['.'], 'greeter.proto');
        export default function () {
            client.connect(__ENV.GRPC, { plaintext: true });
            const one = client.invoke('test.Greeter/Count', { name: 'a', count: 1 });
            check(one, { one: (r) => r.status === grpc.StatusOK && r.message.text === 'a' });
            const two = client.invoke('test.Greeter/Count', { name: 'a', count: 2 });
            check(two, { two: (r) => r.status === grpc.StatusInternal });
        }";
    let files = [("greeter.proto", &*proto), ("kinds.proto", KINDS)];
    let run = run_with(script, &["-e", &server.variable()], &files).ends_with(0);
    assert_eq!(run.value("checks", "passes"), 2.0, "{}", run.stdout);
}

#[test]
fn checks_health() {
    holds(
        "const all = client.healthCheck();
         is('server', [all.status, all.message.status], [grpc.StatusOK, grpc.HealthCheckServing]);
         const one = client.healthCheck('test.Greeter');
         is('service', one.message.status, grpc.HealthCheckNotServing);
         is('unknown', client.healthCheck('x').status, grpc.StatusNotFound);
         is('names', [grpc.HealthCheckServing, grpc.HealthCheckUnknown], ['SERVING', 'UNKNOWN']);",
    );
}
