//! What came of requests of late, in ten slots over the window's length.
//!
//! A slot is one word: which generation and which lap of the ten it counts, and the counts. A
//! sample goes in by compare-and-swap, and only into its own generation: what a reset has emptied,
//! a latecomer does not fill again.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::Counts;
use crate::clock::Tick;

const SLOTS: usize = 10;
const COUNT_BITS: u32 = 14;
/// The most that a slot counts: from there on all its counts are halved, so that the shares hold.
const MOST: u64 = (1 << COUNT_BITS) - 1;
const LAP_BITS: u32 = 18;
const LAPS: u64 = 1 << LAP_BITS;
const GENERATIONS: u64 = 1 << (64 - 3 * COUNT_BITS - LAP_BITS);

/// So many requests are counted at least when there were that many: a slot that has been halved
/// holds no fewer.
pub(super) const SURE: u32 = (MOST / 2) as u32;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Window {
    /// Length of a slot in nanoseconds.
    period: AtomicU64,
    slots: [AtomicU64; SLOTS],
}

/// A slot's word, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    generation: u64,
    lap: u64,
    requests: u64,
    failures: u64,
    slow: u64,
}

impl Window {
    pub(super) const fn new() -> Self {
        Self { period: AtomicU64::new(1), slots: [const { AtomicU64::new(0) }; SLOTS] }
    }

    /// Empties it, for another generation of samples and a window of this length.
    pub(super) fn restart(&self, window: Duration, generation: u64, now: Tick) {
        let nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        self.period.store((nanos / SLOTS as u64).max(1), Relaxed);
        let (lap, _) = self.place(now);
        let empty = Slot::empty(generation % GENERATIONS, lap % LAPS);
        for slot in &self.slots {
            slot.store(empty.pack(), Relaxed);
        }
    }

    /// Lap and slot of a moment.
    fn place(&self, now: Tick) -> (u64, usize) {
        let period = now.nanos() / self.period.load(Relaxed);
        (period / SLOTS as u64, (period % SLOTS as u64) as usize)
    }

    /// Counts a request, unless it is of another generation.
    pub(super) fn add(&self, generation: u64, failed: bool, slow: bool, now: Tick) {
        let generation = generation % GENERATIONS;
        let (lap, index) = self.place(now);
        let lap = lap % LAPS;
        let _ = self.slots[index].fetch_update(Relaxed, Relaxed, |word| {
            let slot = Slot::unpack(word);
            if slot.generation != generation || slot.lap == (lap + 1) % LAPS {
                return None;
            }
            let slot = if slot.lap == lap { slot } else { Slot::empty(generation, lap) };
            Some(slot.with(failed, slow).pack())
        });
    }

    /// What was counted within the window.
    pub(super) fn counts(&self, now: Tick) -> Counts {
        let (lap, current) = self.place(now);
        let mut counts = Counts::default();
        for (index, slot) in self.slots.iter().enumerate() {
            let slot = Slot::unpack(slot.load(Relaxed));
            // Those behind the current one are still of the lap before. The lap after is another
            // thread's that is a moment ahead.
            let oldest = lap.wrapping_sub(u64::from(index > current));
            if slot.lap.wrapping_sub(oldest) % LAPS <= 1 {
                counts.requests += slot.requests as u32;
                counts.failures += slot.failures as u32;
                counts.slow += slot.slow as u32;
            }
        }
        counts
    }
}

impl Slot {
    const fn empty(generation: u64, lap: u64) -> Self {
        Self { generation, lap, requests: 0, failures: 0, slow: 0 }
    }

    fn with(self, failed: bool, slow: bool) -> Self {
        let halves = u32::from(self.requests == MOST);
        Self {
            requests: (self.requests >> halves) + 1,
            failures: (self.failures >> halves) + u64::from(failed),
            slow: (self.slow >> halves) + u64::from(slow),
            ..self
        }
    }

    const fn unpack(word: u64) -> Self {
        Self {
            generation: word >> (3 * COUNT_BITS + LAP_BITS),
            lap: (word >> (3 * COUNT_BITS)) & (LAPS - 1),
            requests: (word >> (2 * COUNT_BITS)) & MOST,
            failures: (word >> COUNT_BITS) & MOST,
            slow: word & MOST,
        }
    }

    const fn pack(self) -> u64 {
        self.generation << (3 * COUNT_BITS + LAP_BITS)
            | self.lap << (3 * COUNT_BITS)
            | self.requests << (2 * COUNT_BITS)
            | self.failures << COUNT_BITS
            | self.slow
    }
}
