//! Several gateways and one server admit what one gateway would: no interval ever sees more.

use std::{thread, time::Duration};

use super::{Server, Siege, gateway, metric};
use crate::{limits::envelope::worst, support::scaled};

const RATE: u32 = 60;
const BURST: u32 = 20;

/// Three gateways with these many clients, who ask while `on` says so. How many answers clients saw,
/// and how often the server was called.
fn three(mode: &str, clients: [usize; 3], on: impl Fn(Duration) -> bool + Sync) -> (usize, u64) {
    let Some(server) = Server::start(&[]) else { return (0, 0) };
    let siege = Siege::new();
    let route = format!(
        "rate_limit: {{ name: all, key: route, rate: {RATE}/s, burst: {BURST}, store: redis, \
         mode: {mode} }}"
    );
    let gateways = [(); 3].map(|()| gateway(&siege.origin, &server.url(), &route));
    let stage = [0, 1, 2].map(|i| (&gateways[i], clients[i]));
    let length = Duration::from_secs(scaled("SIEGE_SECONDS", 3));
    siege.lay(&stage, Duration::ZERO, on, || thread::sleep(length));
    for gateway in &gateways {
        let fallbacks = metric(gateway, "weir_rate_limit_fallback_total");
        assert!(fallbacks < 0.5, "{fallbacks} decided without the server");
    }
    let passages = siege.passages();
    let worst = worst(&passages, BURST.into(), RATE.into());
    // Redis counts in microseconds.
    assert!(worst <= 0.001, "{worst} too many");
    let due = f64::from(BURST) + f64::from(RATE) * length.as_secs_f64();
    println!("{} of at most {due} passed; worst violation {worst}", passages.len());
    assert!(passages.len() as f64 > 0.5 * due, "{} of {due}", passages.len());
    let statuses = siege.seen(Duration::ZERO, Duration::MAX);
    assert!(statuses.iter().all(|(.., status)| matches!(status, 200 | 429)));
    (statuses.len(), server.calls())
}

#[test]
fn uneven_shares() {
    three("exact", [5, 2, 1], |_| true);
}

#[test]
fn synchronised_bursts() {
    // All gateways see them at once: half a second on, half a second off.
    three("exact", [3, 3, 3], |at| at.as_millis() % 1_000 < 500);
}

#[test]
fn one_gateway() {
    three("exact", [6, 0, 0], |_| true);
}

#[test]
fn leased_uneven_shares() {
    let (answers, calls) = three("leased", [5, 2, 1], |_| true);
    println!("{answers} answers took {calls} calls");
    assert!(calls * 2 <= answers as u64, "{calls} for {answers}");
}

#[test]
fn leased_synchronised_bursts() {
    three("leased", [3, 3, 3], |at| at.as_millis() % 1_000 < 500);
}
