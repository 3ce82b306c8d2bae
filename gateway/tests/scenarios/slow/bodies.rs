//! Bodies that stop, in either direction.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{SHORT, ends_after, short};
use crate::support::{
    client::get,
    eventually,
    frames::{DATA, END_STREAM, Frames, Outcome, request},
    gateway::Setup,
    origin::{Next, Origin},
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_body_that_stops_ends_the_request() {
    let (origin, gateway) = short();
    for half in ["Content-Length: 10\r\n\r\nhe", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe"] {
        let start = Instant::now();
        let mut client = gateway.client();
        client.send(format!("POST /x HTTP/1.1\r\nHost: h\r\n{half}").as_bytes());
        let said = ends_after(&mut client, SECOND, start);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    }
    assert!(origin.seen_at("/x").iter().all(|s| !s.complete));
}

#[test]
fn an_h2_body_that_stops_ends_the_stream_only() {
    let (origin, gateway) = short();
    let mut frames = Frames::connect(gateway.listen);
    frames.headers(1, &request("POST", "/x"), false);
    frames.send(DATA, 0, 1, b"he").unwrap();
    let outcome = frames.outcome(1);
    assert!(matches!(outcome, Outcome::Reset(_)) || outcome.status() == 408, "{outcome:?}");
    assert_eq!(frames.get(3, "/y").status(), 200);
    assert!(origin.seen_at("/x").iter().all(|s| !s.complete));
}

#[test]
fn a_body_in_drops_ends_with_the_total_time() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address])
        .timeouts(SHORT)
        .route("timeout: { headers: 2s, total: 2s }")
        .start();
    let start = Instant::now();
    let mut client = gateway.client();
    client.send(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    while client.try_send(b"a").is_ok() {
        assert!(start.elapsed() < Duration::from_secs(8), "one byte at a time for ever");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(origin.seen_at("/x").iter().all(|s| !s.complete));
}

#[test]
fn a_steady_body_outlives_the_idle_time() {
    let (origin, gateway) = short();
    let mut client = gateway.client();
    client.send(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n");
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(100));
        client.send(b"a");
    }
    assert_eq!(client.answer("POST").unwrap().text(), "POST /x 20");
    assert_eq!(origin.completed("/x").body.len(), 20);
}

/// An origin that sends without end and says when it could not go on.
fn endless() -> (Origin, Arc<AtomicBool>) {
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    let origin = Origin::start(move |x| {
        if x.target() != "/endless" {
            return x.echo();
        }
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")?;
        let piece = vec![b'b'; 1 << 16];
        while x.send(&piece).is_ok() {}
        flag.store(true, Ordering::Release);
        Ok(Next::Close)
    });
    (origin, stopped)
}

#[test]
fn a_reader_that_stops_is_cut_and_so_is_its_origin() {
    let (origin, stopped) = endless();
    let gateway = Setup::to(&[origin.address]).timeouts(SHORT).start();
    let mut client = gateway.client();
    client.send(get("/endless").as_bytes());
    let start = Instant::now();
    assert!(eventually(|| stopped.load(Ordering::Acquire)), "the origin still sends");
    assert!(start.elapsed() > Duration::from_millis(700), "cut after {:?}", start.elapsed());
    assert_eq!(gateway.client().get("/after").unwrap().status, 200);
    drop(client);
}

#[test]
fn an_h2_reader_that_stops_is_cut() {
    let (origin, stopped) = endless();
    let gateway = Setup::to(&[origin.address]).timeouts(SHORT).start();
    let mut frames = Frames::connect(gateway.listen);
    frames.polite = false;
    frames.headers(1, &request("GET", "/endless"), true);
    assert!(eventually(|| stopped.load(Ordering::Acquire)), "the origin still sends");
    assert_eq!(Frames::connect(gateway.listen).get(1, "/after").status(), 200);
    drop(frames);
}

#[test]
fn a_slow_but_steady_reader_is_served() {
    let origin = Origin::start(|x| x.reply(200, "", &"b".repeat(8 << 20)));
    let gateway = Setup::to(&[origin.address]).timeouts(SHORT).start();
    let mut client = gateway.client();
    client.send(get("/x").as_bytes());
    let mut left = 8usize << 20;
    while left > (1 << 20) {
        client.bytes(1 << 20).unwrap();
        left -= 1 << 20;
        thread::sleep(Duration::from_millis(250));
    }
    client.bytes(left).unwrap();
}

#[test]
fn an_upload_refused_early_does_not_hold_the_connection() {
    let origin =
        Origin::start(|x| x.reply(403, "Connection: close\r\n", "no").map(|_| Next::Close));
    let gateway = Setup::to(&[origin.address]).timeouts(SHORT).start();
    let mut frames = Frames::connect(gateway.listen);
    frames.headers(1, &request("POST", "/x"), false);
    let outcome = frames.outcome(1);
    assert_eq!(outcome.status(), 403, "{outcome:?}");
    let _ = frames.send(DATA, END_STREAM, 1, b"late");
    assert_eq!(frames.get(3, "/y").status(), 403);
}
