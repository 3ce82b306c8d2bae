//! `k6/ws` and `k6/websockets` against a real server.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod running;
mod server;
mod serving;
mod sockets;

use running::{Run, run_with};
use sockets::SocketServer;

/// Runs the body as the iteration of one VU; `is` compares, and `said` collects.
#[track_caller]
fn holds(body: &str) -> Run {
    let server = SocketServer::start();
    let script = format!(
        "import ws from 'k6/ws';
         import {{ WebSocket, Blob }} from 'k6/websockets';
         import {{ check }} from 'k6';
         export const options = {{ thresholds: {{ checks: ['rate==1'],
             iterations: ['count==1'] }} }};
         const url = __ENV.WS;
         const is = (name, a, b) => check(a, {{ [name + ' ' + JSON.stringify(a)]: () =>
             JSON.stringify(a) === JSON.stringify(b) }});
         const said = [];
         export default async function () {{ {body} }}"
    );
    let run = run_with(&script, &["-e", &server.variable()], &[]).ends_with(0);
    assert!(!run.stderr.contains("ERRO"), "{}", run.stderr);
    assert!(run.value("checks", "passes") > 0.0, "{}", run.stdout);
    run
}

#[test]
fn a_server_that_never_reads_holds_nobody_up() {
    // What is sent waits, and the loop goes on.
    holds(
        "const big = 'x'.repeat(1 << 20);
         let ticks = 0;
         await new Promise((done) => {
             const socket = new WebSocket(url);
             socket.onopen = () => {
                 socket.send('mute');
                 const timer = setInterval(() => {
                     socket.send(big);
                     if (++ticks < 14) return;
                     clearInterval(timer);
                     is('waits', socket.bufferedAmount > (4 << 20), true);
                     is('within bounds', socket.bufferedAmount <= (14 << 20), true);
                     socket.close();
                 }, 5);
             };
             socket.onclose = (event) => { said.push(event.code); done(); };
         });
         is('said', said, [1006]);",
    );
    // Too much of it is the socket's end.
    holds(
        "const big = 'x'.repeat(1 << 20);
         await new Promise((done) => {
             const socket = new WebSocket(url);
             socket.onopen = () => {
                 socket.send('mute');
                 for (let i = 0; i < 40; i++) socket.send(big);
                 said.push(socket.bufferedAmount);
             };
             socket.onerror = (event) => said.push(event.error.includes('takes no messages'));
             socket.onclose = (event) => { said.push(event.code); done(); };
         });
         is('said', said, [0, true, 1006]);",
    );
    holds(
        "const big = 'x'.repeat(1 << 20);
         ws.connect(url, (socket) => {
             socket.on('open', () => {
                 socket.send('mute');
                 for (let i = 0; i < 40; i++) socket.send(big);
             });
             socket.on('error', (e) => said.push(e.error().includes('takes no messages')));
             socket.on('close', (code) => said.push(code));
         });
         is('said', said, [true, 1006]);",
    );
    // One that reads gets all of it, however much waits meanwhile.
    holds(
        "const big = 'x'.repeat(1 << 20);
         let got = 0;
         await new Promise((done) => {
             const socket = new WebSocket(url);
             socket.onopen = () => { for (let i = 0; i < 40; i++) socket.send(big); };
             socket.onmessage = (event) => {
                 got += event.data.length;
                 if (got === 40 << 20) { socket.close(); done(); }
             };
         });
         is('got', got, 40 << 20);",
    );
}

#[test]
fn connect_lasts_until_the_socket_is_closed() {
    let run = holds(
        "const r = ws.connect(url + '/a', { headers: { 'X-Mine': 'yes' }, tags: { t: '1' } },
             (socket) => {
             socket.on('open', () => { said.push('open'); socket.send('hello'); });
             socket.on('message', (m) => {
                 said.push(m);
                 if (m === 'hello') socket.sendBinary(new Uint8Array([1, 2, 3]).buffer);
             });
             socket.on('binaryMessage', (b) => {
                 said.push(new Uint8Array(b).join());
                 socket.ping();
             });
             socket.on('pong', () => { said.push('pong'); socket.send('ping'); });
             socket.on('ping', () => { said.push('ping'); socket.setTimeout(() => {
                 said.push('timer'); socket.close(); }, 5); });
             socket.on('close', (code) => said.push(code));
             socket.on('error', (e) => said.push(e.error()));
         });
         is('said', said, ['open', 'hello', '1,2,3', 'pong', 'ping', 'timer', 1000]);
         is('response', [r.status, r.headers['X-Seen-Mine'], r.error], [101, 'yes', '']);",
    );
    assert_eq!(run.value("ws_sessions", "count"), 1.0);
    assert_eq!(run.value("ws_msgs_sent", "count"), 3.0);
    assert_eq!(run.value("ws_msgs_received", "count"), 2.0);
    for trend in ["ws_connecting", "ws_ping", "ws_session_duration"] {
        assert!(run.value(trend, "max") > 0.0, "{trend}: {}", run.stdout);
    }
    assert!(run.value("data_received", "count") > 100.0, "{}", run.stdout);
}

#[test]
fn connect_tells_how_a_server_leaves() {
    holds(
        "ws.connect(url, (socket) => {
             socket.on('open', () => socket.send('close'));
             socket.setInterval(() => {}, 1);
             socket.on('close', (code) => said.push(code));
         });
         is('closed', said, [4001]);
         ws.connect(url, null, (socket) => {
             socket.on('open', () => socket.send('vanish'));
             socket.on('error', (e) => said.push(e.error().includes('1006')));
             socket.on('close', (code) => said.push(code));
         });
         is('gone', said, [4001, true, 1006]);
         const r = ws.connect(url + '/refuse', () => said.push('never'));
         is('refused', [r.status, r.body], [403, 'not you']);
         const none = ws.connect('ws://127.0.0.1:1/', () => said.push('never'));
         is('nobody', [none.status, none.error !== ''], [0, true]);
         is('never', said.length, 3);
         let thrown = '';
         try { ws.connect(url, (s) => s.on('open', () => { throw new Error('mine') })); }
         catch (e) { thrown = e.message; }
         is('thrown', thrown, 'mine');",
    );
}

#[test]
fn sockets_are_events_of_the_iteration() {
    let run = holds(
        "const socket = new WebSocket(url, ['first', 'second'], { tags: { t: '1' } });
         is('connecting', [socket.readyState, socket.url, socket.binaryType], [0, url, 'blob']);
         let early = '';
         try { socket.send('x') } catch (e) { early = e.message }
         check(early, { early: (e) => e.includes('InvalidState') });
         socket.onopen = () => { said.push('open'); socket.send('hello'); };
         socket.addEventListener('message', async (event) => {
             if (typeof event.data === 'string') {
                 said.push(event.data);
                 if (event.data === 'hello') socket.send(new Uint8Array([104, 105]));
             } else if (event.data instanceof Blob) {
                 said.push(await event.data.text(), event.data.size);
                 socket.binaryType = 'arraybuffer';
                 socket.send(new Blob(['b', new Uint8Array([108])]));
             } else {
                 said.push(new Uint8Array(event.data).join());
                 socket.ping();
             }
         });
         socket.onpong = () => socket.close(4000, 'enough');
         const closed = await new Promise((done) => { socket.onclose = done; });
         is('said', said, ['open', 'hello', 'hi', 2, '98,108']);
         is('closed', [socket.readyState, closed.type, closed.code, socket.protocol],
             [WebSocket.CLOSED, 'close', 4000, 'first']);",
    );
    assert_eq!(run.value("ws_sessions", "count"), 1.0);
    assert_eq!(run.value("ws_msgs_sent", "count"), 3.0);
    assert_eq!(run.value("ws_msgs_received", "count"), 3.0);
    assert!(run.value("ws_session_duration", "max") > 0.0, "{}", run.stdout);
}

#[test]
fn sockets_tell_what_goes_wrong() {
    holds(
        "for (const to of ['ws://127.0.0.1:1/', url + '/refuse']) {
             const socket = new WebSocket(to);
             await new Promise((done) => {
                 socket.onerror = (e) => said.push(e.type, e.error !== '');
                 socket.onclose = () => { said.push(socket.readyState); done(); };
             });
         }
         is('said', said, ['error', true, 3, 'error', true, 3]);
         for (const bad of ['http://a/', 'nonsense', 'ws://']) {
             let name = '';
             try { new WebSocket(bad) } catch (e) { name = e.name }
             is(bad, name, 'SyntaxError');
         }",
    );
}

#[test]
fn many_sockets_and_messages_at_once() {
    let run = holds(
        "let count = 0;
         const all = Array.from({ length: 20 }, () => new Promise((done) => {
             const socket = new WebSocket(url);
             socket.onopen = () => socket.send('flood');
             socket.onmessage = () => { if (++count % 1000 === 0) said.push(count); };
             setTimeout(() => socket.send('close'), 300);
             socket.onclose = done;
         }));
         await Promise.all(all);
         is('count', count, 20000);",
    );
    assert_eq!(run.value("ws_msgs_received", "count"), 20_000.0);
    assert_eq!(run.value("ws_sessions", "count"), 20.0);
}

#[test]
fn an_open_socket_ends_with_its_iteration() {
    let server = SocketServer::start();
    let script = "import { WebSocket } from 'k6/websockets';
        import ws from 'k6/ws';
        export const options = { scenarios: {
            events: { executor: 'constant-vus', vus: 2, duration: '1s', gracefulStop: '0s',
                exec: 'events' },
            lasting: { executor: 'constant-vus', vus: 2, duration: '1s', gracefulStop: '0s',
                exec: 'lasting' } } };
        export function events() { new WebSocket(__ENV.WS).onopen = () => {}; }
        export function lasting() { ws.connect(__ENV.WS, () => {}); }";
    let run = run_with(script, &["-e", &server.variable()], &[]).ends_with(0);
    assert_eq!(run.value("ws_sessions", "count"), 4.0, "{}", run.stdout);
    assert!(run.value("ws_session_duration", "max") > 500.0, "{}", run.stdout);
}

#[test]
fn sockets_leave_nothing_behind() {
    let server = SocketServer::start();
    let script = "import ws from 'k6/ws';
        import { WebSocket } from 'k6/websockets';
        export const options = { vus: 2, iterations: 400 };
        export default function () {
            const ballast = new Array(10000).fill(__ITER);
            const closed = ws.connect(__ENV.WS, (socket) => {
                socket.setInterval(() => ballast.push(socket), 1000);
                socket.on('open', () => { ballast.push(socket); socket.close(); });
            });
            const socket = new WebSocket(__ENV.WS);
            socket.onopen = () => { ballast.push(socket, closed); socket.close(); };
        }";
    let arguments = ["-e", &server.variable(), "--vm-memory", "24M"];
    let run = run_with(script, &arguments, &[]).ends_with(0);
    assert!(!run.stderr.contains("memory"), "{}", run.stderr);
    assert_eq!(run.value("ws_sessions", "count"), 800.0);
}

#[test]
fn sockets_speak_tls() {
    let server = SocketServer::start_tls();
    let script = "import ws from 'k6/ws';
        import { check } from 'k6';
        export const options = { thresholds: { checks: ['rate==1'], iterations: ['count==1'] },
            insecureSkipTLSVerify: __ENV.TRUST === 'yes' };
        export default function () {
            const r = ws.connect(__ENV.WS, (s) => s.on('open', () => s.close()));
            const trusts = __ENV.TRUST === 'yes';
            check(r, { status: (r) => r.status === (trusts ? 101 : 0),
                why: (r) => trusts || r.error.includes('unknown authority') });
        }";
    for trust in ["TRUST=yes", "TRUST=no"] {
        run_with(script, &["-e", &server.secure(), "-e", trust], &[]).ends_with(0);
    }
}

#[test]
fn a_message_that_is_too_long_is_an_error_of_its_socket() {
    holds(
        "const r = ws.connect(url, {}, (socket) => {
             socket.on('open', () => socket.send('boast'));
             socket.on('error', (e) => said.push(e.error().includes('too long')));
             socket.on('close', (code) => said.push(code));
         });
         is('said', said, [true, 1006]);",
    );
}
