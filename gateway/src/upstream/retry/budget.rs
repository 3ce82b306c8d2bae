//! How many retries a route may make: a share of its requests, plus a floor for routes with few.
//!
//! Two things hold, both proved by the tests against a model that remembers everything. `W` is the
//! window, and every retry is granted at a moment of its own.
//!
//! - **Whenever a retry is granted**, the retries of the window that ends at this moment, it
//!   included, are at most `percent x requests of the window + min_per_sec x W`. A window that ends
//!   when none is granted cannot be held to that by anybody: the requests that paid for its retries
//!   may have left it already. Hence:
//! - **In every stretch of time**, however long and wherever it begins, the retries are at most
//!   `percent x requests + min_per_sec x (its length + W)`, where the requests are those of the
//!   stretch and of the `W` before it. (Take the last retry of the stretch and the window that ends
//!   there, then the last retry before that window, and so on: these windows have nothing in
//!   common, and there are at most `length / W + 1` of them.)
//!
//! The floor is no stock that builds up: a route that was silent may make `min_per_sec x W` retries
//! at once, and then none by the floor until these are older than the window.
//!
//! Time is counted in slots, 31 to 62 of them to a window. What lies in a slot that the window's
//! beginning cuts counts as a retry, but not as a request: the error, at most 1 in 16, is always
//! for fewer retries.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use weir_config::model::RetryBudget;

use crate::clock::Tick;

mod ledger;
mod tally;
#[cfg(test)]
mod tests;

use ledger::Ledger;
use tally::{Scale, Tally};

/// One route's budget of retries, shared by all workers and carried over reloads.
///
/// Counting a request is one compare-and-swap; only who wants a retry takes the lock.
#[derive(Debug)]
pub struct Budget {
    /// How time is cut into slots: a [`Scale`].
    scale: AtomicU32,
    requests: Tally,
    ledger: Mutex<Ledger>,
}

/// What a budget has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Requests of the window.
    pub requests: u64,
    /// Retries granted in it.
    pub retries: u64,
    /// Retries that its requests and the floor allow, those granted included. Fewer than
    /// `retries` when the requests that paid for them have left the window.
    pub allowed: u64,
}

impl Budget {
    /// A budget of which nothing is spent.
    pub fn new(policy: RetryBudget) -> Self {
        let scale = Scale::first(policy.window);
        Self {
            scale: AtomicU32::new(scale.to_bits()),
            requests: Tally::new(),
            ledger: Mutex::new(Ledger::new(policy, scale)),
        }
    }

    /// Takes another policy, from the next retry on. Retries made before count on. So do requests,
    /// except when the window changes so much that its slots get another length: then they are
    /// forgotten, and for the length of a window there are fewer retries.
    pub fn adjust(&self, policy: RetryBudget) {
        let mut ledger = self.lock();
        let scale = ledger.adjust(policy).to_bits();
        if self.scale.swap(scale, Relaxed) != scale {
            self.requests.clear();
        }
    }

    /// Counts a request: once for each, however often it is tried.
    pub fn deposit(&self, now: Tick) {
        self.requests.add(Scale::from_bits(self.scale.load(Relaxed)), now);
    }

    /// Takes a retry, if there is one left. `now` never goes back: an earlier one counts as the
    /// latest of all that asked.
    pub fn withdraw(&self, now: Tick) -> bool {
        self.lock().withdraw(&self.requests, now)
    }

    /// How much of it is used at `now`.
    pub fn standing(&self, now: Tick) -> Standing {
        self.lock().standing(&self.requests, now)
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
