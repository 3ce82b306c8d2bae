//! Those who do not dawdle.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinHandle, time::sleep_until};

use super::{Plan, ask};
use crate::{
    clock,
    http::{Client, Net},
    metrics::Trend,
    task,
};

/// One in so many requests has a connection of its own.
const FRESH_EVERY: u64 = 10;
/// Most requests under way.
const UNDER_WAY_MAX: usize = 10_000;

/// What became of good requests.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Milliseconds from when a request should have begun to its end.
    pub(super) latency: Trend,
    pub(super) failed: u64,
    /// The first failure.
    pub(super) why: Option<String>,
}

impl Tally {
    pub(super) fn json(&self) -> Value {
        let latency = &self.latency;
        json!({
            "requests": latency.count(), "failed": self.failed, "why": self.why,
            "p50_ms": latency.percentile(50.0), "p99_ms": latency.percentile(99.0),
        })
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (latency, at) = (&self.latency, |percent| self.latency.percentile(percent));
        let (count, failed) = (latency.count(), self.failed);
        write!(f, "{count}, p50 {:.2} ms, p99 {:.2} ms, {failed} failed", at(50.0), at(99.0))
    }
}

/// Asks at the plan's rate, whatever becomes of earlier requests.
pub(super) async fn steady(plan: &Rc<Plan>, net: &Rc<Net>, duration: Duration) -> Tally {
    let tally = Rc::new(RefCell::new(Tally::default()));
    let pool: Rc<RefCell<Vec<Client>>> = Rc::default();
    let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let (begun, count) = (clock::now(), (duration.as_secs_f64() * plan.rate).ceil() as u64);
    let mut under_way: Vec<JoinHandle<()>> = Vec::new();
    for number in 0..count {
        let due = begun + Duration::from_secs_f64(number as f64 / plan.rate);
        sleep_until(due.into()).await;
        // The semaphore is never closed.
        let Ok(turn) = Arc::clone(&room).acquire_owned().await else { break };
        let (plan, net) = (Rc::clone(plan), Rc::clone(net));
        let (tally, pool) = (Rc::clone(&tally), Rc::clone(&pool));
        under_way.retain(|task| !task.is_finished());
        under_way.push(task::spawn("good request", async move {
            let _turn = turn;
            let is_fresh = number % FRESH_EVERY == 0;
            let kept = if is_fresh { None } else { pool.borrow_mut().pop() };
            let client = kept.unwrap_or_else(|| Client::new(net));
            one(&client, &plan, due, &tally).await;
            if !is_fresh {
                pool.borrow_mut().push(client);
            }
        }));
    }
    for task in under_way {
        // One that panicked has said so.
        let _ = task.await;
    }
    tally.take()
}

async fn one(client: &Client, plan: &Plan, due: Instant, tally: &RefCell<Tally>) {
    let reply = client.send(&ask(&plan.plain)).await;
    let mut tally = tally.borrow_mut();
    tally.latency.add((clock::now() - due).as_secs_f64() * 1e3);
    let why = match &reply.error {
        Some(error) => error.text.clone(),
        None if (200..400).contains(&reply.status) => return,
        None => format!("status {}", reply.status),
    };
    tally.failed += 1;
    tally.why.get_or_insert(why);
}
