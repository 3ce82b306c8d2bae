//! TLS handshakes that stop.

use std::time::{Duration, Instant};

use super::{SHORT, ends_after};
use crate::support::{
    certificates::Authority,
    client::Client,
    gateway::{Gateway, Setup},
    origin::Origin,
};

fn encrypted() -> (Origin, Gateway, Authority) {
    let dir = tempfile::TempDir::new().unwrap();
    let authority = Authority::new();
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address])
        .listener("tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }")
        .timeouts(SHORT)
        .within(dir)
        .start();
    (origin, gateway, authority)
}

#[test]
fn a_handshake_that_never_starts_or_never_ends_is_cut() {
    let (_origin, gateway, _authority) = encrypted();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for half in [&hello[..0], &hello[..1], &hello[..]] {
        let start = Instant::now();
        let mut client = gateway.client();
        client.send(half);
        ends_after(&mut client, Duration::from_secs(1), start);
    }
}

#[test]
fn silence_after_the_handshake_is_cut() {
    let (_origin, gateway, authority) = encrypted();
    for alpn in [&b"http/1.1"[..], b"h2"] {
        let start = Instant::now();
        let mut client =
            Client::tls(gateway.listen, authority.client(&[alpn]), "edge.test").unwrap();
        client.patience(Duration::from_secs(8));
        let end = client.rest();
        assert!(!end.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock), "still open");
        assert!(start.elapsed() < Duration::from_secs(7), "after {:?}", start.elapsed());
    }
}

#[test]
fn clear_text_and_garbage_on_a_tls_port_are_refused() {
    let (origin, gateway, authority) = encrypted();
    for bytes in [&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\n", &[0; 500]] {
        let mut client = gateway.client();
        client.send(bytes);
        let said = client.rest().expect("closed");
        assert!(!said.starts_with(b"HTTP/1.1 200"));
    }
    let mut good = Client::tls(gateway.listen, authority.client(&[]), "edge.test").unwrap();
    assert_eq!(good.get("/x").unwrap().text(), "GET /x 0");
    assert_eq!(origin.seen().len(), 1);
}
