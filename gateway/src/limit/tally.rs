//! How often a limit said what, and to whom it said no: one worker's counts, and their sums.

use std::{
    ops::AddAssign,
    sync::{Mutex, MutexGuard, PoisonError},
};

use weir_ratelimit::{Entry, Key, Top};

use crate::telemetry::counters::Count;

/// Keys that are listed as denied most.
const LISTED: usize = 64;

/// What became of a request, as far as one limit is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It passed at once.
    Allowed,
    /// The limit denied it.
    Denied,
    /// The limit would have, were it not in dry run.
    DryRunDenied,
    /// It passed after a wait.
    Delayed,
}

impl Outcome {
    /// Names in metrics and on the admin API, by place.
    pub const NAMES: [&str; 4] = ["allowed", "denied", "dry_run_denied", "delayed"];
}

/// One worker's counts of one limit of one route.
#[derive(Debug)]
#[repr(align(128))]
pub struct Tally {
    counts: [Count; 4],
    fallbacks: Count,
    /// Of this worker alone, but for who looks.
    denied: Mutex<Top>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: [const { Count::new() }; 4],
            fallbacks: Count::new(),
            denied: Mutex::new(Top::new(LISTED)),
        }
    }
}

impl Tally {
    /// Counts a request; key and label are asked for when it is denied.
    pub(super) fn record(
        &self,
        outcome: Outcome,
        key: impl FnOnce() -> Key,
        label: impl FnOnce() -> String,
    ) {
        self.counts[outcome as usize].add(1);
        if matches!(outcome, Outcome::Denied | Outcome::DryRunDenied) {
            self.lock().record(key(), label);
        }
    }

    /// Counts a request that was decided without the servers that keep the limit.
    pub(super) fn fall_back(&self) {
        self.fallbacks.add(1);
    }

    /// What was counted so far.
    pub(crate) fn totals(&self) -> Totals {
        let counts = self.counts.each_ref().map(Count::value);
        Totals { counts, fallbacks: self.fallbacks.value(), denied: self.lock().clone() }
    }

    /// Lets denials long ago weigh less.
    pub(crate) fn fade(&self) {
        self.lock().fade();
    }

    fn lock(&self) -> MutexGuard<'_, Top> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sums over the workers' [`Tally`]s.
#[derive(Debug, Clone)]
pub struct Totals {
    /// By place of [`Outcome::NAMES`].
    pub counts: [u64; 4],
    /// Decided without the servers that keep the limit, whatever the outcome.
    pub fallbacks: u64,
    denied: Top,
}

impl Default for Totals {
    fn default() -> Self {
        Self { counts: [0; 4], fallbacks: 0, denied: Top::new(LISTED) }
    }
}

impl Totals {
    /// Who was denied most of late, first of all; counts are those of some minutes.
    pub fn denied(&self) -> Vec<Entry> {
        self.denied.list()
    }

    /// Lets denials long ago weigh less.
    pub(crate) fn fade(&mut self) {
        self.denied.fade();
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        for (sum, more) in self.counts.iter_mut().zip(other.counts) {
            *sum = sum.wrapping_add(more);
        }
        self.fallbacks = self.fallbacks.wrapping_add(other.fallbacks);
        self.denied.merge(&other.denied);
    }
}
