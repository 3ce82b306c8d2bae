//! Before and between requests.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{ends_after, short};
use crate::support::{
    client::get,
    frames::{Frames, HEADERS, PREFACE, SETTINGS, frame, request},
    gateway::Setup,
    hpack::encode,
    origin::Origin,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_silent_connection_ends() {
    let (_origin, gateway) = short();
    let start = Instant::now();
    let said = ends_after(&mut gateway.client(), SECOND, start);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
}

#[test]
fn half_a_head_ends_with_408_or_a_close() {
    let (origin, gateway) = short();
    for half in ["G", "GET /x HTTP/1.1\r\n", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n"] {
        let start = Instant::now();
        let mut client = gateway.client();
        client.send(half.as_bytes());
        let said = ends_after(&mut client, SECOND, start);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{half:?}: {said}");
    }
    assert!(origin.seen().is_empty());
}

#[test]
fn a_head_in_drops_does_not_extend_its_time() {
    let (origin, gateway) = short();
    let start = Instant::now();
    let mut client = gateway.client();
    let endless = "GET /x HTTP/1.1\r\nHost: h\r\n".bytes().chain("A: b\r\n".bytes().cycle());
    for byte in endless {
        if start.elapsed() > Duration::from_secs(6) {
            panic!("still open after {:?}", start.elapsed());
        }
        if client.try_send(&[byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(origin.seen().is_empty());
}

#[test]
fn the_second_head_has_the_same_limit() {
    let (_origin, gateway) = short();
    let mut client = gateway.client();
    // Before what it counts from, however late this thread hears of that.
    let start = Instant::now();
    assert_eq!(client.get("/x").unwrap().status, 200);
    client.send(b"GET /y HT");
    let said = ends_after(&mut client, SECOND, start);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
}

#[test]
fn an_idle_connection_ends_after_keep_alive() {
    let (_origin, gateway) = short();
    let mut client = gateway.client();
    let start = Instant::now();
    assert_eq!(client.get("/x").unwrap().status, 200);
    let said = ends_after(&mut client, 2 * SECOND, start);
    assert_eq!(said, "", "an idle connection is closed without a word");
}

#[test]
fn a_keep_alive_below_a_second_is_kept() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).timeouts("keep_alive: 200ms").start();
    // The machine may be late, but not each time.
    let soon = || {
        let mut client = gateway.client();
        assert_eq!(client.get("/x").unwrap().status, 200);
        client.closes_within(Duration::from_millis(800))
    };
    assert!((0..10).any(|_| soon()));
}

#[test]
fn an_idle_h2_connection_ends_after_keep_alive_with_goaway() {
    let (_origin, gateway) = short();
    let mut frames = Frames::connect(gateway.listen);
    let start = Instant::now();
    assert_eq!(frames.get(1, "/x").status(), 200);
    assert_eq!(frames.farewell(), Ok(Some(0)), "GOAWAY without an error");
    assert!(start.elapsed() > Duration::from_millis(1500), "after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(7), "after {:?}", start.elapsed());
}

#[test]
fn half_an_h2_preface_ends() {
    let (_origin, gateway) = short();
    for half in [&PREFACE[..1], &PREFACE[..10], &PREFACE[..23], PREFACE] {
        let start = Instant::now();
        let mut client = gateway.client();
        client.send(half);
        ends_after(&mut client, SECOND, start);
    }
}

#[test]
fn half_a_field_section_ends_the_h2_connection() {
    let (origin, gateway) = short();
    let mut frames = Frames::connect(gateway.listen);
    frames.send(SETTINGS, 1, 0, &[]).unwrap();
    frames.raw(&frame(HEADERS, 1, 1, &encode(&request("GET", "/x")))).unwrap();
    let start = Instant::now();
    frames.farewell().expect("the connection ends");
    assert!(start.elapsed() < Duration::from_secs(7), "after {:?}", start.elapsed());
    assert!(origin.seen().is_empty());
}

#[test]
fn stalled_clients_do_not_slow_the_others() {
    let (_origin, gateway) = short();
    let stalled: Vec<_> = (0..300)
        .map(|_| {
            let mut client = gateway.client();
            client.send(b"GET /x HTTP/1.1\r\nHo");
            client
        })
        .collect();
    let mut client = gateway.client();
    let waits = (0..50).map(|n| {
        let start = Instant::now();
        client.send(get(&format!("/{n}")).as_bytes());
        assert_eq!(client.answer("GET").unwrap().status, 200);
        start.elapsed()
    });
    let waits: Vec<_> = waits.collect();
    // The machine itself may be late now and then.
    let late = waits.iter().filter(|wait| **wait > SECOND / 2).count();
    assert!(late < 5, "{waits:?}");
    drop(stalled);
}
