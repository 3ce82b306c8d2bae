//! Clients whose address changes: with several workers, the kernel hands the new address's packets
//! to any of them.

use std::{thread, time::Duration};

use serde_json::json;

use super::{Aioquic, edge_of, pattern};
use crate::support::{
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
