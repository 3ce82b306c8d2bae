//! Server-sent events and other slow bodies: each piece is passed on as it comes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{
    client::get,
    eventually,
    frames::{DATA, Frames, request},
    gate::Gate,
    gateway::Setup,
    h2_client,
    origin::{Next, Origin},
};

/// Three events, each sent when so many have arrived.
fn awaited(arrived: &Arc<AtomicUsize>) -> Origin {
    let arrived = Arc::clone(arrived);
    Origin::start(move |x| {
        x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for n in 0..3 {
            eventually(|| arrived.load(Ordering::Acquire) == n);
            x.send(format!("9\r\ndata: {n}\n\n\r\n"))?;
        }
        eventually(|| arrived.load(Ordering::Acquire) == 3);
        x.send("0\r\n\r\n")?;
        Ok(Next::Keep)
    })
}

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
    let arrived = Arc::default();
    let origin = awaited(&arrived);
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    client.send(get("/events").as_bytes());
    while client.line().unwrap().is_some_and(|line| !line.is_empty()) {}
    for n in 0..3 {
        assert_eq!(client.line().unwrap().unwrap(), b"9");
        assert_eq!(client.bytes(11).unwrap(), format!("data: {n}\n\n\r\n").as_bytes());
        arrived.store(n + 1, Ordering::Release);
    }
    assert_eq!(client.line().unwrap().unwrap(), b"0");
}

#[test]
fn an_event_is_there_at_once_over_h2_too() {
    let arrived = Arc::default();
    let origin = awaited(&arrived);
    let gateway = Setup::to(&[origin.address]).start();
    let mut frames = Frames::connect(gateway.listen);
    frames.headers(1, &request("GET", "/events"), true);
    while arrived.load(Ordering::Acquire) < 3 {
        let frame = frames.next().unwrap().unwrap();
        if frame.kind == DATA && !frame.payload.is_empty() {
            arrived.fetch_add(1, Ordering::AcqRel);
        }
    }
}

#[test]
fn the_head_comes_before_any_of_the_body() {
    let gate = Gate::default();
    let shut = gate.clone();
    let origin = Origin::start(move |x| {
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")?;
        shut.pass();
        x.send("hello")?;
        Ok(Next::Keep)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    client.send(get("/x").as_bytes());
    while client.line().unwrap().is_some_and(|line| !line.is_empty()) {}
    gate.open();
    assert_eq!(client.bytes(5).unwrap(), b"hello");
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
    let gone = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&gone);
    let origin = Origin::start(move |x| {
        x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        x.send("2\r\n\n\n\r\n")?;
        flag.store(x.closed(), Ordering::Release);
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
        if gone.load(Ordering::Acquire) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the origin still sends to nobody");
}
