//! What a metric keeps of the values it is given.

use std::time::Duration;

use super::{Kind, Trend};

/// A sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    /// All values added up.
    pub sum: f64,
}

impl Counter {
    /// The sum per second of `elapsed`; 0 in no time.
    pub fn per_second(&self, elapsed: Duration) -> f64 {
        if elapsed.is_zero() { 0.0 } else { self.sum / elapsed.as_secs_f64() }
    }
}

/// The last value.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    /// The last.
    pub value: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    at_unix: Duration,
}

/// A share of values that are not zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    /// How many were not zero.
    pub passes: u64,
    /// How many there were.
    pub total: u64,
}

impl Rate {
    /// The share, 0 to 1; 0 without values.
    pub fn rate(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.passes as f64 / self.total as f64 }
    }
}

/// What a metric keeps, by kind.
#[derive(Clone, Debug)]
pub enum Sink {
    /// Of a counter.
    Counter(Counter),
    /// Of a gauge.
    Gauge(Gauge),
    /// Of a rate.
    Rate(Rate),
    /// Of a trend.
    Trend(Box<Trend>),
}

impl Sink {
    /// An empty one.
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(Counter::default()),
            Kind::Gauge => {
                let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
                Self::Gauge(Gauge { value: 0.0, min, max, at_unix: Duration::ZERO })
            }
            Kind::Rate => Self::Rate(Rate::default()),
            Kind::Trend => Self::Trend(Box::default()),
        }
    }

    /// Adds a value seen at `at_unix`.
    pub fn add(&mut self, value: f64, at_unix: Duration) {
        match self {
            Self::Counter(counter) => counter.sum += value,
            Self::Gauge(gauge) => {
                if at_unix >= gauge.at_unix {
                    (gauge.value, gauge.at_unix) = (value, at_unix);
                }
                gauge.min = gauge.min.min(value);
                gauge.max = gauge.max.max(value);
            }
            Self::Rate(rate) => {
                rate.passes += u64::from(value != 0.0);
                rate.total += 1;
            }
            Self::Trend(trend) => trend.add(value),
        }
    }

    /// Adds all that `other`, of the same kind, holds.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Counter(to), Self::Counter(from)) => to.sum += from.sum,
            (Self::Gauge(to), Self::Gauge(from)) => {
                if from.at_unix >= to.at_unix {
                    (to.value, to.at_unix) = (from.value, from.at_unix);
                }
                to.min = to.min.min(from.min);
                to.max = to.max.max(from.max);
            }
            (Self::Rate(to), Self::Rate(from)) => {
                to.passes += from.passes;
                to.total += from.total;
            }
            (Self::Trend(to), Self::Trend(from)) => to.merge(from),
            (Self::Counter(_) | Self::Gauge(_) | Self::Rate(_) | Self::Trend(_), _) => {
                debug_assert!(false, "sinks of one metric are of one kind");
            }
        }
    }
}
