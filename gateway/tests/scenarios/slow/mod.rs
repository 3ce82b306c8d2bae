//! Slow and silent clients: each wait has an end, and that end is the one configured.

mod bodies;
mod heads;
mod tls;

use std::time::{Duration, Instant};

use crate::support::{
    client::Client,
    gateway::{Gateway, Setup},
    origin::Origin,
};

/// Every time-out at one second, but keep-alive at two.
const SHORT: &str = "handshake: 1s, header_read: 1s, body_idle: 1s, keep_alive: 2s";

/// Asserts that the gateway ends this connection after about `expected`, and gives what it said.
fn ends_after(client: &mut Client, expected: Duration, start: Instant) -> String {
    client.patience(expected + Duration::from_secs(5));
    let said = client.rest().expect("the gateway closes a stalled connection");
    let took = start.elapsed();
    assert!(took + Duration::from_millis(300) >= expected, "closed early, after {took:?}");
    assert!(took < expected + Duration::from_secs(4), "closed late, after {took:?}");
    String::from_utf8_lossy(&said).into_owned()
}

/// A gateway with short time-outs before an echoing origin.
fn short() -> (Origin, Gateway) {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).timeouts(SHORT).start();
    (origin, gateway)
}
