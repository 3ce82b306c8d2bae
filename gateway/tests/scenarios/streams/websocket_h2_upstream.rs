//! Tunnels to an endpoint that speaks HTTP/2.

use std::io::{Read, Write};

use crate::support::{
    eventually,
    gateway::Setup,
    h2_origin::H2Origin,
    h2_tunnel::{Session, connect},
};

const UPGRADE: &str = "GET /tunnel HTTP/1.1\r\nHost: weir.test\r\nConnection: Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn a_stream_goes_on_as_a_stream() {
    let origin = H2Origin::start(100);
    let gateway = Setup::to(&[origin.address]).upstream("protocol: h2").start();
    let session = Session::connect(gateway.listen);
    let mut tunnel = session.websocket("/tunnel");
    for size in [1, 1000, 1 << 20] {
        let piece = vec![8; size];
        tunnel.write_all(&piece[..size.min(200_000)]).unwrap();
        let mut back = vec![0; size.min(200_000)];
        tunnel.read_exact(&mut back).unwrap();
        assert!(back.iter().all(|byte| *byte == 8));
    }
    tunnel.finish();
    assert_eq!(tunnel.rest().unwrap(), b"");
    assert!(eventually(|| !origin.seen("/tunnel").is_empty()));
    let seen = &origin.seen("/tunnel")[0].head;
    assert_eq!((seen.method().as_str(), seen.uri().scheme_str()), ("CONNECT", Some("http")));
    assert!(!seen.headers().contains_key("sec-websocket-key"));
    assert_eq!(seen.headers()["sec-websocket-version"], "13");
    assert_eq!(gateway.access_line("/tunnel")["status"], 200);
}

#[test]
fn an_upgrade_goes_on_as_a_stream() {
    let origin = H2Origin::start(100);
    let gateway = Setup::to(&[origin.address]).upstream("protocol: h2").start();
    let mut client = gateway.client();
    client.send(UPGRADE.as_bytes());
    let answer = client.answer("GET").unwrap();
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")));
    assert_eq!(answer.field("connection"), Some("upgrade"));
    assert_eq!(answer.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client.send(b"hello");
    assert_eq!(client.bytes(5).unwrap(), b"hello");
    client.finish();
    assert_eq!(client.rest().unwrap(), b"");
    let line = gateway.access_line("/tunnel");
    assert_eq!(
        (line["status"].as_u64(), line["bytes_out"].as_u64()),
        (Some(101), Some(5)),
        "{line}"
    );
}

#[test]
fn a_refusal_is_an_ordinary_response() {
    let origin = H2Origin::start(100);
    let gateway = Setup::to(&[origin.address]).upstream("protocol: h2").start();
    let session = Session::connect(gateway.listen);
    let (head, mut refused) = session.open(connect("/forbidden")).unwrap();
    assert_eq!(head.status(), 403);
    assert_eq!(refused.rest().unwrap(), b"no");
    let mut client = gateway.client();
    client.send(UPGRADE.replace("/tunnel", "/forbidden").as_bytes());
    assert_eq!(client.answer("GET").unwrap().status, 403);
    // The endpoint was told that nothing would follow.
    assert!(eventually(|| origin.seen("/forbidden").len() == 2));
    assert_eq!(session.get("/x").0, 200);
}

#[test]
fn both_resets_pass() {
    let origin = H2Origin::start(100);
    let gateway = Setup::to(&[origin.address]).upstream("protocol: h2").start();
    let session = Session::connect(gateway.listen);
    let mut tunnel = session.websocket("/tunnel/reset");
    tunnel.write_all(b"x").unwrap();
    assert_eq!(tunnel.reset_reason(), Some(h2::Reason::CANCEL));
    let tunnel = session.websocket("/tunnel");
    tunnel.reset();
    assert!(eventually(|| origin.seen("/tunnel").len() == 2));
    assert_eq!(session.get("/x").0, 200);
}

#[test]
fn an_endpoint_without_extended_connect_is_an_error_that_says_so() {
    let origin = H2Origin::start_without_connect();
    let gateway = Setup::to(&[origin.address]).upstream("protocol: h2").start();
    let session = Session::connect(gateway.listen);
    let (head, mut refused) = session.open(connect("/tunnel")).unwrap();
    assert_eq!(head.status(), 502);
    assert_eq!(head.headers()["proxy-status"], "weir; error=http_upgrade_failed");
    let text = String::from_utf8(refused.rest().unwrap()).unwrap();
    assert_eq!(text, "502 the upstream takes no extended CONNECT (UC)\n");
    let mut client = gateway.client();
    client.send(UPGRADE.as_bytes());
    assert_eq!(client.answer("GET").unwrap().status, 502);
    assert!(origin.seen("/tunnel").is_empty());
}
