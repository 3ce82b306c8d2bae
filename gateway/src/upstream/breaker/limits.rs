//! What opens a breaker, for those who have no lock.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use weir_config::model;

use super::{Counts, Reason, window::SURE};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Limits {
    min_requests: AtomicU32,
    /// Bits of an f64.
    failure_rate: AtomicU64,
    /// In nanoseconds.
    slow_over: AtomicU64,
    /// Bits of an f64.
    slow_rate: AtomicU64,
}

impl Limits {
    /// Those that nothing reaches.
    pub(super) const fn new() -> Self {
        Self {
            min_requests: AtomicU32::new(u32::MAX),
            failure_rate: AtomicU64::new(f64::INFINITY.to_bits()),
            slow_over: AtomicU64::new(u64::MAX),
            slow_rate: AtomicU64::new(f64::INFINITY.to_bits()),
        }
    }

    /// Takes over those of a policy.
    pub(super) fn set(&self, policy: &model::Breaker) {
        self.min_requests.store(policy.min_requests.min(SURE), Relaxed);
        self.failure_rate.store(policy.failure_rate.to_bits(), Relaxed);
        let over = policy.slow.map_or(u128::MAX, |slow| slow.over.as_nanos());
        self.slow_over.store(u64::try_from(over).unwrap_or(u64::MAX), Relaxed);
        let rate = policy.slow.map_or(f64::INFINITY, |slow| slow.rate);
        self.slow_rate.store(rate.to_bits(), Relaxed);
    }

    /// Whether a request that took so long is slow.
    pub(super) fn is_slow(&self, took: Duration) -> bool {
        took.as_nanos() > self.slow_over.load(Relaxed).into()
    }

    /// Why to open, by what a window holds.
    pub(super) fn reason(&self, counts: Counts) -> Option<Reason> {
        if counts.requests < self.min_requests.load(Relaxed) {
            return None;
        }
        let rate = |bits: &AtomicU64| f64::from_bits(bits.load(Relaxed));
        if reaches(counts.failures, counts.requests, rate(&self.failure_rate)) {
            Some(Reason::Failures(counts))
        } else if reaches(counts.slow, counts.requests, rate(&self.slow_rate)) {
            Some(Reason::Slow(counts))
        } else {
            None
        }
    }
}

/// Whether so many of them are at least this share, and not nobody.
pub(super) fn reaches(part: u32, whole: u32, rate: f64) -> bool {
    // Decimal fractions are not exact in binary: 7 of 100 are 7 %.
    part > 0 && f64::from(part) + 1e-9 >= rate * f64::from(whole)
}
