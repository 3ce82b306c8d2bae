//! Counting by slots of time, without a lock.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::clock::Tick;

/// Slots that are remembered.
pub(super) const SLOTS: usize = 64;
/// Most slots of a window: the one that its beginning cuts must not be the present one again.
const MOST: u64 = 62;

/// A slot's word: the count in the low bits, above it the slot's number, above that the generation.
///
/// Four million in a slot are enough for ten million requests a second with a window of ten
/// seconds, beyond which they count as fewer. With a window of a second the number comes again
/// after 73 years, and what was counted last 36 years ago may pass for later than the present.
const COUNT_BITS: u32 = 22;
const NUMBER_BITS: u32 = 36;
const COUNT_MOST: u64 = (1 << COUNT_BITS) - 1;
const NUMBER_MOST: u64 = (1 << NUMBER_BITS) - 1;
const GENERATIONS: u32 = 1 << (64 - NUMBER_BITS - COUNT_BITS);

/// How time is cut into slots: each is `2^shift` nanoseconds long. Whenever that changes a new
/// generation of slots begins, so that none is taken for one of another length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    shift: u32,
    generation: u32,
}

impl Scale {
    pub(super) fn first(window: Duration) -> Self {
        Self { shift: shift(window), generation: 0 }
    }

    /// The same if it suits `window`.
    pub(super) fn adapt(self, window: Duration) -> Self {
        match shift(window) {
            shift if shift == self.shift => self,
            shift => Self { shift, generation: (self.generation + 1) % GENERATIONS },
        }
    }

    pub(super) const fn to_bits(self) -> u32 {
        self.generation << 8 | self.shift
    }

    pub(super) const fn from_bits(bits: u32) -> Self {
        // Less than 64 as it is: the mask says so to the compiler.
        Self { shift: bits & 63, generation: bits >> 8 }
    }

    /// The number of the slot that `nanos` lies in.
    pub(super) const fn number(self, nanos: u64) -> u64 {
        nanos >> self.shift
    }

    /// The last nanosecond of a slot.
    pub(super) const fn end(self, number: u64) -> u64 {
        number << self.shift | ((1 << self.shift) - 1)
    }
}

/// The shortest slots of which no more than [`MOST`] make a window.
fn shift(window: Duration) -> u32 {
    let least = nanos(window).div_ceil(MOST).max(1);
    least.next_power_of_two().trailing_zeros()
}

/// A window in nanoseconds; the longest has 292 years.
pub(super) fn nanos(window: Duration) -> u64 {
    u64::try_from(window.as_nanos()).unwrap_or(u64::MAX).clamp(1, u64::MAX / 2)
}

/// Counts of the latest slots. On cache lines of its own: what lies beside is read by every worker
/// and seldom changes.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Tally([AtomicU64; SLOTS]);

impl Tally {
    pub(super) fn new() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Counts one at `now`. Whoever comes first to a slot's place clears what lies there of an
    /// earlier one; who comes so late that it is a later one's already is not counted.
    pub(super) fn add(&self, scale: Scale, now: Tick) {
        let number = scale.number(now.nanos());
        let fresh = u64::from(scale.generation) << NUMBER_BITS | number & NUMBER_MOST;
        let _ = self.0[number as usize % SLOTS].fetch_update(Relaxed, Relaxed, |word| {
            let found = word >> COUNT_BITS;
            if found == fresh {
                return (word & COUNT_MOST < COUNT_MOST).then_some(word + 1);
            }
            let same_kind = found >> NUMBER_BITS == fresh >> NUMBER_BITS;
            let ahead = found.wrapping_sub(fresh) & NUMBER_MOST;
            (!same_kind || ahead > NUMBER_MOST / 2).then_some(fresh << COUNT_BITS | 1)
        });
    }

    /// The sum of the slots from number `first` up to `present`.
    pub(super) fn sum(&self, scale: Scale, first: u64, present: u64) -> u64 {
        let sums = self.0.iter().map(|slot| {
            let word = slot.load(Relaxed);
            let found = word >> COUNT_BITS;
            let age = present.wrapping_sub(found) & NUMBER_MOST;
            let generation = found >> NUMBER_BITS;
            if generation == u64::from(scale.generation) && age <= present - first {
                word & COUNT_MOST
            } else {
                0
            }
        });
        sums.sum()
    }

    /// Forgets everything, so that a generation's number can be used again some day.
    pub(super) fn clear(&self) {
        for slot in &self.0 {
            slot.store(0, Relaxed);
        }
    }
}
