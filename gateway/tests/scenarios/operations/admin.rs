//! The admin listener.

use super::answering;
use crate::support::{client::Client, eventually, gateway::Setup, origin::Origin};

#[test]
fn every_page_answers() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).start();
    assert_eq!(gateway.client().get("/x").unwrap().status, 200);
    let status = gateway.admin("GET", "/status");
    assert_eq!(status.status, 200);
    assert!(status.json().is_object(), "{}", status.text());
    assert_eq!(gateway.admin("GET", "/ready").status, 200);
    let config = gateway.admin("GET", "/config");
    assert!(config.status == 200 && config.text().contains("origin"), "{}", config.text());
    let upstreams = gateway.admin("GET", "/upstreams");
    assert_eq!(upstreams.status, 200);
    assert!(upstreams.text().contains(&origin.address.to_string()), "{}", upstreams.text());
    assert!(upstreams.json().is_object() || upstreams.json().is_array());
    assert_eq!(gateway.admin("GET", "/nothing").status, 404);
    assert_eq!(gateway.admin("GET", "/reload").status, 405, "a GET changes nothing");
}

#[test]
fn metrics_count_what_happened() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    for _ in 0..7 {
        assert_eq!(client.get("/x").unwrap().status, 200);
    }
    let counted = || {
        let text = gateway.admin("GET", "/metrics").text();
        let line = text
            .lines()
            .find(|l| l.starts_with("weir_requests_total{") && l.contains("upstream=\"origin\""));
        line.and_then(|l| l.rsplit(' ').next()).and_then(|n| n.parse::<f64>().ok()) == Some(7.0)
    };
    assert!(eventually(counted), "{}", gateway.admin("GET", "/metrics").text());
    let text = gateway.admin("GET", "/metrics").text();
    assert!(text.contains("# TYPE weir_requests"), "{text}");
    assert!(text.contains("weir_"), "{text}");
}

#[test]
fn a_token_guards_every_page() {
    let yaml = answering("x").replace("bind: \"$ADMIN\"", "bind: \"$ADMIN\", token: s3cret");
    let gateway = Setup::yaml(&yaml).start();
    assert_eq!(gateway.admin("GET", "/status").status, 401);
    let ask = |method: &str, path: &str, lines: &str| {
        let mut client = Client::connect(gateway.admin);
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n").as_bytes());
        client.answer(method).unwrap().status
    };
    for path in ["/status", "/config", "/metrics", "/upstreams"] {
        assert_eq!(ask("GET", path, ""), 401, "{path}");
        assert_eq!(ask("GET", path, "Authorization: Bearer wrong\r\n"), 401, "{path}");
        assert_eq!(ask("GET", path, "Authorization: Bearer s3cret\r\n"), 200, "{path}");
    }
    assert_eq!(ask("POST", "/reload", "Content-Length: 0\r\n"), 401);
    let config = {
        let mut client = Client::connect(gateway.admin);
        client.send(b"GET /config HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer s3cret\r\n\r\n");
        client.answer("GET").unwrap().text()
    };
    assert!(!config.contains("s3cret"), "a secret shows: {config}");
    assert!(!gateway.log().contains("s3cret"));
}

#[test]
fn the_admin_listener_takes_malformed_requests_calmly() {
    let gateway = Setup::yaml(&answering("x")).start();
    assert_eq!(gateway.admin("GET", "/ready").status, 200);
    for bytes in [
        &b"GARBAGE\r\n\r\n"[..],
        b"GET /status HTTP/1.1\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /reload HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
        &[0xff; 100_000],
    ] {
        let mut client = Client::connect(gateway.admin);
        client.send(bytes);
        client.finish();
        let _ = client.rest();
    }
    assert_eq!(gateway.admin("GET", "/ready").status, 200);
}
