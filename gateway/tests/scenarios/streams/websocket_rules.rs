//! When a connection becomes a tunnel, and when it must not.

use crate::support::{
    client::get,
    eventually,
    gateway::Setup,
    origin::{Exchange, Next, Origin},
};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn handshake(method: &str, target: &str, lines: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: weir.test\r\n{lines}\r\n")
}

fn switch(x: &mut Exchange, after: &str) -> std::io::Result<()> {
    x.send(format!(
        "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n{after}"
    ))
}

#[test]
fn the_handshake_passes_and_bytes_after_101_are_the_tunnels() {
    let origin = Origin::start(|x| {
        switch(x, "first")?;
        let mut stream = x.stream()?;
        let mut piece = [0; 5];
        std::io::Read::read_exact(&mut stream, &mut piece)?;
        x.send(piece)?;
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    client.send(handshake("GET", "/x", UPGRADE).as_bytes());
    let answer = client.answer("GET").unwrap();
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")));
    assert_eq!(client.bytes(5).unwrap(), b"first");
    client.send(b"hello");
    assert_eq!(client.rest().unwrap(), b"hello");
    let seen = origin.completed("/x");
    assert_eq!(seen.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
}

#[test]
fn without_a_whole_upgrade_request_nothing_is_upgraded() {
    let origin = Origin::start(|x| {
        if x.seen.field("upgrade").is_some() {
            switch(x, "tunnel")?;
            return Ok(Next::Close);
        }
        x.echo()
    });
    let gateway = Setup::to(&[origin.address]).start();
    let whole = handshake("GET", "/x", UPGRADE);
    let rows = [
        ("no connection", whole.replace("Connection: Upgrade\r\n", "")),
        ("other connection", whole.replace("Connection: Upgrade", "Connection: keep-alive")),
        ("POST", whole.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n")),
        ("1.0", whole.replace("HTTP/1.1", "HTTP/1.0")),
        ("no upgrade", whole.replace("Upgrade: websocket\r\n", "")),
        ("other protocol", whole.replace("Upgrade: websocket", "Upgrade: h2c")),
    ];
    let mut failures = Vec::new();
    for (name, request) in rows {
        let mut client = gateway.client();
        client.send(request.as_bytes());
        match client.answer("GET") {
            Ok(answer) if matches!(answer.status, 200 | 400) => {}
            other => failures.push(format!("{name}: {other:?}")),
        }
    }
    crate::support::assert_none(&failures);
}

#[test]
fn names_and_lists_of_connection_are_compared_as_tokens() {
    let origin = Origin::start(|x| {
        switch(x, "")?;
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    for lines in [
        UPGRADE.replace("Connection: Upgrade", "Connection: keep-alive, upgrade"),
        UPGRADE.replace("Connection: Upgrade", "connection: UPGRADE"),
        UPGRADE.replace("Upgrade: websocket", "upgrade: WebSocket"),
    ] {
        let mut client = gateway.client();
        client.send(handshake("GET", "/x", &lines).as_bytes());
        assert_eq!(client.answer("GET").unwrap().status, 101, "{lines}");
    }
}

#[test]
fn a_refused_upgrade_is_an_ordinary_response_and_no_tunnel() {
    let origin = Origin::start(|x| match x.target() {
        "/x/200" => x.reply(200, "", "plain"),
        "/x/403" => x.reply(403, "", "no"),
        "/x/426" => x.reply(426, "Sec-WebSocket-Version: 13\r\n", "upgrade"),
        _ => x.echo(),
    });
    let gateway = Setup::to(&[origin.address]).start();
    for (target, status) in [("/x/200", 200), ("/x/403", 403), ("/x/426", 426)] {
        let mut client = gateway.client();
        client.send(handshake("GET", target, UPGRADE).as_bytes());
        assert_eq!(client.answer("GET").unwrap().status, status);
        // What follows is a request of its own or nothing, never bytes for the origin.
        if let Ok(answer) = client.get("/next") {
            assert_eq!(answer.text(), "GET /next 0");
        }
    }
    assert!(origin.seen_at("/next").len() <= 3);
}

#[test]
fn bytes_sent_before_101_reach_no_origin_that_refuses() {
    let origin = Origin::start(|x| {
        if x.target() != "/x" {
            return x.echo();
        }
        let surplus = x.surplus();
        let text = format!("surplus {}", surplus.len());
        x.reply(403, "", &text)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    let early = handshake("GET", "/x", UPGRADE) + &get("/smuggled");
    client.send(early.as_bytes());
    let answer = client.answer("GET").unwrap();
    assert_eq!((answer.status, answer.text()), (403, "surplus 0".to_owned()));
    for _ in 0..3 {
        assert_eq!(gateway.client().get("/after").unwrap().text(), "GET /after 0");
    }
}

#[test]
fn the_servers_end_of_a_tunnel_is_the_clients() {
    let origin = Origin::start(|x| {
        switch(x, "last words")?;
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    client.send(handshake("GET", "/x", UPGRADE).as_bytes());
    assert_eq!(client.answer("GET").unwrap().status, 101);
    assert_eq!(client.rest().unwrap(), b"last words");
}

#[test]
fn an_unfinished_handshake_does_not_hold_the_origin() {
    let origin = Origin::start(|x| {
        x.closed();
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).route("timeout: { headers: 500ms }").start();
    let mut client = gateway.client();
    client.send(handshake("GET", "/x", UPGRADE).as_bytes());
    assert_eq!(client.answer("GET").unwrap().status, 504);
    assert!(eventually(|| !origin.seen().is_empty()));
}
