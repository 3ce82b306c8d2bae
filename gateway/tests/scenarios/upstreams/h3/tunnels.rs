//! Tunnels over a stream (RFC 9220).

use super::{Origin, Trust, broken};
use crate::support::gateway::Gateway;

const UPGRADE: &str = "GET /tunnel HTTP/1.1\r\nHost: weir.test\r\nConnection: Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn assert_tunnel(gateway: &Gateway) {
    let mut client = gateway.client();
    client.send(UPGRADE.as_bytes());
    let answer = client.answer("GET").unwrap();
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")), "{answer:?}");
    for size in [1, 1000, 100_000] {
        let piece = vec![b'x'; size];
        client.send(&piece);
        assert!(client.bytes(size).unwrap() == piece, "{size}");
    }
    client.finish();
    assert_eq!(client.rest().unwrap(), b"");
}

#[test]
fn an_upgrade_goes_on_as_a_stream() {
    let trust = Trust::new();
    let origin = Origin::mirror(&trust.issued);
    let gateway = trust.setup(&[origin.address], "protocol: h3").start();
    assert_tunnel(&gateway);
    let line = gateway.access_line("/tunnel");
    assert_eq!((line["status"].as_u64(), line["bytes_out"].as_u64()), (Some(101), Some(101_001)));
    for _ in 0..5 {
        assert_tunnel(&gateway);
    }
    assert!(origin.connections() <= 2);
}

#[test]
fn an_endpoint_without_extended_connect_is_an_error_that_says_so() {
    let trust = Trust::new();
    let origin = Origin::raw(&trust.issued, broken::SETTINGS, &[broken::OK.to_vec()]);
    let gateway = trust.setup(&[origin.address], "protocol: h3").start();
    let mut client = gateway.client();
    client.send(UPGRADE.as_bytes());
    let answer = client.answer("GET").unwrap();
    assert_eq!(answer.text(), "502 the upstream takes no extended CONNECT (UC)\n");
    assert_eq!(origin.requests(), 0);
}
