//! Bodies in odd pieces.

use std::{fs, time::Duration};

use bytes::Bytes;
use http::Response;
use tokio::net::TcpListener;

use super::{ALICE, ask, counting, is_replayed, keyed};
use crate::support::gateway::{Gateway, Setup};

/// The most memory that it had so far, in bytes.
fn most_resident(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_body_of_many_short_pieces_takes_no_more_memory_than_its_bytes() {
    const PIECES: usize = 600_000;
    let (origin, gateway) = keyed("");
    let chunks = |key: &str, pieces: usize| {
        let head = format!(
            "POST /up HTTP/1.1\r\nHost: weir.test\r\n{ALICE}Idempotency-Key: {key}\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        format!("{head}{}0\r\n\r\n", "1\r\nx\r\n".repeat(pieces))
    };
    let mut client = gateway.client();
    client.send(chunks("warm", 10).as_bytes());
    assert_eq!(client.answer("POST").unwrap().status, 201);
    let before = most_resident(&gateway);
    client.send(chunks("k", PIECES).as_bytes());
    assert_eq!(client.answer("POST").unwrap().status, 201);
    let took = most_resident(&gateway) - before;
    assert!(took < 12 << 20, "{took} bytes for {PIECES}");
    assert_eq!(origin.seen_at("/up").last().unwrap().body.len(), PIECES);
}

#[test]
fn who_announces_a_body_and_sends_none_takes_no_room_from_others() {
    let origin = counting();
    let gateway = Setup::to(&[origin.address])
        .top("idempotency: { memory: 1MiB }")
        .route("name: api, idempotency: true")
        .start();
    let mut idle = gateway.client();
    let head = format!("POST /idle HTTP/1.1\r\nHost: weir.test\r\n{ALICE}Idempotency-Key: i\r\n");
    idle.send(format!("{head}Content-Length: 1048576\r\n\r\nx").as_bytes());
    std::thread::sleep(Duration::from_millis(100));
    let mut client = gateway.client();
    let fields = format!("{ALICE}Idempotency-Key: k\r\n");
    assert_eq!(ask(&mut client, "/payments", &fields, "x").status, 201);
    assert_eq!(origin.seen().len(), 1);
}

/// Says how long its response is, sends all of that, and ends it a little later.
async fn serve(listener: TcpListener) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let pieces = if request.uri().path() == "/empty" { &[][..] } else { &["he", "llo"] };
            let mut body = request.into_body();
            while body.data().await.is_some() {}
            let length = pieces.concat().len();
            let head = Response::builder().status(201).header("content-length", length);
            let mut send = respond.send_response(head.body(()).unwrap(), false).unwrap();
            for piece in pieces {
                send.send_data(Bytes::from_static(piece.as_bytes()), false).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(400)).await;
            send.send_data(Bytes::new(), true).unwrap();
        });
    }
}

#[tokio::test]
async fn who_has_read_all_that_was_announced_finds_it_recorded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener));
    let asked = tokio::task::spawn_blocking(move || {
        let gateway = Setup::to(&[address])
            .upstream("protocol: h2")
            .route("name: api, idempotency: true")
            .start();
        let mut client = gateway.client();
        for (target, body) in [("/whole", "hello"), ("/empty", "")] {
            let key = format!("{ALICE}Idempotency-Key: {target}\r\n");
            for replayed in [false, true] {
                let answer = ask(&mut client, target, &key, "x");
                let told = (answer.status, answer.text(), is_replayed(&answer));
                assert_eq!(told, (201, body.to_owned(), replayed), "{target}");
            }
        }
    });
    asked.await.unwrap();
}
