//! Bounds of an upstream: a short queue, then 503 with its reason.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::assert_failure;
use crate::support::{
    client::get,
    eventually,
    gate::Gate,
    gateway::{Gateway, Setup},
    origin::Origin,
};

/// Answers what is asked below `/slow` when the gate is open.
fn slow() -> (Origin, Gate) {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |x| {
        if x.target().starts_with("/slow") {
            held.pass();
        }
        x.echo()
    });
    (origin, gate)
}

/// Requests that wait in the queue before the upstream's limit.
fn waiting(gateway: &Gateway) -> bool {
    let text = gateway.admin("GET", "/metrics").text();
    text.lines().any(|l| l.starts_with("weir_upstream_limit_waiting{") && l.ends_with(" 1"))
}

#[test]
fn over_the_queue_is_503_at_once() {
    let (origin, gate) = slow();
    let gateway = Setup::to(&[origin.address])
        .upstream("limits: { requests: 1, queue: 1, queue_timeout: 60s }")
        .start();
    let mut first = gateway.client();
    first.send(get("/slow/1").as_bytes());
    assert!(eventually(|| origin.seen_at("/slow/1").len() == 1));
    let mut second = gateway.client();
    second.send(get("/slow/2").as_bytes());
    assert!(eventually(|| waiting(&gateway)));
    // While the first is held and the second waits.
    let answer = gateway.client().get("/third").unwrap();
    gate.open();
    assert_failure(&gateway, &answer, 503, "connection_limit_reached", "UO");
    assert_eq!(first.answer("GET").unwrap().status, 200);
    assert_eq!(second.answer("GET").unwrap().status, 200, "the one in the queue is served");
    assert_eq!(gateway.client().get("/after").unwrap().status, 200);
}

#[test]
fn waiting_too_long_in_the_queue_is_503() {
    let (origin, gate) = slow();
    let gateway = Setup::to(&[origin.address])
        .upstream("limits: { requests: 1, queue: 10, queue_timeout: 300ms }")
        .start();
    let mut first = gateway.client();
    first.send(get("/slow/1").as_bytes());
    assert!(eventually(|| origin.seen_at("/slow/1").len() == 1));
    let start = Instant::now();
    let answer = gateway.client().get("/second").unwrap();
    let took = start.elapsed();
    gate.open();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert_failure(&gateway, &answer, 503, "connection_limit_reached", "UO");
    assert!(origin.seen_at("/second").is_empty());
    assert_eq!(first.answer("GET").unwrap().status, 200);
}

#[test]
fn no_more_connections_than_allowed_are_used_at_once() {
    let (busy, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let origin = Origin::start(move |x| {
        peak.fetch_max(busy.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
        thread::sleep(Duration::from_millis(50));
        busy.fetch_sub(1, Ordering::AcqRel);
        x.echo()
    });
    let gateway = Setup::to(&[origin.address])
        .upstream("limits: { connections: 4, queue: 100, queue_timeout: 10s }")
        .start();
    let address = gateway.listen;
    let clients: Vec<_> = (0..24)
        .map(|n| {
            thread::spawn(move || {
                let mut client = crate::support::client::Client::connect(address);
                client.get(&format!("/{n}")).unwrap().status
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 200);
    }
    let most = most.load(Ordering::Acquire);
    assert!((2..=4).contains(&most), "{most} connections at once");
}

#[test]
fn waiting_too_long_for_a_connection_is_503_as_well() {
    let (origin, gate) = slow();
    let gateway = Setup::to(&[origin.address])
        .upstream("limits: { connections: 1, queue: 10, queue_timeout: 300ms }")
        .start();
    let mut first = gateway.client();
    first.send(get("/slow/1").as_bytes());
    assert!(eventually(|| origin.seen_at("/slow/1").len() == 1));
    let start = Instant::now();
    let answer = gateway.client().get("/second").unwrap();
    let took = start.elapsed();
    gate.open();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert_failure(&gateway, &answer, 503, "connection_limit_reached", "UO");
    assert_eq!(first.answer("GET").unwrap().status, 200);
}

#[test]
fn downstream_connections_are_bounded_too() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).limits("connections: 10").start();
    let mut held = Vec::new();
    // The connection that found the gateway ready may still count for a moment.
    assert!(eventually(|| {
        let mut client = gateway.client();
        if client.get("/held").is_ok_and(|a| a.status == 200) {
            held.push(client);
        }
        held.len() == 10
    }));
    let mut over = gateway.client();
    over.patience(Duration::from_millis(500));
    let refused = over.get("/over").is_ok_and(|a| a.status == 200);
    assert!(!refused, "an eleventh connection was served");
    drop(held);
    drop(over);
    assert!(eventually(|| gateway.client().get("/after").is_ok_and(|a| a.status == 200)));
}
