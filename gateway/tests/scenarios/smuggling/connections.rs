//! One connection, many requests: order, Expect, half-closed and broken clients.

use std::{fmt::Write, time::Duration};

use super::{Bench, Want, with_body, with_fields};
use crate::support::{
    client::{get, post},
    eventually,
};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let bench = Bench::new();
    let mut all = String::new();
    for n in 0..30 {
        let body = "b".repeat(n);
        let request = match n % 3 {
            0 => get(&format!("/x/{n}")),
            1 => post(&format!("/x/{n}"), &body),
            _ => format!(
                "PUT /x/{n} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                 {n:x}\r\n{body}\r\n0\r\n\r\n"
            ),
        };
        let _ = write!(all, "{request}");
    }
    let mut client = bench.gateway.client();
    client.send(all.as_bytes());
    for n in 0..30 {
        let (method, length) = [("GET", 0), ("POST", n), ("PUT", n)][n % 3];
        let answer = client.answer(method).unwrap();
        assert_eq!(answer.text(), format!("{method} /x/{n} {length}"));
    }
}

#[test]
fn a_request_in_single_bytes_is_one_request() {
    let bench = Bench::new();
    let mut client = bench.gateway.client();
    for byte in post("/x", "hello").bytes() {
        client.send(&[byte]);
    }
    assert_eq!(client.answer("POST").unwrap().text(), "POST /x 5");
}

#[test]
fn connection_close_and_http_1_0_end_the_connection() {
    let bench = Bench::new();
    for (name, head, stays) in [
        ("close", "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false),
        ("Close in a list", "GET /x HTTP/1.1\r\nHost: h\r\nConnection: a, Close\r\n\r\n", false),
        ("1.0", "GET /x HTTP/1.0\r\nHost: h\r\n\r\n", false),
        ("1.0 keep-alive", "GET /x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", true),
        ("1.1", "GET /x HTTP/1.1\r\nHost: h\r\n\r\n", true),
    ] {
        let mut client = bench.gateway.client();
        client.send(head.as_bytes());
        let answer = client.answer("GET").unwrap();
        assert_eq!(answer.text(), "GET /x 0", "{name}");
        assert!(answer.version == "HTTP/1.1" || head.contains("HTTP/1.0"), "{name}");
        if stays {
            assert_eq!(client.get("/y").unwrap().text(), "GET /y 0", "{name}");
        } else {
            assert!(client.closes_within(Duration::from_secs(3)), "{name}");
        }
    }
}

#[test]
fn nothing_after_a_refusal_on_the_same_connection_is_served_as_its_body() {
    let mut bench = Bench::with(|to| to.limits("body: 1KiB"));
    let body = format!("{}{}", "a".repeat(2000), get("/smuggled"));
    let bytes = post("/x", &body).into_bytes();
    bench.table(&[("body over the limit", bytes, Want::Refused(&[413]))]);
}

#[test]
fn expect_100_continue_is_answered_here_and_not_forwarded() {
    let bench = Bench::new();
    let mut client = bench.gateway.client();
    client.send(&with_body("Expect: 100-continue\r\nContent-Length: 5\r\n", ""));
    assert_eq!(client.line().unwrap().unwrap(), b"HTTP/1.1 100 Continue");
    while client.line().unwrap().is_some_and(|l| !l.is_empty()) {}
    client.send(b"hello");
    let answer = client.answer("POST").unwrap();
    assert_eq!((answer.status, answer.text()), (200, "POST /x 5".to_owned()));
    assert!(bench.origin.completed("/x").field("expect").is_none());
}

#[test]
fn a_refusal_comes_before_100_continue() {
    let bench = Bench::with(|to| to.limits("body: 1KiB"));
    let mut client = bench.gateway.client();
    client.send(&with_body("Expect: 100-continue\r\nContent-Length: 4096\r\n", ""));
    let answer = client.answer("POST").unwrap();
    assert_eq!((answer.status, answer.interim), (413, Vec::new()));
}

#[test]
fn an_unknown_expectation_harms_nobody() {
    let mut bench = Bench::new();
    let bytes = with_fields("Expect: teapot\r\n");
    bench.table(&[("unknown", bytes, Want::Either)]);
}

#[test]
fn a_client_that_shuts_its_sending_half_does_no_harm() {
    let mut bench = Bench::new();
    let mut client = bench.gateway.client();
    client.send(get("/x").as_bytes()).finish();
    let answer = client.answer("GET");
    assert!(answer.is_err() || answer.unwrap().text() == "GET /x 0");
    bench.after("half-closed").unwrap();
}

#[test]
fn resets_at_any_point_do_no_harm() {
    let mut bench = Bench::new();
    let whole = post("/x", &"b".repeat(100));
    for cut in [0, 1, 10, 30, whole.len() - 50, whole.len() - 1, whole.len()] {
        let mut client = bench.gateway.client();
        client.send(&whole.as_bytes()[..cut]);
        client.reset();
    }
    bench.after("resets").unwrap();
    let short = |n: usize| n != 100 && n != 0;
    let cut = bench.origin.seen_at("/x").into_iter().filter(|s| s.complete && short(s.body.len()));
    assert_eq!(cut.count(), 0, "a cut body looked whole");
}

#[test]
fn a_client_that_leaves_cancels_its_request_upstream() {
    use crate::support::origin::{Next, Origin};
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancelled);
    let origin = Origin::start(move |x| {
        if x.target() == "/x" {
            flag.store(x.closed(), Ordering::Release);
            return Ok(Next::Close);
        }
        x.echo()
    });
    let mut bench = Bench::before(origin, |to| to);
    let mut client = bench.gateway.client();
    client.send(get("/x").as_bytes());
    assert!(eventually(|| !bench.origin.seen_at("/x").is_empty()));
    client.reset();
    assert!(eventually(|| cancelled.load(Ordering::Acquire)), "the origin went on working");
    bench.after("cancelled").unwrap();
    let line = bench.gateway.access_line("\"/x\"");
    assert_eq!((&line["status"], &line["flag"]), (&499.into(), &"DC".into()), "{line}");
}
