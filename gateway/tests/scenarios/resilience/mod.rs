//! Endpoints that fail: who keeps asking them, for how long, and who is told.

mod adaptive;
mod admission;
mod breaker;
mod bulkhead;
mod checks;
mod deadlines;
mod ejection;
mod fallback;
mod grpc;
mod hedging;
mod replay;
mod retries;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use serde_json::Value;

use crate::support::{
    eventually,
    gateway::{Gateway, free_port},
    origin::{Exchange, Origin},
};

/// An origin whose status can be set.
struct Moody {
    origin: Origin,
    status: Arc<AtomicU16>,
}

impl Moody {
    fn start(status: u16) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let current = Arc::clone(&status);
        let origin = Origin::start(move |x| x.reply(current.load(Ordering::Acquire), "", "moody"));
        Self { origin, status }
    }

    fn set(&self, status: u16) {
        self.status.store(status, Ordering::Release);
    }
}

/// What `/upstreams` says of the endpoints of the only upstream.
fn endpoints(gateway: &Gateway) -> Vec<Value> {
    let text = gateway.admin("GET", "/upstreams").text();
    let tree: Value = serde_json::from_str(&text).unwrap();
    tree["upstreams"][0]["endpoints"].as_array().unwrap().clone()
}

/// The states of the endpoints.
fn states(gateway: &Gateway) -> Vec<String> {
    let state = |one: &Value| one["health"]["state"].as_str().unwrap().to_owned();
    endpoints(gateway).iter().map(state).collect()
}

/// Waits for these states.
fn await_states(gateway: &Gateway, wanted: [&str; 2]) {
    let there = eventually(|| states(gateway) == wanted);
    assert!(there, "{:?}, not {wanted:?}\n{}", states(gateway), gateway.log());
}

/// The value of the one sample whose line begins with this; 0 where there is none.
fn metric(gateway: &Gateway, start: &str) -> f64 {
    let text = gateway.admin("GET", "/metrics").text();
    let line = text.lines().find(|line| line.starts_with(start));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Statuses of so many requests, each over a connection of its own, hence over all workers.
fn statuses(gateway: &Gateway, count: usize) -> Vec<u16> {
    (0..count).map(|n| gateway.client().get(&format!("/{n}")).unwrap().status).collect()
}

/// How many of so many requests are not answered with 200.
fn failures(gateway: &Gateway, count: usize) -> usize {
    statuses(gateway, count).into_iter().filter(|&status| status != 200).count()
}

/// Sums up the samples of a counter whose lines hold all of these.
fn count(gateway: &Gateway, name: &str, labels: &[&str]) -> f64 {
    let text = gateway.admin("GET", "/metrics").text();
    let lines = text.lines().filter(|line| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    });
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// What each attempt of an access line said.
fn said(line: &Value) -> Vec<&str> {
    let tried = line["tried"].as_array().map(Vec::as_slice).unwrap_or_default();
    tried.iter().map(|one| one["said"].as_str().unwrap()).collect()
}

/// The access line of a request, once it is there.
fn line(gateway: &Gateway, path: &str) -> Value {
    gateway.access_line(&format!("\"{path}\""))
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// Whether it is the first attempt at its request.
fn is_first(x: &Exchange) -> bool {
    x.seen.field("x-weir-attempts").is_none()
}
