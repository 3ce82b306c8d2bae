//! Server-sent events and other slow bodies: each piece is passed on as it comes.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    client::get,
    frames::{DATA, Frames, request},
    gateway::Setup,
    h2_client,
    origin::{Next, Origin},
};

/// Three events, a second apart.
fn events() -> Origin {
    Origin::start(|x| {
        x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for n in 0..3 {
            x.send(format!("9\r\ndata: {n}\n\n\r\n"))?;
            thread::sleep(Duration::from_secs(1));
        }
        x.send("0\r\n\r\n")?;
        Ok(Next::Keep)
    })
}

#[test]
fn an_event_is_there_before_the_next_is_made() {
    let origin = events();
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    let start = Instant::now();
    client.send(get("/events").as_bytes());
    while client.line().unwrap().is_some_and(|line| !line.is_empty()) {}
    for n in 0..3 {
        assert_eq!(client.line().unwrap().unwrap(), b"9");
        assert_eq!(client.bytes(11).unwrap(), format!("data: {n}\n\n\r\n").as_bytes());
        let late = start.elapsed().saturating_sub(Duration::from_secs(n));
        assert!(late < Duration::from_millis(500), "event {n} was {late:?} late");
    }
    assert_eq!(client.line().unwrap().unwrap(), b"0");
}

#[test]
fn an_event_is_there_at_once_over_h2_too() {
    let origin = events();
    let gateway = Setup::to(&[origin.address]).start();
    let mut frames = Frames::connect(gateway.listen);
    let start = Instant::now();
    frames.headers(1, &request("GET", "/events"), true);
    let mut arrived = Vec::new();
    while arrived.len() < 3 {
        let frame = frames.next().unwrap().unwrap();
        if frame.kind == DATA && !frame.payload.is_empty() {
            arrived.push(start.elapsed());
        }
    }
    for (late, second) in arrived.iter().zip(0..) {
        let late = late.saturating_sub(Duration::from_secs(second));
        assert!(late < Duration::from_millis(500), "event {second} was {late:?} late");
    }
}

#[test]
fn the_head_comes_before_any_of_the_body() {
    let origin = Origin::start(|x| {
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")?;
        thread::sleep(Duration::from_secs(1));
        x.send("hello")?;
        Ok(Next::Keep)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    let start = Instant::now();
    client.send(get("/x").as_bytes());
    assert_eq!(client.line().unwrap().unwrap(), b"HTTP/1.1 200 OK");
    assert!(start.elapsed() < Duration::from_millis(600), "{:?}", start.elapsed());
}

#[test]
fn events_outlive_the_total_time() {
    let origin = events();
    let gateway =
        Setup::to(&[origin.address]).route("timeout: { headers: 1s, total: 1s, idle: 5s }").start();
    let answer = gateway.client().get("/events").unwrap();
    assert_eq!(answer.end, crate::support::answer::End::Complete);
    assert_eq!(answer.text(), "data: 0\n\ndata: 1\n\ndata: 2\n\n");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_events() {
    let gone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = std::sync::Arc::clone(&gone);
    let origin = Origin::start(move |x| {
        x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        x.send("2\r\n\n\n\r\n")?;
        flag.store(x.closed(), std::sync::atomic::Ordering::Release);
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let send = h2_client::connect(gateway.listen).await;
    let mut ready = send.clone().ready().await.unwrap();
    let (response, _) =
        ready.send_request(h2_client::head(http::Method::GET, "/events"), true).unwrap();
    let body = response.await.unwrap().into_body();
    drop(body);
    for _ in 0..500 {
        if gone.load(std::sync::atomic::Ordering::Acquire) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the origin still sends to nobody");
}
