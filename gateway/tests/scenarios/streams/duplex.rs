//! Both directions at once, and answers that come before the question ended.

use std::{thread, time::Duration};

use crate::support::{
    client::get,
    frames::{DATA, END_STREAM, Frames, HEADERS, request},
    gateway::Setup,
    origin::{Next, Origin},
};

/// Answers each chunk with a chunk as soon as it came.
fn parrot() -> Origin {
    Origin::start(|x| {
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let mut from = 0;
        loop {
            let more = x.read_piece()?;
            let piece = x.seen.body[from..].to_vec();
            from += piece.len();
            if !piece.is_empty() {
                x.send(format!("{:x}\r\n", piece.len()))?;
                x.send(&piece)?;
                x.send("\r\n")?;
            }
            if !more {
                x.send("0\r\n\r\n")?;
                return Ok(Next::Keep);
            }
        }
    })
}

#[test]
fn each_chunk_is_answered_while_the_request_goes_on() {
    let origin = parrot();
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    client.send(b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for n in 0..5 {
        client.send(format!("7\r\nchunk {n}\r\n").as_bytes());
        if n == 0 {
            while client.line().unwrap().is_some_and(|line| !line.is_empty()) {}
        }
        assert_eq!(client.line().unwrap().unwrap(), b"7", "chunk {n}");
        assert_eq!(client.bytes(9).unwrap(), format!("chunk {n}\r\n").as_bytes());
    }
    client.send(b"0\r\n\r\n");
    assert_eq!(client.line().unwrap().unwrap(), b"0");
}

#[test]
fn each_frame_is_answered_while_the_stream_is_open() {
    let origin = parrot();
    let gateway = Setup::to(&[origin.address]).start();
    let mut frames = Frames::connect(gateway.listen);
    frames.headers(1, &request("POST", "/x"), false);
    for n in 0..5 {
        frames.send(DATA, 0, 1, format!("chunk {n}").as_bytes()).unwrap();
        loop {
            let frame = frames.next().unwrap().unwrap();
            if frame.kind == DATA && !frame.payload.is_empty() {
                assert_eq!(frame.payload, format!("chunk {n}").as_bytes());
                break;
            }
            if frame.kind == HEADERS {
                assert!(frames.fields(&frame).is_some());
            }
        }
    }
    frames.send(DATA, END_STREAM, 1, b"").unwrap();
}

#[test]
fn an_answer_before_the_bodys_end_arrives_and_spoils_nothing() {
    let origin = Origin::start(|x| {
        if x.target() != "/early" {
            return x.echo();
        }
        x.reply(401, "", "who are you")?;
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    for _ in 0..10 {
        let mut client = gateway.client();
        client.send(b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n");
        client.send(&[b'b'; 10_000]);
        let answer = client.answer("POST").unwrap();
        assert_eq!((answer.status, answer.text()), (401, "who are you".to_owned()));
        // The rest of the body must not become a request.
        client.send(get("/smuggled").as_bytes());
        thread::sleep(Duration::from_millis(5));
        assert_eq!(gateway.client().get("/after").unwrap().text(), "GET /after 0");
    }
    assert!(origin.seen_at("/smuggled").is_empty());
}

#[test]
fn an_upload_that_outlives_its_answer_stays_an_upload() {
    let origin = Origin::start(|x| {
        if x.target() != "/early" {
            return x.echo();
        }
        x.reply(200, "", "early")?;
        x.read_body()?;
        Ok(Next::Keep)
    });
    let gateway = Setup::to(&[origin.address]).timeouts("header_read: 1s").start();
    let mut client = gateway.client();
    let rest = get("/smuggled");
    let length = 4 + rest.len();
    client.send(
        format!("POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
    );
    client.send(b"body");
    assert_eq!(client.answer("POST").unwrap().text(), "early");
    // Longer than a quiet connection keeps its buffers, and than a head may take.
    let (first, second) = rest.as_bytes().split_at(9);
    thread::sleep(Duration::from_millis(1500));
    client.send(first);
    thread::sleep(Duration::from_millis(1500));
    client.send(second);
    assert_eq!(client.get("/after").unwrap().text(), "GET /after 0");
    assert!(origin.seen_at("/smuggled").is_empty());
}

#[test]
fn an_early_answer_over_h2_lets_the_connection_live() {
    let origin = Origin::start(|x| {
        if x.target() != "/early" {
            return x.echo();
        }
        x.reply(401, "", "who are you")?;
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut frames = Frames::connect(gateway.listen);
    frames.headers(1, &request("POST", "/early"), false);
    frames.send(DATA, 0, 1, b"a little").unwrap();
    assert_eq!(frames.outcome(1).status(), 401);
    assert_eq!(frames.get(3, "/after").text(), "GET /after 0");
}
