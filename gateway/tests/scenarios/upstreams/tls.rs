//! TLS to the origin: verified unless told otherwise.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::support::{
    certificates::Authority, gateway::Setup, h2_origin::H2Origin, origin::Origin,
};

/// An encrypted HTTP/1.1 origin that answers one request a connection.
fn encrypted(config: Arc<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || {
                let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                let mut request = [0; 4096];
                if tls.read(&mut request).is_ok_and(|n| n > 0) {
                    let name = tls.conn.server_name().unwrap_or("-").to_owned();
                    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
                    let _ = write!(tls, "{head}Content-Length: {}\r\n\r\n{name}", name.len());
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            });
        }
    });
    address
}

/// Status, Proxy-Status and body of one request through a gateway with these upstream keys.
fn through(address: SocketAddr, authority: &Authority, keys: &str) -> (u16, String, String) {
    let dir = TempDir::new().unwrap();
    authority.write(&dir.path().join("ca.pem"));
    let gateway = Setup::to(&[address]).upstream(keys).within(dir).start();
    let answer = gateway.client().get("/x").unwrap();
    let why = answer.field("proxy-status").unwrap_or_default().to_owned();
    (answer.status, why, answer.text())
}

#[test]
fn a_trusted_certificate_of_the_right_name_is_accepted() {
    let authority = Authority::new();
    let address = encrypted(authority.issue(&["origin.test"]).server(&[]));
    let keys = "tls: { server_name: origin.test, ca: $DIR/ca.pem }";
    let (status, why, body) = through(address, &authority, keys);
    assert_eq!((status, body.as_str()), (200, "origin.test"), "{why}");
}

#[test]
fn a_certificate_that_does_not_fit_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let right = encrypted(authority.issue(&["origin.test"]).server(&[]));
    let wrong = "tls: { server_name: other.test, ca: $DIR/ca.pem }";
    let fits = "tls: { server_name: origin.test, ca: $DIR/ca.pem }";
    let public = "tls: { server_name: origin.test }";
    for (name, trusted, keys) in [
        ("wrong name", &authority, wrong),
        ("wrong authority", &other, fits),
        ("only the machine's authorities", &authority, public),
        ("name from the address", &authority, "tls: { ca: $DIR/ca.pem }"),
    ] {
        let (status, why, _) = through(right, trusted, keys);
        assert_eq!(status, 502, "{name}: {why}");
        assert!(why.contains("tls_certificate_error"), "{name}: {why}");
    }
}

#[test]
fn verification_ends_only_when_that_is_written() {
    let authority = Authority::new();
    let address = encrypted(Authority::new().issue(&["else.test"]).server(&[]));
    let (status, why, _) =
        through(address, &authority, "tls: { server_name: origin.test, verify: false }");
    assert_eq!(status, 200, "{why}");
}

#[test]
fn clear_text_where_tls_was_meant_is_502_and_the_reverse_too() {
    let authority = Authority::new();
    let clear = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = clear.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in clear.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let keys = "tls: { server_name: origin.test, ca: $DIR/ca.pem }";
    let (status, why, _) = through(address, &authority, keys);
    assert_eq!(status, 502, "{why}");
    assert!(why.contains("tls_protocol_error"), "{why}");
    let tls = encrypted(authority.issue(&["origin.test"]).server(&[]));
    let (status, why, _) = through(tls, &authority, "connect_timeout: 1s");
    assert_eq!(status, 502, "{why}");
}

#[test]
fn alpn_decides_between_the_versions_under_auto() {
    let authority = Authority::new();
    let issued = authority.issue(&["origin.test"]);
    let keys = "protocol: auto, tls: { server_name: origin.test, ca: $DIR/ca.pem }";
    let h2 = H2Origin::start_tls(issued.server(&[b"h2", b"http/1.1"]));
    assert_eq!(through(h2.address, &authority, keys).2, "GET /x 0");
    assert_eq!(h2.seen("/x").len(), 1);
    let h1 = encrypted(issued.server(&[b"http/1.1"]));
    assert_eq!(through(h1, &authority, keys).0, 200);
    let none = encrypted(issued.server(&[]));
    assert_eq!(through(none, &authority, keys).0, 200);
}

#[test]
fn a_clear_origin_needs_no_tls_keys() {
    let origin = Origin::echo();
    let (status, why, _) = through(origin.address, &Authority::new(), "protocol: h1");
    assert_eq!(status, 200, "{why}");
}
