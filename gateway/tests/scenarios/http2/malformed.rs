//! Malformed requests (RFC 9113 8): refused, and nothing of them reaches the origin as a whole.

use super::{Bench, is_refusal};
use crate::support::{
    assert_none,
    frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, request},
    hpack::encode,
};

type Lines = Vec<(&'static str, &'static str)>;

/// An ordinary GET of `/x` with more fields.
fn and(more: &[(&'static str, &'static str)]) -> Lines {
    [&request("GET", "/x")[..], more].concat()
}

/// An ordinary GET of `/x` in which one pseudo-header is another, or absent when empty-named.
fn but(name: &'static str, value: Option<&'static str>) -> Lines {
    let mut lines = Vec::new();
    for (n, v) in request("GET", "/x") {
        match value {
            Some(value) if n == name => lines.push((n, value)),
            None if n == name => {}
            _ => lines.push((n, v)),
        }
    }
    lines
}

/// Extended CONNECT to `/x` with more fields.
fn connect(more: &[(&'static str, &'static str)]) -> Lines {
    [&but(":method", Some("CONNECT"))[..], more].concat()
}

/// Extended CONNECT for WebSocket without one pseudo-header, but with Host.
fn connect_but(name: &'static str) -> Lines {
    let mut lines = connect(&[(":protocol", "websocket"), ("host", "weir.test")]);
    lines.retain(|(other, _)| *other != name);
    lines
}

/// Extended CONNECT (RFC 8441) that is none.
fn connects() -> Vec<(&'static str, Lines)> {
    vec![
        ("protocol without connect", and(&[(":protocol", "websocket")])),
        ("extended connect for another protocol", connect(&[(":protocol", "connect-udp")])),
        (
            "extended connect, upgrade",
            connect(&[(":protocol", "websocket"), ("upgrade", "websocket")]),
        ),
        (
            "extended connect, length",
            connect(&[(":protocol", "websocket"), ("content-length", "0")]),
        ),
        (
            "extended connect twice",
            connect(&[(":protocol", "websocket"), (":protocol", "websocket")]),
        ),
        ("extended connect without scheme", connect_but(":scheme")),
        ("extended connect without path", connect_but(":path")),
        ("extended connect without authority", connect_but(":authority")),
    ]
}

fn rows() -> Vec<(&'static str, Lines)> {
    vec![
        ("upper case name", and(&[("X-A", "b")])),
        ("connection", and(&[("connection", "close")])),
        ("connection naming", and(&[("connection", "x-a"), ("x-a", "b")])),
        ("keep-alive", and(&[("keep-alive", "timeout=5")])),
        ("proxy-connection", and(&[("proxy-connection", "keep-alive")])),
        ("transfer-encoding", and(&[("transfer-encoding", "chunked")])),
        ("transfer-encoding identity", and(&[("transfer-encoding", "identity")])),
        ("upgrade", and(&[("upgrade", "h2c")])),
        ("te", and(&[("te", "gzip")])),
        ("pseudo after regular", [&[("a", "b")], &request("GET", "/x")[..]].concat()),
        ("status", and(&[(":status", "200")])),
        ("unknown pseudo", [&[(":foo", "b")], &request("GET", "/x")[..]].concat()),
        ("two methods", [&[(":method", "GET")], &request("GET", "/x")[..]].concat()),
        ("two paths", [&[(":path", "/y")], &request("GET", "/x")[..]].concat()),
        ("two schemes", [&[(":scheme", "https")], &request("GET", "/x")[..]].concat()),
        ("two authorities", [&[(":authority", "b")], &request("GET", "/x")[..]].concat()),
        ("no method", but(":method", None)),
        ("no scheme", but(":scheme", None)),
        ("no path", but(":path", None)),
        ("no authority, no host", but(":authority", None)),
        ("empty path", but(":path", Some(""))),
        ("path without slash", but(":path", Some("x"))),
        ("absolute path", but(":path", Some("http://weir.test/x"))),
        ("asterisk with GET", but(":path", Some("*"))),
        ("space in path", but(":path", Some("/x y"))),
        ("request line in path", but(":path", Some("/x HTTP/1.1\r\nHost: evil\r\n\r\n"))),
        ("nul in path", but(":path", Some("/x\0"))),
        ("empty method", but(":method", Some(""))),
        ("space in method", but(":method", Some("GET /smuggled"))),
        ("line in method", but(":method", Some("GET / HTTP/1.1\r\nA: "))),
        ("connect", but(":method", Some("CONNECT"))),
        ("trace", but(":method", Some("TRACE"))),
        ("empty authority", but(":authority", Some(""))),
        ("userinfo", but(":authority", Some("u@h"))),
        ("space in authority", but(":authority", Some("a b"))),
        ("slash in authority", but(":authority", Some("a/b"))),
        ("port too large", but(":authority", Some("a:65536"))),
        ("line in authority", but(":authority", Some("a\r\nX: y"))),
        ("list in authority", but(":authority", Some("a,b"))),
        ("two hosts", and(&[("host", "weir.test"), ("host", "b.test")])),
        ("bad host field", and(&[("host", "a b")])),
        ("nul in value", and(&[("x-a", "b\0c")])),
        ("lines in value", and(&[("x-a", "b\r\nx-b: c")])),
        ("line feed in value", and(&[("x-a", "b\nc")])),
        ("return in value", and(&[("x-a", "b\rc")])),
        ("empty name", and(&[("", "b")])),
        ("space in name", and(&[("x a", "b")])),
        ("quotes in name", and(&[("\"x\"", "b")])),
        ("colon in name", and(&[("x:a", "b")])),
        ("lines in name", and(&[("x\r\ny", "b")])),
        ("nul in name", and(&[("x\0", "b")])),
        ("length without body", and(&[("content-length", "5")])),
        ("signed length", and(&[("content-length", "+0")])),
        ("negative length", and(&[("content-length", "-1")])),
        ("huge length", and(&[("content-length", "99999999999999999999")])),
        ("two lengths", and(&[("content-length", "0"), ("content-length", "5")])),
        ("length list", and(&[("content-length", "0, 5")])),
    ]
}

#[test]
fn malformed_requests_are_refused() {
    let mut bench = Bench::new();
    let mut failures = Vec::new();
    for (name, fields) in rows().into_iter().chain(connects()) {
        let before = bench.origin.seen().len();
        let mut frames = Frames::connect(bench.gateway.listen);
        frames.headers(1, &fields, true);
        let outcome = frames.outcome(1);
        if !is_refusal(&outcome) {
            failures.push(format!("{name}: {outcome:?}"));
        }
        if bench.origin.seen().len() != before {
            failures.push(format!("{name}: reached the origin"));
        }
        failures.extend(bench.after(name).err());
    }
    assert_none(&failures);
}

#[test]
fn one_bad_stream_leaves_its_connection_usable() {
    let bench = Bench::new();
    let mut frames = Frames::connect(bench.gateway.listen);
    let mut stream = 1;
    for fields in
        [and(&[("connection", "close")]), but(":authority", Some("u@h")), and(&[("te", "gzip")])]
    {
        frames.headers(stream, &fields, true);
        let outcome = frames.outcome(stream);
        assert!(
            matches!(outcome, Outcome::Reset(_) | Outcome::Response { .. }),
            "{fields:?}: {outcome:?}"
        );
        stream += 2;
    }
    assert_eq!(frames.get(stream, "/x").text(), "GET /x 0");
}

#[test]
fn a_body_that_does_not_fit_its_length_is_refused() {
    let rows: &[(&str, &str, &[&[u8]])] = &[
        ("short", "10", &[b"hello"]),
        ("long", "3", &[b"hello"]),
        ("long by a frame", "5", &[b"hello", b"GET /smuggled HTTP/1.1\r\n\r\n"]),
        ("nothing", "5", &[b""]),
        ("zero", "0", &[b"hello"]),
    ];
    let mut bench = Bench::new();
    let mut failures = Vec::new();
    for (name, length, pieces) in rows {
        let before = bench.arrived();
        let mut frames = Frames::connect(bench.gateway.listen);
        let fields = [&request("POST", "/x")[..], &[("content-length", *length)]].concat();
        frames.headers(1, &fields, false);
        for (n, piece) in pieces.iter().enumerate() {
            let end = if n + 1 == pieces.len() { END_STREAM } else { 0 };
            let _ = frames.send(DATA, end, 1, piece);
        }
        let outcome = frames.outcome(1);
        // The declared bytes may go on, and be answered, before the surplus comes.
        let whole = matches!(*name, "long by a frame" | "zero");
        let answered = whole && outcome.status() == 200;
        if !(answered || is_refusal(&outcome)) {
            failures.push(format!("{name}: {outcome:?}"));
        }
        failures.extend(bench.after(name).err());
        if !whole && bench.arrived() > before {
            failures.push(format!("{name}: arrived whole"));
        }
    }
    // A declared length is forwarded, so an origin that got fewer bytes knows.
    if !bench.origin.seen_at("/smuggled").is_empty() {
        failures.push("the surplus became a request".to_owned());
    }
    assert_none(&failures);
}

#[test]
fn pseudo_headers_and_framing_in_trailers_do_not_pass() {
    let rows: &[(&str, Lines)] = &[
        ("pseudo", vec![(":path", "/smuggled")]),
        ("status", vec![(":status", "200")]),
        ("length", vec![("content-length", "5")]),
        ("coding", vec![("transfer-encoding", "chunked")]),
        ("host", vec![("host", "evil.test")]),
        ("connection", vec![("connection", "close")]),
        ("upper case", vec![("X-A", "b")]),
    ];
    let mut bench = Bench::new();
    let mut failures = Vec::new();
    for (name, trailers) in rows {
        let mut frames = Frames::connect(bench.gateway.listen);
        frames.headers(1, &request("POST", "/x"), false);
        let _ = frames.send(DATA, 0, 1, b"hello");
        frames.headers(1, trailers, true);
        let outcome = frames.outcome(1);
        if !is_refusal(&outcome) && outcome.status() != 200 {
            failures.push(format!("{name}: {outcome:?}"));
        }
        failures.extend(bench.after(name).err());
    }
    for seen in bench.origin.seen_at("/x") {
        if !seen.trailers.is_empty() {
            failures.push(format!("trailers {:?}", seen.trailers));
        }
    }
    assert_none(&failures);
}

#[test]
fn trailers_must_end_their_stream() {
    let mut bench = Bench::new();
    let mut frames = Frames::connect(bench.gateway.listen);
    frames.headers(1, &request("POST", "/x"), false);
    let _ = frames.send(DATA, 0, 1, b"hello");
    let _ = frames.send(HEADERS, END_HEADERS, 1, &encode(&[("x-a", "b")]));
    let outcome = frames.outcome(1);
    assert!(is_refusal(&outcome), "{outcome:?}");
    bench.after("trailers without end").unwrap();
    assert_eq!(bench.arrived(), 0);
}
