//! SIGTERM: what is under way ends well, what is new goes elsewhere, and the exit code is 0.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::load::Load;
use crate::support::{
    PATIENCE,
    client::get,
    eventually,
    frames::{Frames, request},
    gateway::Setup,
    origin::{Next, Origin},
};

fn slow() -> Origin {
    Origin::start(|x| {
        if x.target() == "/slow" {
            thread::sleep(Duration::from_millis(700));
        }
        x.echo()
    })
}

#[test]
fn a_drain_under_load_fails_no_request() {
    let origin = slow();
    let mut gateway = Setup::to(&[origin.address]).drain("20s").start();
    let load = Load::start(gateway.listen, 6, Duration::from_millis(1));
    assert!(eventually(|| load.done() > 200));
    gateway.signal(Signal::TERM);
    let status = gateway.wait(PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(load.finish() > 200);
}

#[test]
fn requests_under_way_are_answered() {
    let origin = slow();
    let mut gateway = Setup::to(&[origin.address]).drain("20s").start();
    let mut client = gateway.client();
    let mut frames = Frames::connect(gateway.listen);
    client.send(get("/slow").as_bytes());
    frames.headers(1, &request("GET", "/slow"), true);
    assert!(eventually(|| origin.seen_at("/slow").len() == 2));
    gateway.signal(Signal::TERM);
    let answer = client.answer("GET").unwrap();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert_eq!(frames.outcome(1).status(), 200);
    // GOAWAY may have come before the response's end.
    assert!(matches!(frames.farewell(), Ok(None | Some(0))));
    assert_eq!(gateway.wait(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn idle_connections_do_not_delay_the_end() {
    let origin = slow();
    let mut gateway = Setup::to(&[origin.address]).drain("1m").start();
    let mut idle = gateway.client();
    assert_eq!(idle.get("/x").unwrap().status, 200);
    let mut silent = gateway.client();
    let mut frames = Frames::connect(gateway.listen);
    assert_eq!(frames.get(1, "/x").status(), 200);
    // Long before the time for what is under way is over.
    gateway.signal(Signal::TERM);
    assert!(idle.closes_within(PATIENCE));
    drop(idle);
    assert_eq!(frames.farewell(), Ok(Some(0)));
    drop(frames);
    assert_eq!(gateway.wait(PATIENCE).unwrap().code(), Some(0));
    assert!(silent.closes_within(PATIENCE));
}

#[test]
fn a_request_that_takes_longer_than_the_drain_is_cut() {
    let origin = Origin::start(|x| {
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        x.closed();
        Ok(Next::Close)
    });
    let mut gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    client.send(get("/slow").as_bytes());
    assert_eq!(client.line().unwrap().unwrap(), b"HTTP/1.1 200 OK");
    let start = Instant::now();
    gateway.signal(Signal::TERM);
    let status = gateway.wait(PATIENCE).expect("the drain has an end");
    assert_eq!(status.code(), Some(0));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1700), "{took:?}");
}

#[test]
fn new_connections_are_refused_and_readiness_ends() {
    let origin = slow();
    let mut gateway = Setup::to(&[origin.address]).drain("20s").start();
    assert_eq!(gateway.admin("GET", "/ready").status, 200);
    let mut client = gateway.client();
    client.send(get("/slow").as_bytes());
    assert!(eventually(|| origin.seen_at("/slow").len() == 1));
    gateway.signal(Signal::TERM);
    let refused = || TcpStream::connect(gateway.listen).is_err();
    assert!(eventually(refused), "still accepting");
    assert_eq!(client.answer("GET").unwrap().status, 200);
    assert_eq!(gateway.wait(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn sigint_ends_it_too() {
    let origin = slow();
    let mut gateway = Setup::to(&[origin.address]).start();
    gateway.signal(Signal::INT);
    assert_eq!(gateway.wait(PATIENCE).expect("it ends").code(), Some(0));
}
