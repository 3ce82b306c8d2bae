//! What is no tunnel, and stays none.

use super::stage;
use crate::support::{assert_none, gateway::Setup};

/// Everything is followed by a request that must not be answered.
fn statuses(gateway: &crate::support::gateway::Gateway, rows: &[(&str, u16)]) {
    let mut failures = Vec::new();
    for (head, status) in rows {
        let mut client = gateway.client();
        let head = head.replace('\n', "\r\n");
        client.send(format!("{head}\r\n\r\nGET /behind HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let answer = client.answer("GET").unwrap();
        if answer.status != *status || answer.field("connection") != Some("close") {
            failures.push(format!("{head:?}: {answer:?}"));
        }
        if client.rest().is_ok_and(|rest| !rest.is_empty()) {
            failures.push(format!("{head:?}: more came"));
        }
    }
    assert!(gateway.access_lines("behind").is_empty());
    assert_none(&failures);
}

#[test]
fn only_a_route_that_names_it_takes_it() {
    let (peer, gateway) = stage();
    statuses(
        &gateway,
        &[
            ("CONNECT other.test:5432 HTTP/1.1\nHost: other.test:5432", 405),
            // The authority decides, never the field.
            ("CONNECT other.test:5432 HTTP/1.1\nHost: db.test:5432", 405),
            (&format!("CONNECT {} HTTP/1.1\nHost: {0}", peer.address), 405),
        ],
    );
    let mut client = gateway.client();
    client.send(b"GET / HTTP/1.1\r\nHost: db.test\r\n\r\n");
    assert_eq!(client.answer("GET").unwrap().text(), "plain");
    let gateway = Setup::to(&[peer.address]).start();
    statuses(&gateway, &[("CONNECT db.test:5432 HTTP/1.1\nHost: db.test:5432", 405)]);
    assert!(peer.ends().is_empty());
}

#[test]
fn what_is_malformed_is_refused() {
    let (peer, gateway) = stage();
    statuses(
        &gateway,
        &[
            ("CONNECT db.test HTTP/1.1\nHost: db.test", 400),
            ("CONNECT db.test:0 HTTP/1.1\nHost: db.test:0", 400),
            ("CONNECT db.test:99999 HTTP/1.1\nHost: db.test:99999", 400),
            ("CONNECT u@db.test:5432 HTTP/1.1\nHost: db.test", 400),
            ("CONNECT / HTTP/1.1\nHost: db.test:5432", 400),
            ("CONNECT http://db.test:5432/ HTTP/1.1\nHost: db.test:5432", 400),
            ("CONNECT db.test:5432 HTTP/1.1", 400),
            ("CONNECT db.test:5432 HTTP/1.1\nHost: db.test\nHost: db.test", 400),
            ("CONNECT db.test:5432 HTTP/1.1\nHost: db.test\nContent-Length: 0", 400),
            ("CONNECT db.test:5432 HTTP/1.1\nHost: db.test\nContent-Length: 5", 400),
            ("CONNECT db.test:5432 HTTP/1.1\nHost: db.test\nTransfer-Encoding: chunked", 400),
            (
                "CONNECT db.test:5432 HTTP/1.1\nHost: db.test\nContent-Length: 5\n\
                 Transfer-Encoding: chunked",
                400,
            ),
        ],
    );
    assert!(peer.ends().is_empty());
}
