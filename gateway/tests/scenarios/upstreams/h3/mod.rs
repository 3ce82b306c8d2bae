//! HTTP/3 to the origin.

mod alternative;
mod broken;
mod origin;
mod tunnels;

use std::{
    io::Write as _,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use self::origin::Origin;
use super::{assert_failure, nobody};
use crate::support::{
    answer::{End, Input},
    certificates::{Authority, Issued},
    client::{Client, dial, post},
    eventually,
    gateway::{Gateway, Setup},
};

/// A certificate and what a gateway must know to trust it.
struct Trust {
    authority: Authority,
    issued: Issued,
}

impl Trust {
    fn new() -> Self {
        let authority = Authority::new();
        let issued = authority.issue(&["origin.test"]);
        Self { authority, issued }
    }

    /// A gateway before these endpoints, with these keys of the upstream behind its own.
    fn setup(&self, endpoints: &[SocketAddr], keys: &str) -> Setup {
        let dir = TempDir::new().unwrap();
        self.authority.write(&dir.path().join("ca.pem"));
        let tls = "tls: { server_name: origin.test, ca: $DIR/ca.pem }";
        Setup::to(endpoints).upstream(&format!("{tls}, {keys}")).within(dir)
    }
}

fn before() -> (Origin, Gateway) {
    let trust = Trust::new();
    let origin = Origin::start(&trust.issued);
    let gateway = trust.setup(&[origin.address], "protocol: h3").start();
    (origin, gateway)
}

#[test]
fn requests_and_bodies_arrive() {
    let (origin, gateway) = before();
    assert_eq!(gateway.client().get("/x?q=1").unwrap().text(), "GET /x 0");
    let mut client = gateway.client();
    client.send(post("/y", "hello").as_bytes());
    assert_eq!(client.answer("POST").unwrap().text(), "POST /y 5");
    let uri = origin.seen("/x", |seen| seen.head.uri().clone()).remove(0);
    assert_eq!(uri.authority().unwrap(), "weir.test");
    assert_eq!(uri.path_and_query().unwrap(), "/x?q=1");
    let headers = origin.seen("/x", |seen| seen.head.headers().clone()).remove(0);
    assert_eq!(headers.get("x-forwarded-for").unwrap(), "127.0.0.1");
    assert!(headers.get("host").is_none());
}

#[test]
fn large_bodies_go_both_ways_at_once() {
    let (_origin, gateway) = before();
    let body = "0123456789abcdef".repeat(256 * 1024);
    let stream = dial(gateway.listen).unwrap();
    let mut sender = stream.try_clone().unwrap();
    let request = post("/echo", &body);
    let sending = thread::spawn(move || sender.write_all(request.as_bytes()).unwrap());
    let answer = Input { inner: stream, buffer: Vec::new() }.answer("POST").unwrap();
    sending.join().unwrap();
    assert_eq!((answer.status, answer.end), (200, End::Complete));
    assert!(answer.text() == body, "{} bytes came back", answer.text().len());
}

#[test]
fn trailers_pass_in_both_directions() {
    let (origin, gateway) = before();
    let mut client = gateway.client();
    client.send(
        b"POST /trailers HTTP/1.1\r\nHost: weir.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\
          \r\n\r\n5\r\nhello\r\n0\r\nx-mine: 7\r\n\r\n",
    );
    let answer = client.answer("POST").unwrap();
    assert_eq!(answer.text(), "POST /trailers 5");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    let trailers = origin.seen("/trailers", |seen| seen.trailers.clone()).remove(0);
    assert_eq!(trailers.expect("trailers").get("x-mine").unwrap(), "7");
    assert_eq!(origin.seen("/trailers", |seen| seen.body), [5]);
}

#[test]
fn responses_without_a_body_are_complete() {
    let (_origin, gateway) = before();
    let mut client = gateway.client();
    for _ in 0..3 {
        client.send(b"HEAD /x HTTP/1.1\r\nHost: weir.test\r\n\r\n");
        let answer = client.answer("HEAD").unwrap();
        assert_eq!((answer.status, answer.field("content-length")), (200, Some("5")));
        assert_eq!(client.get("/none").unwrap().status, 204);
        let answer = client.get("/exact").unwrap();
        assert_eq!((answer.text().as_str(), answer.end), ("GET /exact 0", End::Complete));
        let id = answer.field("x-request-id").unwrap().to_owned();
        assert_eq!(gateway.access_line(&id)["status"], 200);
    }
}

#[test]
fn requests_share_a_connection() {
    let (origin, gateway) = before();
    let address = gateway.listen;
    let clients: Vec<_> = (0..40)
        .map(|_| thread::spawn(move || Client::connect(address).get("/slow").unwrap().status))
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 200);
    }
    assert_eq!(origin.requests(), 40);
    assert!(origin.connections() <= 2, "{} for two workers", origin.connections());
}

#[test]
fn a_farewell_costs_no_request() {
    let (origin, gateway) = before();
    let mut client = gateway.client();
    for n in 0..10 {
        assert_eq!(client.get("/goaway").unwrap().status, 200, "request {n}");
        assert_eq!(client.get("/x").unwrap().status, 200, "after {n}");
    }
    assert!(origin.connections() > 1);
}

#[test]
fn connections_are_closed_with_the_gateway() {
    let (origin, gateway) = before();
    for _ in 0..8 {
        assert_eq!(gateway.client().get("/x").unwrap().status, 200);
    }
    assert_eq!(origin.farewells(), 0);
    drop(gateway);
    assert!(eventually(|| origin.farewells() == origin.connections()));
}

#[test]
fn a_refused_request_goes_elsewhere() {
    let trust = Trust::new();
    let (one, other) = (Origin::start(&trust.issued), Origin::start(&trust.issued));
    let gateway = trust.setup(&[one.address, other.address], "protocol: h3").start();
    let answer = gateway.client().get("/refuse").unwrap();
    assert_failure(&gateway, &answer, 502, "connection_terminated", "UC");
    assert_eq!((one.requests(), other.requests()), (1, 1));
}

#[test]
fn reset_streams_are_502_and_harm_no_other() {
    let (origin, gateway) = before();
    for path in ["/reset", "/refuse"] {
        let answer = gateway.client().get(path).unwrap();
        assert_failure(&gateway, &answer, 502, "connection_terminated", "UC");
        assert_eq!(gateway.client().get("/x").unwrap().status, 200, "after {path}");
    }
    assert!(origin.connections() <= 2);
}

#[test]
fn a_body_that_breaks_looks_broken() {
    let (_origin, gateway) = before();
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
fn an_upload_that_is_refused_still_gets_its_response() {
    let (_origin, gateway) = before();
    let mut client = gateway.client();
    client.send(b"POST /forbid HTTP/1.1\r\nHost: weir.test\r\nContent-Length: 9999999\r\n\r\nxy");
    let answer = client.answer("POST").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
}

#[test]
fn a_broken_connection_is_replaced() {
    let (_origin, gateway) = before();
    for _ in 0..5 {
        let answer = gateway.client().get("/abrupt").unwrap();
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(gateway.client().get("/x").unwrap().status, 200);
    }
}

#[test]
fn a_silent_stream_is_504() {
    let trust = Trust::new();
    let origin = Origin::start(&trust.issued);
    let gateway = trust
        .setup(&[origin.address], "protocol: h3")
        .route("timeout: { headers: 1500ms }")
        .start();
    let answer = gateway.client().get("/stall").unwrap();
    assert_failure(&gateway, &answer, 504, "http_response_timeout", "UT");
    assert_eq!(gateway.client().get("/x").unwrap().status, 200);
}

#[test]
fn nobody_there_is_a_failure_in_time() {
    let trust = Trust::new();
    let gateway = trust.setup(&[nobody()], "protocol: h3, connect_timeout: 500ms").start();
    let began = Instant::now();
    let answer = gateway.client().get("/x").unwrap();
    assert_failure(&gateway, &answer, 504, "connection_timeout", "UF");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn a_peer_that_vanished_is_found_out() {
    let trust = Trust::new();
    let origin = Origin::start(&trust.issued);
    let gateway = trust.setup(&[origin.address], "protocol: h3, connect_timeout: 1s").start();
    let mut client = gateway.client();
    assert_eq!(client.get("/x").unwrap().status, 200);
    let address = origin.address;
    drop(origin);
    let origin = loop {
        // The old one gives its port up in a moment.
        thread::sleep(Duration::from_millis(100));
        if std::net::UdpSocket::bind(address).is_ok() {
            break Origin::restart(&trust.issued, address);
        }
    };
    let began = Instant::now();
    assert_eq!(client.get("/x").unwrap().status, 200, "the request goes over another connection");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(origin.requests(), 1);
}

#[test]
fn a_certificate_that_does_not_fit_is_refused() {
    let trust = Trust::new();
    let other = Origin::start(&Trust::new().issued);
    let unnamed = Origin::start(&trust.authority.issue(&["else.test"]));
    for origin in [&other, &unnamed] {
        let gateway = trust.setup(&[origin.address], "protocol: h3").start();
        let answer = gateway.client().get("/x").unwrap();
        assert_failure(&gateway, &answer, 502, "tls_certificate_error", "UF");
        assert_eq!(origin.requests(), 0);
    }
    let keys = "protocol: h3, tls: { server_name: origin.test, verify: false }";
    let gateway = Setup::to(&[other.address]).upstream(keys).start();
    assert_eq!(gateway.client().get("/x").unwrap().status, 200);
}

#[test]
fn interim_responses_are_passed_on_or_over() {
    let (_origin, gateway) = before();
    let answer = gateway.client().get("/hints").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "GET /hints 0"));
}
