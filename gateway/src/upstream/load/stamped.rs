//! A figure and the moment it was true, in one word: both change at once, without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Tick;

/// Moments are kept in units of 2^20 ns, about a millisecond. 32 bits of them wrap after 52 days; a
/// figure that old may pass for a fresh one until the next is recorded.
const UNIT_BITS: u32 = 20;

/// A positive figure with its age; none at first.
#[derive(Debug)]
pub(super) struct Stamped(AtomicU64);

impl Stamped {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The figure and its age in nanoseconds.
    pub(super) fn read(&self, now: Tick) -> Option<(f32, u64)> {
        unpack(self.0.load(Relaxed), now)
    }

    /// Replaces the figure by what `next` makes of it; 0 removes it.
    pub(super) fn update(&self, now: Tick, next: impl Fn(Option<(f32, u64)>) -> f32) {
        let units = (now.nanos() >> UNIT_BITS) as u32;
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let figure = next(unpack(word, now)).to_bits();
            Some(u64::from(figure) << 32 | u64::from(units))
        });
    }
}

fn unpack(word: u64, now: Tick) -> Option<(f32, u64)> {
    let figure = f32::from_bits((word >> 32) as u32);
    if figure <= 0.0 {
        return None;
    }
    let units = ((now.nanos() >> UNIT_BITS) as u32).wrapping_sub(word as u32);
    // What another thread recorded a little later than `now` is fresh, not 52 days old.
    let units = if units > u32::MAX / 2 { 0 } else { units };
    Some((figure, u64::from(units) << UNIT_BITS))
}
