//! The sliding window: never more than the quota in any window, wherever it begins.
//!
//! A token bucket lets up to twice its burst pass in the time in which it fills, and so does the
//! common estimate from two counters (the last window's, weighted, and this one's) when all of the
//! last window came at its end. Whoever asks for a sliding window wants that not to happen, so this
//! one counts in [`SLICES`] slices and forgets a slice only once all of it is out of the window.
//!
//! - Never over: in any interval `(t - window, t]` at most the quota passes. Exactly, always.
//! - Forgets late: what passed is counted for at least the window and for at most 8/7 of it. A
//!   request is denied only if the quota would be passed in the last 8/7 windows. A client that
//!   always asks for more gets between 7/8 and all of the quota per window.
//!
//! Both slices and window begin with the key's first request, not at full seconds: keys do not
//! all get their quota back at one moment.

use std::time::Duration;

use crate::{
    bucket::Turn,
    decision::{Answer, Decision},
    moment::{Nanos, STEP},
    rate::{InvalidLimit, Rate},
};

#[cfg(test)]
mod tests;

/// Slices that a window is cut into.
pub const SLICES: usize = 7;
/// One more is counted: the one that the beginning of the window cuts.
pub(crate) const KEPT: usize = SLICES + 1;

/// A quota for any stretch of time as long as the window.
///
/// | case | what happens |
/// |---|---|
/// | quota 0 | nothing passes, not even cost 0 |
/// | cost over the quota | never passes, and says so |
/// | refund | taken from the slice that was charged, while it is counted |
/// | charge afterwards | counted, over the quota too; passes in none of the windows it falls into |
/// | clock back, up to 1 s behind what a key has seen | time stands still for this key |
/// | clock further back | all that is counted has just happened |
/// | clock forward | all is forgotten, no more |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    quota: u32,
    /// Length of the window in nanoseconds, as asked for.
    length: u64,
    /// Length of a slice in nanoseconds; [`SLICES`] of them are at least the window.
    slice: u64,
}

/// What is kept of a key under a sliding window: 40 bytes. The default is nothing counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// When the newest slice is forgotten, in nanoseconds: all is as new from then on.
    pub(crate) until: u64,
    /// Newest first.
    slices: [u32; KEPT],
}

impl Counts {
    /// What is counted, newest first, until the newest slice is forgotten.
    pub(crate) const fn new(until: u64, slices: [u32; KEPT]) -> Self {
        Self { until, slices }
    }

    fn sum(&self) -> u64 {
        self.slices.iter().map(|count| u64::from(*count)).sum()
    }
}

impl Window {
    /// At most `quota` in any `window`.
    ///
    /// # Errors
    /// When the quota is over [`u32::MAX`], or the window is zero or over [`Rate::PER_MAX`].
    pub fn new(quota: u64, window: Duration) -> Result<Self, InvalidLimit> {
        if window.is_zero() || window > Rate::PER_MAX {
            return Err(InvalidLimit::Period);
        }
        let quota = u32::try_from(quota).map_err(|_| InvalidLimit::Quota)?;
        // Fits: it is at most 2^60.
        let length = window.as_nanos() as u64;
        Ok(Self { quota, length, slice: length.div_ceil(SLICES as u64) })
    }

    /// What passes in a window.
    pub const fn quota(&self) -> u32 {
        self.quota
    }

    /// How long a window is.
    pub const fn window(&self) -> Duration {
        Duration::from_nanos(self.length)
    }

    /// The part of it that one of `members` has, if they share it without talking.
    pub(crate) fn share(&self, members: u32) -> Self {
        Self { quota: (self.quota / members.max(1)).max(self.quota.min(1)), ..*self }
    }

    pub(crate) const fn slice_nanos(&self) -> u64 {
        self.slice
    }

    /// Whether [`Window::decide`] would let it pass.
    pub(crate) fn passes(&self, counts: &Counts, cost: u64, now: Nanos) -> bool {
        let counted = self.slid(*counts, now).0.sum();
        self.quota > 0 && counted.saturating_add(cost) <= u64::from(self.quota)
    }

    /// Decides on a request of `cost` by a key of which `counts` is known.
    pub fn decide(&self, counts: Counts, cost: u64, now: Nanos) -> Turn<Counts> {
        let (mut counts, stepped) = self.slid(counts, now);
        let (quota, counted) = (u64::from(self.quota), counts.sum());
        let left = quota.saturating_sub(counted);
        let allowed = counted.saturating_add(cost) <= quota && self.quota > 0;
        let answer = if allowed {
            // No overflow: what is left of a quota is at most one.
            counts.slices[0] = counts.slices[0].saturating_add(cost as u32);
            Answer::Allowed { delay: 0 }
        } else if cost > u64::from(self.quota) || self.quota == 0 {
            Answer::Never
        } else {
            Answer::Denied { retry_after: self.room_at(&counts, cost).saturating_sub(now.get()) }
        };
        let decision = Decision {
            limit: u64::from(self.quota),
            remaining: if allowed { left - cost } else { left },
            answer,
            reset: if counts.sum() == 0 { 0 } else { counts.until.saturating_sub(now.get()) },
        };
        Turn { decision, keep: ((allowed && cost > 0) || stepped).then_some(counts) }
    }

    /// What is counted after `cost` more, of a request that had passed already.
    pub fn charge(&self, counts: Counts, cost: u64, now: Nanos) -> Counts {
        let (mut counts, _) = self.slid(counts, now);
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        counts.slices[0] = counts.slices[0].saturating_add(cost);
        counts
    }

    /// What is counted after `cost` has been given back that was charged at `charged_at`: nothing
    /// less when that is forgotten already.
    pub fn refund(&self, counts: Counts, cost: u64, charged_at: Nanos, now: Nanos) -> Counts {
        if now.get() >= counts.until {
            return counts;
        }
        let (mut counts, _) = self.slid(counts, now);
        let age = self.began(&counts).saturating_sub(charged_at.get()).div_ceil(self.slice);
        let slice = usize::try_from(age).ok().and_then(|age| counts.slices.get_mut(age));
        if let Some(slice) = slice {
            *slice = slice.saturating_sub(u32::try_from(cost).unwrap_or(u32::MAX));
        }
        counts
    }

    /// When the newest slice began.
    fn began(&self, counts: &Counts) -> u64 {
        counts.until.saturating_sub(self.kept())
    }

    /// How long a slice is counted from its beginning. Below 2^61 nanoseconds.
    const fn kept(&self) -> u64 {
        self.slice * KEPT as u64
    }

    /// The counts with `now` in the newest slice, and whether the clock has made a step back.
    #[inline]
    fn slid(&self, mut counts: Counts, now: Nanos) -> (Counts, bool) {
        let now = now.get();
        if now >= counts.until {
            return (Counts { until: now + self.kept(), slices: [0; KEPT] }, false);
        }
        let began = self.began(&counts);
        if now >= began {
            let slices = (now - began) / self.slice;
            if slices > 0 {
                // Below KEPT, or all would have been forgotten above.
                let by = (slices as usize).min(KEPT);
                counts.slices.copy_within(..KEPT - by, by);
                counts.slices[..by].fill(0);
                counts.until += slices * self.slice;
            }
            return (counts, false);
        }
        if began - now <= STEP {
            return (counts, false);
        }
        let all = u32::try_from(counts.sum()).unwrap_or(u32::MAX);
        let mut slices = [0; KEPT];
        slices[0] = all;
        (Counts { until: now + self.kept(), slices }, true)
    }

    /// When there is room for `cost`, which is at most the quota.
    fn room_at(&self, counts: &Counts, cost: u64) -> u64 {
        let mut sum = counts.sum();
        for age in (1..KEPT).rev() {
            sum -= u64::from(counts.slices[age]);
            if sum + cost <= u64::from(self.quota) {
                return counts.until.saturating_sub(age as u64 * self.slice);
            }
        }
        counts.until
    }
}
