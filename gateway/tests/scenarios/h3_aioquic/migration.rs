//! Clients whose address changes: with several workers, the kernel hands the new address's packets
//! to any of them.

use std::{thread, time::Duration};

use serde_json::json;

use super::{Aioquic, edge_of, metric, pattern};
use crate::support::{
    eventually,
    gateway::{Gateway, Setup},
    origin::{Next, Origin},
};

/// Enough workers for a new port to hit another one most of the time.
fn four_workers(origin: &Origin) -> Gateway {
    edge_of(Setup::yaml(&format!(
        "workers: 4\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners:\n  - bind: \"$LISTEN\"\n    \
         tls: {{ cert: $DIR/edge.pem, key: $DIR/edge.key }}\n    protocols: [h1, h2, h3]\n\
         timeouts: {{ drain: 2s }}\nupstreams:\n  origin: {{ endpoints: [\"{}\"] }}\n\
         routes:\n  - {{ match: {{ path: \"/**\" }}, to: origin }}\n",
        origin.address
    )))
}

#[test]
fn an_idle_connection_moves() {
    let origin = Origin::echo();
    let gateway = four_workers(&origin);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let mut port = client.run("info", json!({}))["port"].clone();
    for n in 0..12 {
        // A network that maps anew keeps the connection ID; a client that knows takes another.
        let knows = n % 2 == 0;
        let state = client.run("rebind", json!({ "cid": knows, "silent": n % 3 == 0 }));
        assert_ne!(state["port"], port);
        port = state["port"].clone();
        client.assert_serves(&format!("/moved/{n}"));
        client.run("alive", json!({}));
    }
    let steered = metric(&gateway, "weir_quic_steered_datagrams_total");
    assert!(steered > 0.0, "no datagram came to another worker");
}

#[test]
fn an_upstream_is_told_the_new_address() {
    let origin = Origin::echo();
    let gateway = four_workers(&origin);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    client.assert_serves("/one");
    client.run("rebind", json!({ "cid": true, "host": "127.0.0.2" }));
    client.run("alive", json!({}));
    client.assert_serves("/two");
    assert_eq!(origin.completed("/one").field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(origin.completed("/two").field("x-forwarded-for"), Some("127.0.0.2"));
}

#[test]
fn a_client_may_move_again_before_its_last_move_is_proven() {
    let origin = Origin::echo();
    let gateway = four_workers(&origin);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    for n in 0..10 {
        client.send(json!({ "path": format!("/on/the/way/{n}") }));
        for _ in 0..3 {
            client.run("rebind", json!({}));
        }
        client.assert_serves(&format!("/there/{n}"));
    }
    assert!(eventually(|| origin.seen_at("/on/the/way").len() == 10));
}

#[test]
fn a_client_that_falls_silent_where_it_went_is_found_elsewhere() {
    let origin = Origin::echo();
    let gateway = four_workers(&origin);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    client.assert_serves("/here");
    for n in 0..3 {
        // Some of a request is the last that is heard from there.
        let up = json!({ "path": "/up", "method": "POST", "size": 5000, "hold": true });
        let stream = client.send(up);
        client.run("rebind", json!({ "cid": n % 2 == 0, "mute": true }));
        // As long as it takes to give that place up.
        thread::sleep(Duration::from_millis(700));
        client.run("rebind", json!({ "cid": n % 2 == 0 }));
        assert_eq!(client.answer(stream)["text"], "POST /up 5000");
        client.assert_serves(&format!("/there/{n}"));
        client.run("alive", json!({}));
    }
}

#[test]
fn a_tunnel_moves() {
    let origin = Origin::start(|x| {
        let accept = tungstenite::handshake::derive_accept_key(
            x.seen.field("sec-websocket-key").unwrap_or_default().as_bytes(),
        );
        x.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        ))?;
        let role = tungstenite::protocol::Role::Server;
        let mut socket = tungstenite::WebSocket::from_raw_socket(x.stream()?, role, None);
        while let Ok(message) = socket.read() {
            let _ = socket.send(message);
        }
        Ok(Next::Close)
    });
    let gateway = four_workers(&origin);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let version = json!([["sec-websocket-version", "13"]]);
    let opened = client.run("socket", json!({ "path": "/chat", "headers": version }));
    assert_eq!(opened["status"], 200, "{opened}");
    let stream = &opened["stream"];
    for n in 0..6 {
        client.run("rebind", json!({ "cid": n % 2 == 0, "silent": true }));
        client.run("say", json!({ "stream": stream, "size": 30_000 }));
        let heard = client.run("hear", json!({ "stream": stream }));
        assert_eq!((&heard["length"], &heard["intact"]), (&json!(30_000), &json!(true)));
    }
}

#[test]
fn a_download_moves() {
    const SIZE: usize = 6 << 20;
    let origin = Origin::start(|x| {
        x.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"))?;
        x.send(pattern(SIZE))?;
        Ok(Next::Keep)
    });
    let gateway = four_workers(&origin);
    for knows in [true, false] {
        let Some(mut client) = Aioquic::connect(&gateway) else { return };
        let stream = client.send(json!({ "path": "/big" }));
        for n in 1..=4 {
            let there = client.run(
                "received",
                json!({ "stream": stream, "bytes": n << 20, "rebind": true, "cid": knows }),
            );
            assert_eq!(there["ended"], false, "over before it could move");
        }
        let answer = client.answer(stream);
        assert_eq!((&answer["length"], &answer["intact"]), (&json!(SIZE), &json!(true)));
        client.assert_serves("/after");
    }
}

#[test]
fn an_upload_moves() {
    const PIECE: usize = 251 * 400;
    let origin = Origin::echo();
    let gateway = four_workers(&origin);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let head = json!({ "path": "/up", "method": "POST", "size": PIECE, "open": true });
    let stream = client.send(head);
    for n in 0..6 {
        client.run("rebind", json!({ "cid": n % 2 == 0, "silent": true }));
        client.run("write", json!({ "stream": stream, "size": PIECE, "open": n < 5 }));
    }
    let answer = client.answer(stream);
    assert_eq!(answer["text"], format!("POST /up {}", PIECE * 7), "{answer}");
    assert!(origin.completed("/up").body == pattern(PIECE * 7), "another body came");
}

#[test]
fn what_flows_both_ways_moves() {
    let origin = Origin::start(|x| {
        if x.seen.method == "POST" {
            return x.echo();
        }
        x.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 4 << 20))?;
        x.send(pattern(4 << 20))?;
        Ok(Next::Keep)
    });
    let gateway = four_workers(&origin);
    for knows in [true, false] {
        let Some(mut client) = Aioquic::connect(&gateway) else { return };
        let up = client.send(json!({ "path": "/up", "method": "POST", "size": 4 << 20 }));
        let down = client.send(json!({ "path": "/down" }));
        client.run(
            "received",
            json!({ "stream": down, "bytes": 1 << 20, "rebind": true, "cid": knows }),
        );
        let answer = client.answer(down);
        assert_eq!((&answer["length"], &answer["intact"]), (&json!(4 << 20), &json!(true)));
        assert_eq!(client.answer(up)["text"], format!("POST /up {}", 4 << 20));
    }
}

#[test]
fn a_client_that_moves_while_it_waits_is_found_once_it_speaks() {
    let origin = Origin::start(|x| {
        thread::sleep(Duration::from_millis(400));
        x.echo()
    });
    let gateway = four_workers(&origin);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    for n in 0..4 {
        let stream = client.send(json!({ "path": format!("/slow/{n}") }));
        client.run("rebind", json!({ "cid": n % 2 == 0 }));
        let answer = client.answer(stream);
        assert_eq!(answer["status"], 200, "{answer}");
    }
}
