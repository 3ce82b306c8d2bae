//! Time: the only place of this crate that reads a clock.
//!
//! Everything else takes `now` as an argument. A [`Tick`] counts nanoseconds from the first reading
//! in this process, so that it fits an atomic and compares in one instruction. The readings come
//! from tokio's clock: outside of tests that is the system's monotonic clock and costs the same;
//! inside a paused runtime it is virtual.

use std::{
    ops::Add,
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

/// A moment: nanoseconds since the clock was first read in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(u64);

impl Tick {
    /// The first reading.
    pub const ZERO: Self = Self(0);
    /// Later than every reading: "never".
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the first reading.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the first reading.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to this; 0 when `earlier` is in fact later.
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Time from `earlier` to this; zero when `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// The same moment for tokio's timers; [`Tick::NEVER`] becomes a moment decades away.
    pub fn instant(self) -> Instant {
        const DECADES: u64 = 30 * 365 * 86_400 * 1_000_000_000;
        origin() + Duration::from_nanos(self.0.min(DECADES))
    }
}

/// Saturates at [`Tick::NEVER`].
impl Add<Duration> for Tick {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// The present moment. About 22 ns: two or three readings per request, no more.
pub fn now() -> Tick {
    let origin = origin();
    // 584 years fit.
    Tick(read().saturating_duration_since(origin).as_nanos() as u64)
}

/// The calendar's time since the Unix epoch; zero when the system believes in an earlier year.
#[allow(clippy::disallowed_methods, reason = "this module is where clocks are read")]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The calendar's time by the monotonic clock, set right once a second: saves a reading of the
/// system's calendar per log line and follows its corrections.
#[derive(Debug)]
pub struct Calendar {
    /// Calendar time of [`Tick::ZERO`], in nanoseconds since the Unix epoch.
    zero: u64,
    /// When to look again.
    stale_at: Tick,
}

impl Calendar {
    const KEEP: Duration = Duration::from_secs(1);

    /// A calendar that asks the system upon its first use.
    pub const fn new() -> Self {
        Self { zero: 0, stale_at: Tick::ZERO }
    }

    /// Milliseconds since the Unix epoch at `now`.
    pub fn unix_millis(&mut self, now: Tick) -> u64 {
        if now >= self.stale_at {
            self.correct(now, unix_time());
        }
        (self.zero + now.nanos()) / 1_000_000
    }

    fn correct(&mut self, now: Tick, unix_time: Duration) {
        self.zero = (unix_time.as_nanos() as u64).saturating_sub(now.nanos());
        self.stale_at = now + Self::KEEP;
    }
}

impl Default for Calendar {
    fn default() -> Self {
        Self::new()
    }
}

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(read)
}

#[allow(clippy::disallowed_methods, reason = "this module is where clocks are read")]
fn read() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_saturate() {
        let early = Tick::from_nanos(5);
        let late = early + Duration::from_nanos(10);
        assert_eq!(late.nanos_since(early), 10);
        assert_eq!(early.nanos_since(late), 0);
        assert_eq!(Tick::NEVER + Duration::MAX, Tick::NEVER);
        assert!(Tick::NEVER.instant() > now().instant());
    }

    #[tokio::test(start_paused = true)]
    async fn follows_virtual_time() {
        let before = now();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(now().since(before), Duration::from_secs(3600));
        assert_eq!(now().instant(), read());
    }

    #[test]
    fn calendar_looks_again_after_a_second() {
        let mut calendar = Calendar::new();
        calendar.correct(Tick::from_nanos(500), Duration::from_millis(1_000));
        assert_eq!(calendar.unix_millis(Tick::from_nanos(2_000_500)), 1_002);
        let later = Tick::from_nanos(500) + Calendar::KEEP;
        assert!(calendar.unix_millis(later) > 1_600_000_000_000);
    }
}
