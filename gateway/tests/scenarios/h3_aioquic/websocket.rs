//! WebSocket over HTTP/3 (RFC 9220), bridged to an origin that speaks it over HTTP/1.1.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::{Value, json};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::{Aioquic, edge, merged};
use crate::support::eventually;

/// An echoing server that refuses `/no`; how many of its connections ended.
fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ended = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ended);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counter = Arc::clone(&counter);
            thread::spawn(move || {
                let Ok(mut socket) = tungstenite::accept_hdr(stream, judge) else { return };
                while let Ok(message) = socket.read() {
                    if message.is_text() || message.is_binary() {
                        let _ = socket.send(message);
                    }
                }
                counter.fetch_add(1, Ordering::AcqRel);
            });
        }
    });
    (address, ended)
}

#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
fn judge(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    if request.uri().path() == "/no" {
        let mut refusal = ErrorResponse::new(Some("not you".to_owned()));
        *refusal.status_mut() = http::StatusCode::FORBIDDEN;
        return Err(refusal);
    }
    Ok(response)
}

const VERSION: [&str; 2] = ["sec-websocket-version", "13"];

fn open(client: &mut Aioquic, path: &str) -> Value {
    client.run("socket", json!({ "path": path, "headers": [VERSION, ["origin", "https://a"]] }))
}

/// Says something and hears the same.
fn echo(client: &mut Aioquic, stream: &Value, message: Value) {
    let (text, size) = (message["text"].clone(), message["size"].clone());
    client.run("say", merged(json!({ "stream": stream }), message));
    let heard = client.run("hear", json!({ "stream": stream }));
    assert_eq!(heard["text"], text, "{heard}");
    if text.is_null() {
        assert_eq!((&heard["length"], &heard["intact"]), (&size, &json!(true)), "{heard}");
    }
}

#[test]
fn messages_of_every_kind_and_size_come_back() {
    let (address, ended) = server();
    let gateway = edge(address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let opened = open(&mut client, "/chat");
    assert_eq!(opened["status"], 200, "{opened}");
    let stream = &opened["stream"];
    echo(&mut client, stream, json!({ "text": "héllo" }));
    for size in [0, 1, 125, 126, 65_535, 65_536, 256 << 10] {
        echo(&mut client, stream, json!({ "size": size }));
    }
    client.run("leave", json!({ "stream": stream, "code": 1000, "reason": "done" }));
    let heard = client.run("hear", json!({ "stream": stream }));
    assert_eq!((&heard["close"], &heard["reason"]), (&json!(1000), &json!("done")), "{heard}");
    client.run("leave", json!({ "stream": stream, "fin": true }));
    let over = client.run("hear", json!({ "stream": stream }));
    assert_eq!((&over["over"], &over["end"]), (&json!(true), &Value::Null), "{over}");
    assert!(eventually(|| ended.load(Ordering::Acquire) == 1), "the tunnel is still open");
}

#[test]
fn several_tunnels_share_a_connection() {
    let (address, ended) = server();
    let gateway = edge(address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let opened: Vec<Value> = (0..5).map(|_| open(&mut client, "/chat")).collect();
    for (n, one) in opened.iter().enumerate() {
        assert_eq!(one["status"], 200, "{one}");
        echo(&mut client, &one["stream"], json!({ "text": format!("number {n}") }));
    }
    client.cancel(opened[0]["stream"].as_u64().unwrap());
    assert!(eventually(|| ended.load(Ordering::Acquire) == 1), "a cancelled tunnel is still open");
    for one in &opened[1..] {
        echo(&mut client, &one["stream"], json!({ "text": "still here" }));
    }
}

#[test]
fn a_refusal_is_passed_on() {
    let (address, _) = server();
    let gateway = edge(address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let refused = client.run(
        "send",
        json!({
            "path": "/no", "method": "CONNECT", "protocol": "websocket", "open": true,
            "headers": [VERSION],
        }),
    );
    let answer = client.answer(refused["stream"].as_u64().unwrap());
    assert_eq!(answer["status"], 403, "{answer}");
    let opened = open(&mut client, "/chat");
    assert_eq!(opened["status"], 200, "{opened}");
    echo(&mut client, &opened["stream"], json!({ "text": "yes" }));
}

#[test]
fn a_client_that_vanishes_ends_the_servers_side() {
    let (address, ended) = server();
    let gateway = edge(address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let opened = open(&mut client, "/chat");
    echo(&mut client, &opened["stream"], json!({ "text": "hello" }));
    client.run("finish", json!({}));
    assert!(eventually(|| ended.load(Ordering::Acquire) == 1), "the tunnel is still open");
}
