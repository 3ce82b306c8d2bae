//! Tunnels of extended CONNECT (RFC 9220): how each side's end or pause is the other's.

use std::{
    io::{Read, Write},
    net::Shutdown,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{Stage, play};
use crate::support::{
    eventually,
    h3_outcome::Outcome,
    h3_raw::{Raw, Stream},
    h3_wire::{DATA, code, frame, headers, request},
    origin::{Exchange, Next, Origin},
};

/// What the origin read of tunnels, and how many of them ended there.
#[derive(Default)]
struct Seen {
    bytes: AtomicUsize,
    ended: AtomicUsize,
}

fn serve(x: &mut Exchange, seen: &Arc<Seen>) -> std::io::Result<Next> {
    let target = x.target().to_owned();
    if !target.starts_with("/tunnel") {
        return play(x);
    }
    x.switch("hello ")?;
    let mut stream = x.stream()?;
    match &*target {
        "/tunnel/reset" => {
            thread::sleep(Duration::from_millis(100));
            return Ok(Next::Reset);
        }
        "/tunnel/last" => stream.shutdown(Shutdown::Write)?,
        "/tunnel/flood" => {
            let mut stream = x.stream()?;
            thread::spawn(move || while stream.write_all(&[5; 65_536]).is_ok() {});
        }
        _ => {}
    }
    let mut piece = [0; 65_536];
    let mut all = 0;
    while let Ok(n) = stream.read(&mut piece) {
        if n == 0 {
            break;
        }
        all += n;
        seen.bytes.fetch_add(n, Ordering::AcqRel);
    }
    seen.ended.fetch_add(1, Ordering::AcqRel);
    if target == "/tunnel/echo" {
        x.send(format!("got {all}"))?;
    }
    Ok(Next::Close)
}

fn stage() -> (Stage, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    (Stage::of(Origin::start(move |x| serve(x, &shared)), |setup| setup), seen)
}

fn open(client: &Raw, path: &str, protocol: &str) -> Stream {
    let fields = [&request("CONNECT", path)[..], &[(":protocol", protocol)]].concat();
    let mut stream = client.bi();
    stream.write(&headers(&fields));
    stream
}

fn tunnel(client: &Raw, path: &str) -> Stream {
    let mut stream = open(client, path, "websocket");
    assert_eq!(stream.head().status, 200);
    stream
}

fn data(size: usize) -> Vec<u8> {
    frame(DATA, &vec![6; size])
}

#[test]
fn each_direction_ends_for_itself() {
    let (stage, seen) = stage();
    let client = stage.client();
    let mut stream = tunnel(&client, "/tunnel/echo");
    for _ in 0..10 {
        stream.write(&data(100_000));
    }
    assert_eq!(stream.finish().outcome().text(), "hello got 1000000");
    let mut stream = tunnel(&client, "/tunnel/last");
    assert_eq!(stream.outcome().text(), "hello ");
    // The origin still reads.
    stream.write(&data(100_000)).finish();
    assert!(eventually(|| seen.bytes.load(Ordering::Acquire) == 1_100_000));
    assert!(eventually(|| seen.ended.load(Ordering::Acquire) == 2));
    stage.survives("tunnels", &client).unwrap();
}

#[test]
fn an_abort_of_either_side_is_the_others() {
    let (stage, seen) = stage();
    let client = stage.client();
    let outcome = tunnel(&client, "/tunnel/reset").outcome();
    assert!(matches!(outcome, Outcome::Reset(code::REQUEST_CANCELLED, _)), "{outcome:?}");
    for n in 1..=6 {
        let mut stream = tunnel(&client, "/tunnel");
        stream.write(&data(10));
        match n % 3 {
            0 => drop(stream.reset(code::REQUEST_CANCELLED)),
            1 => drop(stream.stop(code::REQUEST_CANCELLED)),
            _ => drop(stream.reset(code::REQUEST_CANCELLED).stop(code::REQUEST_CANCELLED)),
        }
        assert!(eventually(|| seen.ended.load(Ordering::Acquire) == n), "tunnel {n} is open");
        stage.survives("an abort", &client).unwrap();
    }
}

#[test]
fn a_client_that_does_not_read_holds_back_the_origin_but_not_itself() {
    let (stage, seen) = stage();
    let client = stage.narrow(100_000, 1 << 20);
    let before = stage.gateway.resident();
    let mut stream = tunnel(&client, "/tunnel/flood");
    thread::sleep(Duration::from_millis(500));
    for n in 1..=8 {
        stream.write(&data(1 << 20));
        assert!(eventually(|| seen.bytes.load(Ordering::Acquire) == n << 20), "{n}");
    }
    let growth = stage.gateway.resident().saturating_sub(before);
    assert!(growth < 16 << 20, "{growth} bytes more");
    stream.stop(code::REQUEST_CANCELLED).reset(code::REQUEST_CANCELLED);
    assert!(eventually(|| seen.ended.load(Ordering::Acquire) == 1));
    stage.survives("a flood", &client).unwrap();
}

#[test]
fn other_protocols_are_not_implemented() {
    let (stage, _) = stage();
    let client = stage.client();
    for protocol in ["connect-udp", "webtransport"] {
        assert_eq!(open(&client, "/tunnel", protocol).finish().outcome().status(), 501);
    }
    assert!(stage.origin.seen_at("/tunnel").is_empty());
}
