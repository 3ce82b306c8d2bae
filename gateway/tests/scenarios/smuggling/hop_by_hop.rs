//! What belongs to one hop stays on it; what frames a message cannot be named away.

use super::{Bench, Want, with_body, with_fields};
use crate::support::{assert_none, origin::Origin};

#[test]
fn fields_named_by_connection_do_not_arrive() {
    let bench = Bench::new();
    let mut request =
        String::from("GET /x HTTP/1.1\r\nHost: h\r\nConnection: x-secret, X-Other\r\n");
    request += "Connection: x-third\r\nX-Secret: 1\r\nx-other: 2\r\nX-Third: 3\r\nX-Stays: 4\r\n";
    request += "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\n\r\n";
    assert_eq!(bench.exchange(&request).status, 200);
    let seen = bench.origin.completed("/x");
    let gone = ["x-secret", "x-other", "x-third", "keep-alive", "proxy-connection", "te"];
    let left: Vec<_> = gone.iter().filter(|n| seen.field(n).is_some()).collect();
    assert!(left.is_empty(), "{left:?} arrived");
    assert_eq!(seen.field("x-stays"), Some("4"));
}

#[test]
fn connection_cannot_name_the_framing_away() {
    let mut bench = Bench::new();
    let mut failures = Vec::new();
    let lengths = [
        ("transfer-encoding", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("content-length", "Content-Length: 5\r\n", "hello"),
        ("host", "Content-Length: 5\r\n", "hello"),
        ("close, content-length", "Content-Length: 5\r\n", "hello"),
        ("connection", "Content-Length: 5\r\n", "hello"),
    ];
    for (name, framing, body) in lengths {
        let bytes = with_body(&format!("Connection: {name}\r\n{framing}"), body);
        failures.extend(bench.case(name, &bytes, Want::Either).err());
    }
    for seen in bench.origin.seen_at("/x") {
        if seen.body != b"hello" || seen.field("host") != Some("weir.test") {
            failures.push(format!("arrived as {seen:?}"));
        }
    }
    assert_none(&failures);
}

#[test]
fn an_upgrade_to_h2c_is_not_tunnelled() {
    let mut bench = Bench::new();
    let settings = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    let upgrade = |connection: &str, protocol: &str| {
        with_fields(&format!("Connection: {connection}\r\nUpgrade: {protocol}\r\n{settings}"))
    };
    bench.table(&[
        ("h2c", upgrade("Upgrade, HTTP2-Settings", "h2c"), Want::Passed),
        ("h2c, settings unnamed", upgrade("Upgrade", "h2c"), Want::Passed),
        ("h2", upgrade("Upgrade", "h2"), Want::Passed),
        ("tls", upgrade("Upgrade", "TLS/1.2"), Want::Passed),
        ("list", upgrade("Upgrade", "h2c, websocket"), Want::Either),
        ("unnamed", upgrade("keep-alive", "h2c"), Want::Passed),
    ]);
    for seen in bench.origin.seen_at("/x") {
        assert!(seen.field("http2-settings").is_none(), "{seen:?}");
    }
}

#[test]
fn only_trailers_remains_of_te() {
    let bench = Bench::new();
    bench.exchange("GET /x HTTP/1.1\r\nHost: h\r\nConnection: TE\r\nTE: trailers, deflate\r\n\r\n");
    let seen = bench.origin.completed("/x");
    assert!(matches!(seen.field("te"), None | Some("trailers")), "{seen:?}");
}

#[test]
fn the_origins_hop_by_hop_fields_do_not_reach_the_client() {
    let origin = Origin::start(|x| {
        let fields = "Connection: x-internal, keep-alive\r\nX-Internal: secret\r\n\
                      Keep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\n\
                      Upgrade: h2c\r\nX-Stays: 1\r\n";
        x.reply(200, fields, "ok")
    });
    let bench = Bench::before(origin, |to| to);
    let answer = bench.exchange("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.status, answer.field("x-stays")), (200, Some("1")));
    let gone = ["x-internal", "proxy-connection", "upgrade"];
    let left: Vec<_> = gone.iter().filter(|n| answer.field(n).is_some()).collect();
    assert!(left.is_empty(), "{left:?} reached the client");
    assert_ne!(answer.field("keep-alive"), Some("timeout=9"));
}

#[test]
fn trailers_that_would_frame_or_route_are_dropped() {
    let bench = Bench::new();
    let trailers = "Content-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: evil.test\r\n\
                    Authorization: x\r\nConnection: close\r\nX-Sum: 42\r\n";
    let body = format!("5\r\nhello\r\n0\r\n{trailers}\r\n");
    let mut client = bench.gateway.client();
    client.send(&with_body("Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n", &body));
    let answer = client.answer("POST").unwrap();
    if answer.status == 400 {
        return;
    }
    let seen = bench.origin.completed("/x");
    assert_eq!(seen.all("host"), ["weir.test"]);
    let names: Vec<String> = seen.trailers.iter().map(|(n, _)| n.to_ascii_lowercase()).collect();
    assert!(names.iter().all(|n| n == "x-sum"), "{names:?}");
}
