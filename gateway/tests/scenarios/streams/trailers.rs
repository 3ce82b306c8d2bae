//! Trailers in both directions between every pair of versions. A client of HTTP/1.1 gets those
//! that Trailer announces, if it asked by TE; everybody else gets all.

use crate::support::{
    frames::{DATA, Frames, Outcome, request},
    gateway::Setup,
    h2_origin::H2Origin,
    origin::{Next, Origin},
};

const CHUNKED: &[u8] = b"POST /trailers HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n\
      Trailer: x-in\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-In: 7\r\n\r\n";

fn h1_origin() -> Origin {
    Origin::start(|x| {
        x.read_body()?;
        x.send("HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        x.send("2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n")?;
        Ok(Next::Keep)
    })
}

#[test]
fn h1_to_h1() {
    let origin = h1_origin();
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    client.send(CHUNKED);
    let answer = client.answer("POST").unwrap();
    assert_eq!(named(&answer.trailers, "x-sum"), Some("42"));
    assert_eq!(named(&origin.completed("/trailers").trailers, "x-in"), Some("7"));
}

#[test]
fn h1_to_h2() {
    let origin = H2Origin::start(100);
    let gateway = Setup::to(&[origin.address]).upstream("protocol: h2").start();
    let mut client = gateway.client();
    client.send(CHUNKED);
    let answer = client.answer("POST").unwrap();
    assert_eq!(named(&answer.trailers, "x-sum"), Some("42"));
    let seen = &origin.seen("/trailers")[0];
    assert_eq!(seen.trailers.as_ref().and_then(|t| t.get("x-in")).unwrap(), "7");
    assert_eq!(seen.body, 5);
}

#[test]
fn h2_to_h1_and_h2_to_h2() {
    let (h1, h2) = (h1_origin(), H2Origin::start(100));
    let to_h1 = Setup::to(&[h1.address]).start();
    let to_h2 = Setup::to(&[h2.address]).upstream("protocol: h2").start();
    for gateway in [&to_h1, &to_h2] {
        let mut frames = Frames::connect(gateway.listen);
        let more = [("te", "trailers"), ("trailer", "x-in")];
        let fields = [&request("POST", "/trailers")[..], &more].concat();
        frames.headers(1, &fields, false);
        frames.send(DATA, 0, 1, b"hello").unwrap();
        frames.headers(1, &[("x-in", "7")], true);
        let outcome = frames.outcome(1);
        let Outcome::Response { status: 200, trailers, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(named(&trailers, "x-sum"), Some("42"));
    }
    assert_eq!(named(&h1.completed("/trailers").trailers, "x-in"), Some("7"));
    assert_eq!(h2.seen("/trailers")[0].trailers.as_ref().unwrap()["x-in"], "7");
}

#[test]
fn an_http_1_0_client_gets_the_body_without_them() {
    let origin = h1_origin();
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    client.send(b"GET /x HTTP/1.0\r\nHost: h\r\n\r\n");
    let answer = client.answer("GET").unwrap();
    assert_eq!(answer.text(), "ok");
    assert!(answer.field("transfer-encoding").is_none());
}

fn named<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}
