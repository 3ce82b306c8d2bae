//! CONNECT over HTTP/2 (RFC 9113 section 8.5).

use std::io::{Read, Write};

use h2::Reason;
use http::{Method, Request};

use super::{End, Peer, nobody, setup, stage};
use crate::support::{
    eventually,
    gateway::Gateway,
    h2_tunnel::{Session, Tunnel},
};

fn connect(authority: &str) -> Request<()> {
    Request::builder().method(Method::CONNECT).uri(authority).body(()).unwrap()
}

fn open(session: &Session, line: &str) -> Tunnel {
    let (head, mut tunnel) = session.open(connect("db.test:5432")).unwrap();
    assert_eq!(head.status(), 200);
    for name in ["content-length", "transfer-encoding", "via"] {
        assert!(!head.headers().contains_key(name), "{head:?}");
    }
    assert!(head.headers().contains_key("x-request-id"), "{head:?}");
    tunnel.write_all(line.as_bytes()).unwrap();
    tunnel
}

fn flags(gateway: &Gateway, flag: &str) -> bool {
    eventually(|| gateway.access_lines(&format!("\"{flag}\"")).len() == 1)
}

#[test]
fn bytes_flow_both_ways_and_each_direction_ends_for_itself() {
    let (peer, gateway) = stage();
    let session = Session::connect(gateway.listen);
    let mut tunnel = open(&session, "echo\n");
    for size in [1, 1000, 200_000] {
        let bytes = vec![b'x'; size];
        tunnel.write_all(&bytes).unwrap();
        let mut back = vec![0; size];
        tunnel.read_exact(&mut back).unwrap();
        assert!(back == bytes);
    }
    tunnel.finish();
    assert_eq!(tunnel.rest().unwrap(), b"");
    peer.ends_with(1, End::Closed(201_001));
    let mut tunnel = open(&session, "count\nabc");
    tunnel.finish();
    assert_eq!(tunnel.rest().unwrap(), b"got 3");
    let mut tunnel = open(&session, "last\n");
    assert_eq!(tunnel.rest().unwrap(), b"farewell");
    tunnel.write_all(&[1; 5000]).unwrap();
    tunnel.finish();
    peer.ends_with(3, End::Closed(5000));
    assert!(eventually(
        || gateway.access_lines("\"bytes_in\":201006,\"bytes_out\":201001").len() == 1
    ));
}

#[test]
fn an_abort_of_either_side_is_the_others() {
    let (peer, gateway) = stage();
    let session = Session::connect(gateway.listen);
    let mut tunnel = open(&session, "reset\n");
    assert_eq!(tunnel.reset_reason(), Some(Reason::CONNECT_ERROR));
    assert!(flags(&gateway, "UC"));
    let mut tunnel = open(&session, "echo\nx");
    let mut back = [0];
    tunnel.read_exact(&mut back).unwrap();
    tunnel.reset();
    peer.ends_with(1, End::Reset);
    assert!(flags(&gateway, "DC"));
    assert_eq!(session.get("/"), (200, "plain".to_owned()));
}

#[test]
fn failures_are_answered_on_the_stream() {
    let peer = Peer::start();
    let gateway = setup(&[nobody()], "", "").start();
    let session = Session::connect(gateway.listen);
    let (head, _) = session.open(connect("db.test:5432")).unwrap();
    assert_eq!((head.status().as_u16(), head.headers().get("connection")), (502, None));
    assert_eq!(head.headers()["proxy-status"], "weir; error=connection_refused");
    for (authority, status) in [("other.test:1", 405), ("db.test", 400), ("db.test:0", 400)] {
        let (head, _) = session.open(connect(authority)).unwrap();
        assert_eq!(head.status(), status, "{authority}");
    }
    let mut framed = connect("db.test:5432");
    framed.headers_mut().insert("content-length", 5.into());
    assert!(session.open(framed).is_ok_and(|(head, _)| head.status() == 400));
    assert_eq!(session.get("/"), (200, "plain".to_owned()));
    let gateway = setup(&[nobody(), peer.address], "", "").start();
    let session = Session::connect(gateway.listen);
    for _ in 0..2 {
        let mut tunnel = open(&session, "count\n");
        tunnel.finish();
        assert_eq!(tunnel.rest().unwrap(), b"got 0");
    }
}

#[test]
fn an_idle_tunnel_ends() {
    let peer = Peer::start();
    let gateway = setup(&[peer.address], "", ", timeout: { idle: 1s }").start();
    let session = Session::connect(gateway.listen);
    let mut tunnel = open(&session, "echo\n");
    assert_eq!(tunnel.reset_reason(), Some(Reason::CANCEL));
    peer.ends_with(1, End::Reset);
    assert!(flags(&gateway, "UT"));
}
