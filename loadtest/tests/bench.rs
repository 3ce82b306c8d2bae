//! `weir-load bench` as a user runs it, against real servers of each protocol.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod origins;
mod serving;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

/// Runs `weir-load bench` with these words; what it said and wrote.
fn bench(url: &str, words: &str, json: &Path) -> (Output, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_weir-load"))
        .args(["bench", url, "--json"])
        .arg(json)
        .args(words.split_whitespace())
        .output()
        .unwrap();
    let written = std::fs::read_to_string(json).unwrap_or_else(|_| "null".to_owned());
    (output, serde_json::from_str(&written).unwrap())
}

/// A server of HTTP/1.1 that answers the `n`-th request after `pause(n)`, all connections one after
/// the other so that a pause holds up all of them.
fn serve_h1(
    pause: impl Fn(u64) -> Duration + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (count, pause) = (Arc::new(AtomicU64::new(0)), Arc::new(pause));
    let gate = Arc::new(std::sync::Mutex::new(()));
    let counted = count.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, pause) = (stream.unwrap(), pause.clone());
            let (counted, gate) = (counted.clone(), gate.clone());
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    assert!(buffer[..read].ends_with(b"\r\n\r\n"), "whole requests without a body");
                    {
                        let _held = gate.lock().unwrap();
                        thread::sleep(pause(counted.fetch_add(1, Relaxed)));
                    }
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, count)
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {value}"))
}

#[test]
fn as_many_requests_as_asked_for() {
    let (address, count) = serve_h1(|_| Duration::ZERO);
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("out.json");
    let (output, result) = bench(&format!("http://{address}/x"), "-n 101 -c 4 -t 2", &json);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(count.load(Relaxed), 101);
    assert_eq!((number(&result, "/requests"), number(&result, "/failed")), (101.0, 0.0));
    assert_eq!(number(&result, "/statuses/200"), 101.0);
    assert_eq!(number(&result, "/body_bytes"), 505.0);
    assert!(text.contains("101 answered, 0 failed"), "{text}");
    assert!(number(&result, "/service_ms/p50") <= number(&result, "/service_ms/p99.9"), "{result}");
}

#[test]
fn a_stall_shows_in_what_users_see() {
    // The 40th request holds up everything for 600 ms of 2 s.
    let stall = |n| Duration::from_millis(if n == 40 { 600 } else { 0 });
    let (address, count) = serve_h1(stall);
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("out.json");
    let words = "-r 200 -d 2s -c 4 -t 1";
    let (output, result) = bench(&format!("http://{address}/"), words, &json);
    assert_eq!(output.status.code(), Some(0));
    // Nothing is left out: who was due while the server stood still was asked after it.
    assert_eq!(number(&result, "/requests"), 400.0);
    assert_eq!(count.load(Relaxed), 400);
    // About 120 were due while it stood still, by up to 600 ms: more than a quarter of all.
    assert!(number(&result, "/response_ms/p90") > 200.0, "{result}");
    assert!(number(&result, "/response_ms/p75") > 1.0, "{result}");
    // Only the four that were on their way saw it: 1 % of all.
    assert!(number(&result, "/service_ms/p90") < number(&result, "/response_ms/p90") / 2.0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("requests waited for connections"), "{text}");
}

#[test]
fn a_server_that_is_not_there_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("out.json");
    let (output, result) = bench(&format!("http://{address}/"), "-n 5 -c 2", &json);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!((number(&result, "/requests"), number(&result, "/failed")), (0.0, 5.0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("refused"), "{text}");
}

#[test]
fn an_answer_that_does_not_come_is_given_up() {
    let (address, _) = serve_h1(|n| Duration::from_secs(if n == 1 { 3600 } else { 0 }));
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("out.json");
    let words = "-n 2 -c 1 --timeout 300ms";
    let (_, result) = bench(&format!("http://{address}/"), words, &json);
    assert_eq!(number(&result, "/requests"), 1.0);
    assert_eq!(number(&result, "/errors/no answer in time"), 1.0, "{result}");
}

#[test]
fn what_cannot_be_done_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("out.json");
    for (url, words) in [("ftp://x/", ""), ("http://127.0.0.1:1/", "-c 0"), ("http://a b/", "")] {
        let (output, _) = bench(url, words, &json);
        assert_eq!(output.status.code(), Some(104), "{url} {words}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "));
    }
}

#[test]
fn http_2_with_and_without_tls() {
    for is_tls in [false, true] {
        let server = origins::tcp(is_tls.then(|| serving::tls("127.0.0.1", &["h2"]).0));
        let address = server.address;
        let folder = tempfile::tempdir().unwrap();
        let json = folder.path().join("out.json");
        let (url, words) = match is_tls {
            true => (format!("https://{address}/x"), "-k -n 100 -c 2 -p 5 -b abc"),
            false => (format!("http://{address}/x"), "--http 2 -n 100 -c 2 -p 5"),
        };
        let (output, result) = bench(&url, words, &json);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(number(&result, "/statuses/200"), 100.0, "{result}");
        assert_eq!(number(&result, "/body_bytes"), 500.0, "{result}");
    }
}

#[test]
fn http_3() {
    let (server, _) = origins::quic("h3");
    let address = server.address;
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("out.json");
    let words = "-k --http 3 -n 60 -c 2 -p 3";
    let (output, result) = bench(&format!("https://{address}/x"), words, &json);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(number(&result, "/statuses/200"), 60.0, "{result}");
    assert_eq!(number(&result, "/body_bytes"), 300.0, "{result}");
}
