//! What a worker remembers of credentials, and what it counts.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use super::{
    identity::Identity,
    recent::{Digest, Recent},
    verdict::Outcome,
};
use crate::telemetry::counters::{Count, Sums};

/// Credentials that a worker remembers for one way of one route.
const REMEMBERED: usize = 4096;

/// One worker's part in one way of one route.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) tally: Arc<AuthTally>,
    good: RefCell<Recent<Remembered>>,
}

/// A credential that was good.
#[derive(Debug)]
struct Remembered {
    identity: Rc<Identity>,
    /// Until when it is, in seconds since 1970.
    until: f64,
    /// Of what it was checked against.
    generation: u64,
}

impl Memory {
    pub(crate) fn new(tally: Arc<AuthTally>) -> Self {
        Self { tally, good: RefCell::new(Recent::new(REMEMBERED)) }
    }

    /// Whose credential it is, if it was good of late, against the same, and still is.
    pub(crate) fn find(&self, key: &Digest, generation: u64, now: f64) -> Option<Rc<Identity>> {
        let mut good = self.good.borrow_mut();
        let still = |one: &Remembered| one.generation == generation && now < one.until;
        good.find(key, still).map(|one| one.identity.clone())
    }

    pub(crate) fn insert(
        &self,
        key: Digest,
        identity: Rc<Identity>,
        generation: u64,
        until: Option<f64>,
    ) {
        let until = until.unwrap_or(f64::INFINITY);
        self.good.borrow_mut().insert(key, Remembered { identity, until, generation });
    }
}

/// One worker's counts of one way of one route.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct AuthTally {
    counts: [Count; Outcome::NAMES.len()],
}

impl Default for AuthTally {
    fn default() -> Self {
        Self { counts: [const { Count::new() }; Outcome::NAMES.len()] }
    }
}

impl AuthTally {
    pub(crate) fn record(&self, outcome: Outcome) {
        self.counts[outcome as usize].add(1);
    }

    /// What was counted so far, by place of the outcomes' names.
    pub(crate) fn totals(&self) -> Sums<{ Outcome::NAMES.len() }> {
        Sums(self.counts.each_ref().map(Count::value))
    }
}
