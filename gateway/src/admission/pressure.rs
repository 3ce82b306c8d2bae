//! From a measure to the shares of requests that are turned away. Pure.

use std::time::Duration;

use weir_config::model::Priority;

/// All requests of a priority, in [`Shares`].
pub const WHOLE: u16 = 256;
/// Least share of a priority that is being turned away.
const LEAST: u16 = 16;

/// How many of 256 requests are turned away, by priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shares([u16; 3]);

impl Shares {
    /// Nobody.
    pub const NONE: Self = Self([0; 3]);

    /// Of one priority, up to [`WHOLE`].
    pub const fn of(self, priority: Priority) -> u16 {
        self.0[priority as usize]
    }

    /// Whether nobody is turned away.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The greater share of each priority.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].max(other.0[i])))
    }

    /// In one word; 0 is nobody.
    pub const fn pack(self) -> u32 {
        self.0[0] as u32 | (self.0[1] as u32) << 10 | (self.0[2] as u32) << 20
    }

    /// What [`Self::pack`] made.
    pub const fn unpack(word: u32) -> Self {
        const TEN_BITS: u32 = (1 << 10) - 1;
        Self([
            (word & TEN_BITS) as u16,
            ((word >> 10) & TEN_BITS) as u16,
            ((word >> 20) & TEN_BITS) as u16,
        ])
    }
}

/// When a priority is turned away: from nobody at `begin` in a line to everybody at `whole`. Once
/// begun it goes on a little until the measure is below `end`, so that it does not flap.
#[derive(Debug, Clone, Copy)]
struct Step {
    begin: f64,
    whole: f64,
    end: f64,
}

/// Of the memory bound.
const MEMORY: [Option<Step>; 3] = [
    Some(Step { begin: 0.85, whole: 0.90, end: 0.83 }),
    Some(Step { begin: 0.95, whole: 0.97, end: 0.93 }),
    Some(Step { begin: 0.98, whole: 1.00, end: 0.96 }),
];

/// Multiples of `limits.lag`. A loop that lags still makes progress: high priority is served.
const LAG: [Option<Step>; 3] = [
    Some(Step { begin: 1.0, whole: 2.0, end: 0.5 }),
    Some(Step { begin: 10.0, whole: 20.0, end: 5.0 }),
    None,
];

/// One measure, and what is turned away for it.
#[derive(Debug)]
pub struct Pressure {
    steps: &'static [Option<Step>; 3],
    begun: [bool; 3],
}

impl Pressure {
    /// For [`Self::update`] with a share of the memory bound.
    pub const fn of_memory() -> Self {
        Self { steps: &MEMORY, begun: [false; 3] }
    }

    /// For [`Self::update`] with multiples of `limits.lag`.
    pub const fn of_lag() -> Self {
        Self { steps: &LAG, begun: [false; 3] }
    }

    /// What is turned away from now on.
    pub fn update(&mut self, measure: f64) -> Shares {
        let mut shares = [0; 3];
        for ((share, step), begun) in shares.iter_mut().zip(self.steps).zip(&mut self.begun) {
            let Some(step) = step else { continue };
            *begun = measure >= if *begun { step.end } else { step.begin };
            if *begun {
                let part = (measure - step.begin) / (step.whole - step.begin);
                *share = ((part * f64::from(WHOLE)) as u16).clamp(LEAST, WHOLE);
            }
        }
        Shares(shares)
    }
}

/// How late an event loop is of late, out of how late its timers fire.
#[derive(Debug, Default)]
pub struct Lag {
    nanos: f64,
    latest: Duration,
}

impl Lag {
    /// Share of the latest timer.
    const SMOOTHING: f64 = 0.25;

    /// A timer fired so late. Once is nothing: the machine was asleep, or the process stopped, and
    /// what waits is served as fast as ever. Twice in a row is a loop that does not get round.
    pub fn record(&mut self, late: Duration) {
        let steady = late.min(self.latest);
        self.latest = late;
        self.nanos += (steady.as_nanos() as f64 - self.nanos) * Self::SMOOTHING;
    }

    /// The loop has nothing to do.
    pub fn rest(&mut self) {
        *self = Self::default();
    }

    /// In nanoseconds.
    pub const fn nanos(&self) -> f64 {
        self.nanos
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    fn of(shares: Shares) -> [u16; 3] {
        [Priority::Low, Priority::Normal, Priority::High].map(|priority| shares.of(priority))
    }

    #[test]
    fn the_more_memory_the_higher_the_priority_that_goes() {
        let mut memory = Pressure::of_memory();
        for (ratio, wanted) in [
            (0.0, [0, 0, 0]),
            (0.849, [0, 0, 0]),
            (0.85, [LEAST, 0, 0]),
            (0.875, [128, 0, 0]),
            (0.91, [WHOLE, 0, 0]),
            (0.96, [WHOLE, 128, 0]),
            (0.98, [WHOLE, WHOLE, LEAST]),
            (0.9901, [WHOLE, WHOLE, 129]),
            (1.0, [WHOLE, WHOLE, WHOLE]),
            (50.0, [WHOLE, WHOLE, WHOLE]),
        ] {
            let got = of(memory.update(ratio));
            assert!(got.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 2), "{ratio}: {got:?}");
        }
    }

    #[test]
    fn what_has_begun_ends_later_than_it_began() {
        let mut memory = Pressure::of_memory();
        assert_eq!(of(memory.update(0.84)), [0, 0, 0]);
        assert_eq!(of(memory.update(0.90)), [WHOLE, 0, 0]);
        assert_eq!(of(memory.update(0.84)), [LEAST, 0, 0]);
        assert_eq!(of(memory.update(0.829)), [0, 0, 0]);
        assert_eq!(of(memory.update(0.84)), [0, 0, 0]);
        assert_eq!(of(memory.update(0.96))[1], 128);
        assert_eq!(of(memory.update(0.94)), [WHOLE, LEAST, 0]);
        assert_eq!(of(memory.update(0.92)), [WHOLE, 0, 0]);
    }

    #[test]
    fn high_priority_never_goes_for_lag() {
        let mut lag = Pressure::of_lag();
        assert_eq!(of(lag.update(0.9)), [0, 0, 0]);
        assert_eq!(of(lag.update(1.5)), [128, 0, 0]);
        assert_eq!(of(lag.update(9.9)), [WHOLE, 0, 0]);
        assert_eq!(of(lag.update(15.0)), [WHOLE, 128, 0]);
        assert_eq!(of(lag.update(1e9)), [WHOLE, WHOLE, 0]);
        assert_eq!(of(lag.update(0.6)), [LEAST, 0, 0]);
        assert_eq!(of(lag.update(0.0)), [0, 0, 0]);
    }

    #[test]
    fn shares_fit_a_word() {
        for shares in [[0, 0, 0], [16, 0, 0], [256, 255, 1], [256, 256, 256]].map(Shares) {
            assert_eq!(Shares::unpack(shares.pack()), shares);
            assert_eq!(shares.is_none(), shares.pack() == 0);
        }
        let most = Shares([1, 200, 0]).max(Shares([2, 100, 0]));
        assert_eq!(most, Shares([2, 200, 0]));
    }

    #[test]
    fn one_late_timer_is_not_yet_a_lag() {
        let mut lag = Lag::default();
        for _ in 0..5 {
            lag.record(Duration::from_secs(60));
            lag.record(Duration::ZERO);
        }
        assert_eq!(lag.nanos(), 0.0, "one at a time is nothing");
        lag.record(Duration::from_millis(200));
        lag.record(Duration::from_millis(200));
        assert!(lag.nanos() < 100e6);
        for _ in 0..20 {
            lag.record(Duration::from_millis(200));
        }
        assert!(lag.nanos() > 190e6);
        for _ in 0..10 {
            lag.record(Duration::ZERO);
        }
        assert!(lag.nanos() < 20e6);
    }

    proptest! {
        #[test]
        fn low_priority_goes_first_and_all_of_it_before_high(
            measures in proptest::collection::vec(0.0..1.2_f64, 1..50), memory: bool,
        ) {
            let mut pressure =
                if memory { Pressure::of_memory() } else { Pressure::of_lag() };
            for measure in measures {
                let scaled = if memory { measure } else { measure * 30.0 };
                let [low, normal, high] = of(pressure.update(scaled));
                prop_assert!(low >= normal && normal >= high && low <= WHOLE);
                prop_assert!(high == 0 || (memory && low == WHOLE), "low goes all before high");
                prop_assert!(scaled >= 0.5 || low == 0, "nobody goes while all is well");
            }
        }

        #[test]
        fn any_shares_fit_a_word(shares in any::<[u16; 3]>()) {
            let shares = Shares(shares.map(|share| share % (WHOLE + 1)));
            prop_assert!(Shares::unpack(shares.pack()) == shares);
        }
    }
}
