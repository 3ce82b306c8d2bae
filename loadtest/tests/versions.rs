//! Scripts that choose their version of HTTP, against a server of each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod origins;
mod serving;

use std::{
    net::{SocketAddr, UdpSocket},
    process::{Command, Output},
};

use serde_json::Value;

/// Runs a script with these words on the command line, and this file of certificates.
fn run(script: &str, address: SocketAddr, words: &[&str], pem: Option<&str>) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let (main, summary) = (folder.path().join("main.js"), folder.path().join("summary.json"));
    let script = format!(
        "import http from 'k6/http'; import {{ check, sleep }} from 'k6';
         const url = 'https://{address}', port = '{}', plain = 'http://{address}';
         const is = (name, a, b) => check(a, {{ [`${{name}}: ${{JSON.stringify(a)}}`]: () =>
             JSON.stringify(a) === JSON.stringify(b) }});
         const holds = (name, truth) => is(name, truth, true);
         {script}",
        address.port()
    );
    std::fs::write(&main, script).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-load"));
    command.args(["run", "--quiet", "--summary-export"]).arg(&summary).args(words).arg(&main);
    if let Some(pem) = pem {
        command.env("SSL_CERT_FILE", origins::authority(folder.path(), pem));
    }
    let output = command.output().unwrap();
    let summary = std::fs::read(summary).ok().and_then(|text| serde_json::from_slice(&text).ok());
    (output, summary.unwrap_or_default())
}

/// Runs the body as an iteration with these options; a check that fails fails the test.
#[track_caller]
fn holds(
    address: SocketAddr,
    options: &str,
    words: &[&str],
    pem: Option<&str>,
    body: &str,
) -> Value {
    let script = format!(
        "export const options = {{ {options} thresholds: {{ checks: ['rate==1'] }} }};
         export default async function () {{ {body} }}"
    );
    let (output, summary) = run(&script, address, words, pem);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(!text.contains("ERRO[") && text.contains("checks_succeeded"), "{text}");
    summary
}

const ANY: &str = "insecureSkipTLSVerify: true,";

#[test]
fn http_3_by_an_option() {
    let (server, _) = origins::quic("h3");
    let address = server.address;
    let options = "httpVersion: '3', insecureSkipTLSVerify: true, iterations: 2, vus: 2,";
    let body = "
        const first = http.get(url + '/');
        is('proto', [first.status, first.proto, first.body], [200, 'HTTP/3', 'hello']);
        is('tls', first.tls_version, 'tls1.3');
        is('server', [first.remote_ip, String(first.remote_port)], ['127.0.0.1', port]);
        const t = first.timings;
        holds('a handshake', t.connecting > 0 && t.tls_handshaking === 0 && t.waiting > 0);
        const second = http.post(url + '/', 'x'.repeat(300000));
        is('no handshake', [second.timings.connecting, second.timings.blocked < 1000], [0, true]);
        is('body', [second.body.length, second.headers['X-Method']], [300000, 'POST']);
        const all = http.batch([...Array(10).keys()].map(() => url + '/'));
        const connections = new Set([first, second, ...all].map((r) => r.headers['X-Connection']));
        is('connections of a user', connections.size, 1);
        const led = http.get(url + '/redirect');
        is('redirects', [led.status, led.proto, led.url], [200, 'HTTP/3', url + '/']);
        const early = http.post(url + '/early', 'x'.repeat(3000000));
        is('early', early.status, 413);
        is('async', (await http.asyncRequest('GET', url + '/')).proto, 'HTTP/3');";
    let summary = holds(address, options, &[], None, body);
    let count = |metric: &str, key: &str| summary["metrics"][metric][key].as_f64().unwrap();
    assert!(count("data_sent", "count") > 600_000.0, "{summary}");
    assert!(count("data_received", "count") > 600_000.0, "{summary}");
    assert!(count("data_received", "count") < 2_000_000.0, "{summary}");
    assert_eq!(count("http_reqs", "count"), 32.0);
    assert!(count("http_req_connecting", "max") > 0.0);
}

#[test]
fn http_3_by_a_flag_and_another_version_by_a_parameter() {
    let (server, _) = origins::quic("h3");
    let address = server.address;
    let body = "
        is('the flag', http.get(url + '/').proto, 'HTTP/3');
        const tcp = http.get(url + '/', { httpVersion: '1.1' });
        is('nobody listens on TCP', tcp.error_code, 1212);
        is('no such version', http.get(url, { httpVersion: '4' }).status, 0);";
    holds(address, ANY, &["--http", "3"], None, body);
    let body = "
        is('TCP', http.get(url + '/').error_code, 1212);
        is('QUIC', http.get(url + '/', { httpVersion: '3' }).proto, 'HTTP/3');";
    holds(address, ANY, &[], None, body);
    let script = "export const options = { httpVersion: 5 }; export default function () {}";
    let (output, _) = run(script, address, &[], None);
    assert_eq!(output.status.code(), Some(104));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("httpVersion: '5' is none of"), "{said}");
}

#[test]
fn certificates_are_looked_at_over_quic() {
    let (server, pem) = origins::quic("h3");
    let address = server.address;
    let options = "httpVersion: '3',";
    let body = "
        const unknown = http.get(url + '/');
        is('authority', [unknown.status, unknown.error_code], [0, 1310]);";
    holds(address, options, &[], None, body);
    let body = "
        is('known', http.get(url + '/').status, 200);
        is('name', http.get(`https://localhost:${port}/`).error_code, 1311);";
    let options = "httpVersion: '3', hosts: { localhost: '127.0.0.1' },";
    holds(address, options, &[], Some(&pem), body);
    // Something else than HTTP/3 is spoken there.
    let (server, pem) = origins::quic("other");
    let address = server.address;
    holds(address, options, &[], Some(&pem), "is('alpn', http.get(url).error_code, 1300);");
}

#[test]
fn quic_that_fails_says_why() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let vacant = socket.local_addr().unwrap();
    drop(socket);
    let options = "httpVersion: '3', insecureSkipTLSVerify: true,";
    let body = "
        const refused = http.get(url);
        is('refused', [refused.status, refused.error_code], [0, 1212]);
        is('no TLS', http.get(plain).error_code, 1800);";
    holds(vacant, options, &[], None, body);
    // Who never answers is given up when the request's time is over.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let body = "is('silent', http.get(url, { timeout: '300ms' }).error_code, 1050);";
    holds(silent.local_addr().unwrap(), options, &[], None, body);
    let (server, _) = origins::quic("h3");
    let address = server.address;
    let body = "
        is('reset', http.get(url + '/reset').error_code, 1830);
        http.get(url);
        // Over a connection that goes on it is asked once, not until its time is over.
        is('reset later', http.get(url + '/reset', { timeout: '2s' }).error_code, 1830);
        is('slow', http.get(url + '/slow', { timeout: '300ms' }).error_code, 1050);";
    holds(address, options, &[], None, body);
}

#[test]
fn connections_of_http_3_are_reused_as_those_of_the_others() {
    let (server, _) = origins::quic("h3");
    let address = server.address;
    let options = "httpVersion: '3', insecureSkipTLSVerify: true, iterations: 2,";
    let connection = "const on = (r) => Number(r.headers['X-Connection']);";
    // The server ends a connection in both of its ways: nothing is lost.
    let body = format!(
        "{connection}
         const a = on(http.get(url + '/last'));
         sleep(0.5);
         const b = on(http.post(url + '/', 'not idempotent'));
         is('after GOAWAY', b, a + 1);
         const c = on(http.get(url + '/close'));
         sleep(0.5);
         is('after a close', [c, on(http.post(url + '/', 'x'))], [b, b + 1]);"
    );
    holds(address, options, &[], None, &body);
    let (server, _) = origins::quic("h3");
    let address = server.address;
    let body = format!(
        "{connection}
         is('each has its own', on(http.get(url)) !== on(http.get(url)), true);"
    );
    let none = format!("{options} noConnectionReuse: true,");
    holds(address, &none, &[], None, &body);
    let (server, _) = origins::quic("h3");
    let address = server.address;
    let body = format!(
        "{connection}
         is('an iteration', [on(http.get(url)), on(http.get(url))], [__ITER + 1, __ITER + 1]);"
    );
    let by_iteration = format!("{options} noVUConnectionReuse: true,");
    holds(address, &by_iteration, &[], None, &body);
}

#[test]
fn http_1_and_2_over_tls_and_http_2_without() {
    let (tls, _) = serving::tls("127.0.0.1", &["h2", "http/1.1"]);
    let server = origins::tcp(Some(tls));
    let address = server.address;
    let body = "
        is('agreed', http.get(url).proto, 'HTTP/2.0');
        is('1.1', http.get(url, { httpVersion: '1.1' }).proto, 'HTTP/1.1');
        is('2', http.get(url, { httpVersion: '2' }).proto, 'HTTP/2.0');";
    holds(address, ANY, &[], None, body);
    holds(address, ANY, &["--http", "1.1"], None, "is('flag', http.get(url).proto, 'HTTP/1.1');");
    let (tls, _) = serving::tls("127.0.0.1", &[]);
    let body = "is('no HTTP/2', http.get(url).error_code, 1600);";
    holds(origins::tcp(Some(tls)).address, ANY, &["--http", "2"], None, body);
    let body = "
        const all = http.batch([plain, plain, plain]);
        is('without TLS', all.map((r) => r.proto), Array(3).fill('HTTP/2.0'));";
    holds(origins::tcp(None).address, "", &["--http", "2"], None, body);
}
