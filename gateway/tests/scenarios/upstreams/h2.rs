//! HTTP/2 to the origin.

use std::{thread, time::Duration};

use super::assert_failure;
use crate::support::{
    answer::End, client::Client, client::post, gateway::Gateway, gateway::Setup,
    h2_origin::H2Origin, origin::Origin,
};

fn before(streams: u32) -> (H2Origin, Gateway) {
    let origin = H2Origin::start(streams);
    let gateway = Setup::to(&[origin.address]).upstream("protocol: h2").start();
    (origin, gateway)
}

#[test]
fn requests_and_bodies_arrive() {
    let (origin, gateway) = before(100);
    assert_eq!(gateway.client().get("/x?q=1").unwrap().text(), "GET /x 0");
    let mut client = gateway.client();
    client.send(post("/y", "hello").as_bytes());
    assert_eq!(client.answer("POST").unwrap().text(), "POST /y 5");
    let seen = &origin.seen("/x")[0];
    assert_eq!(seen.head.uri().authority().unwrap(), "weir.test");
    assert_eq!(seen.head.uri().path_and_query().unwrap(), "/x?q=1");
    assert_eq!(seen.head.headers().get("x-forwarded-for").unwrap(), "127.0.0.1");
    assert!(seen.head.headers().get("host").is_none());
}

#[test]
fn many_requests_share_few_connections_within_the_origins_stream_limit() {
    let (origin, gateway) = before(10);
    let address = gateway.listen;
    let clients: Vec<_> = (0..60)
        .map(|_| thread::spawn(move || Client::connect(address).get("/slow").unwrap().status))
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 200);
    }
    let (connections, most) = (origin.connections(), origin.most());
    assert!(most <= 10 * connections, "{most} streams on {connections} connections");
    assert!(connections <= 12, "{connections} connections");
    assert!(most > 2, "no multiplexing");
}

#[test]
fn a_farewell_costs_no_request() {
    let (origin, gateway) = before(100);
    let mut client = gateway.client();
    for n in 0..20 {
        assert_eq!(client.get("/goaway").unwrap().status, 200, "request {n}");
        assert_eq!(client.get("/x").unwrap().status, 200, "after {n}");
    }
    assert!(origin.connections() > 1);
}

#[test]
fn reset_streams_are_502_and_harm_no_other() {
    let (_origin, gateway) = before(100);
    for path in ["/reset", "/refuse", "/enhance"] {
        let answer = gateway.client().get(path).unwrap();
        assert!(matches!(answer.status, 502 | 503), "{path}: {answer:?}");
        assert!(answer.field("proxy-status").is_some(), "{path}");
        assert_eq!(gateway.client().get("/x").unwrap().status, 200, "after {path}");
    }
}

#[test]
fn a_body_that_breaks_looks_broken() {
    let (_origin, gateway) = before(100);
    let mut failures = Vec::new();
    for path in ["/late-reset", "/short", "/long"] {
        match gateway.client().get(path) {
            Ok(a) if a.status == 502 || a.end == End::Truncated => {}
            Err(_) => {}
            other => failures.push(format!("{path}: {other:?}")),
        }
        assert_eq!(gateway.client().get("/x").unwrap().status, 200, "after {path}");
    }
    crate::support::assert_none(&failures);
}

#[test]
fn a_broken_connection_is_replaced() {
    let (_origin, gateway) = before(100);
    for _ in 0..5 {
        let answer = gateway.client().get("/abrupt").unwrap();
        assert!(matches!(answer.status, 502), "{answer:?}");
        assert_eq!(gateway.client().get("/x").unwrap().status, 200);
    }
}

#[test]
fn a_silent_stream_is_504() {
    let origin = H2Origin::start(100);
    let gateway = Setup::to(&[origin.address])
        .upstream("protocol: h2")
        .route("timeout: { headers: 1500ms }")
        .start();
    let answer = gateway.client().get("/stall").unwrap();
    assert_failure(&gateway, &answer, 504, "http_response_timeout", "UT");
    assert_eq!(gateway.client().get("/x").unwrap().status, 200);
}

#[test]
fn an_h1_origin_behind_protocol_h2_is_502() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        use std::io::Write;
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
            thread::sleep(Duration::from_millis(100));
        }
    });
    let gateway = Setup::to(&[address]).upstream("protocol: h2").start();
    for _ in 0..3 {
        let answer = gateway.client().get("/x").unwrap();
        assert_eq!(answer.status, 502, "{answer:?}");
    }
}

#[test]
fn an_origin_that_never_says_settings_is_given_up() {
    let origin = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Setup::to(&[origin.local_addr().unwrap()])
        .upstream("protocol: h2")
        .route("timeout: { headers: 500ms }")
        .start();
    let answer = gateway.client().get("/x").unwrap();
    assert_eq!(answer.status, 504, "{answer:?}");
}

#[test]
fn h1_and_h2_origins_answer_the_same() {
    let (_h2, over_h2) = before(100);
    let h1 = Origin::echo();
    let over_h1 = Setup::to(&[h1.address]).start();
    for gateway in [&over_h1, &over_h2] {
        assert_eq!(gateway.client().get("/same").unwrap().text(), "GET /same 0");
    }
}
