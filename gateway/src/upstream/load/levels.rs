//! Latency by the number of requests that were in flight when a request arrived: what an endpoint
//! takes for an answer depends above all on how many others it is at (Prequal, NSDI 2024).

use std::array;

use super::stamped::Stamped;
use crate::clock::Tick;

/// Levels of load: one each up to 3 in flight, then two for each doubling.
const LEVELS: usize = 16;
/// Share of the latest sample in a level's average at least.
const LEAST_SHARE: f32 = 1.0 / 8.0;
/// Share of the very first sample: it may hold the opening of a connection, and who is little known
/// is worth another try.
const FIRST_SHARE: f32 = 0.5;
/// After this time without a sample the latest one is all that counts.
const MEMORY_NANOS: f32 = 1e9;

/// Averages of late, one for each level.
#[derive(Debug)]
pub(super) struct Levels([Stamped; LEVELS]);

impl Levels {
    pub(super) fn new() -> Self {
        Self(array::from_fn(|_| Stamped::new()))
    }

    /// Takes in how long an answer took that found `in_flight` others.
    pub(super) fn record(&self, in_flight: u32, nanos: u64, now: Tick) {
        let sample = (nanos as f32).max(1.0);
        self.0[level(in_flight)].update(now, |before| match before {
            Some((average, age)) => {
                let share = (age as f32 / MEMORY_NANOS).clamp(LEAST_SHARE, 1.0);
                average + (sample - average) * share
            }
            None => sample * FIRST_SHARE,
        });
    }

    /// The average at the level of `in_flight`, or at the nearest level that has one, in
    /// nanoseconds, less with its age; `None` when all are older than `oldest` nanoseconds.
    pub(super) fn near(&self, in_flight: u32, oldest: u64, now: Tick) -> Option<f32> {
        let level = level(in_flight);
        match self.0[level].read(now) {
            Some((average, age)) if age <= oldest => Some(faded(average, age, oldest)),
            _ => self.around(level, oldest, now),
        }
    }

    #[cold]
    fn around(&self, level: usize, oldest: u64, now: Tick) -> Option<f32> {
        let fresh = |level: usize| {
            let (average, age) = self.0.get(level)?.read(now)?;
            (age <= oldest).then_some(faded(average, age, oldest))
        };
        (1..LEVELS).find_map(|off| {
            // Of two as near the busier: what is promised should be kept.
            fresh(level + off).or_else(|| level.checked_sub(off).and_then(fresh))
        })
    }
}

/// An average that nothing has confirmed since promises a little more with time.
fn faded(average: f32, age: u64, oldest: u64) -> f32 {
    average * (1.0 - age as f32 / oldest as f32)
}

fn level(in_flight: u32) -> usize {
    if in_flight < 4 {
        return in_flight as usize;
    }
    let doubling = in_flight.ilog2();
    let upper = (in_flight >> (doubling - 1)) & 1;
    ((doubling * 2 + upper) as usize).min(LEVELS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn levels_are_in_order() {
        let of: Vec<usize> =
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 24, 95, 96, 191, 192, u32::MAX]
                .map(level)
                .into();
        assert_eq!(of, [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9, 12, 13, 14, 15, 15]);
    }

    #[test]
    fn the_nearest_level_answers() {
        let levels = Levels::new();
        assert_eq!(levels.near(3, u64::MAX, at(0)), None);
        levels.record(1, 10_000, at(0));
        levels.record(40, 90_000, at(0));
        assert_eq!(levels.near(0, u64::MAX, at(0)), Some(5_000.0));
        assert_eq!(levels.near(2, u64::MAX, at(0)), Some(5_000.0));
        assert_eq!(levels.near(u32::MAX, u64::MAX, at(0)), Some(45_000.0));
        levels.record(40, 90_000, at(5_000));
        assert_eq!(levels.near(0, 1_000_000_000, at(5_000)), Some(90_000.0), "the other is stale");
    }

    #[test]
    fn an_average_follows_and_forgets() {
        let levels = Levels::new();
        levels.record(0, 16_000, at(0));
        levels.record(0, 16_000, at(1));
        assert_eq!(levels.near(0, u64::MAX, at(1)), Some(9_000.0));
        let faded = levels.near(0, 1 << 30, at(512)).unwrap();
        assert!((4_600.0..4_800.0).contains(&faded), "{faded}");
        levels.record(0, 1_000, at(5_000));
        assert_eq!(levels.near(0, u64::MAX, at(5_000)), Some(1_000.0));
        // A thread whose clock was read a little earlier.
        levels.record(0, 1_000, at(4_990));
        assert_eq!(levels.near(0, u64::MAX, at(4_980)), Some(1_000.0));
    }
}
