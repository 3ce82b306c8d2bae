//! How a breaker stands and what changes on it, in words.

use std::{fmt, time::Duration};

use crate::clock::Tick;

/// Whom a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All: there is none.
    Off,
    /// All.
    Closed,
    /// Nobody.
    Open,
    /// A few probes.
    HalfOpen,
}

/// Requests of the window, or probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All whose end is known.
    pub requests: u32,
    /// Those of them that failed.
    pub failures: u32,
    /// Those of them that were slow, failed or not.
    pub slow: u32,
}

/// Why a breaker opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// So many requests of its window failed.
    Failures(Counts),
    /// So many requests of its window were slow.
    Slow(Counts),
    /// A probe failed.
    ProbeFailed,
    /// Probes were slow.
    ProbesSlow(Counts),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |f: &mut fmt::Formatter<'_>, part: u32, whole: u32, how: &str| {
            let percent = f64::from(part) * 100.0 / f64::from(whole.max(1));
            write!(f, "{part} of {whole} requests {how} ({percent:.0} %)")
        };
        match self {
            Self::Failures(counts) => share(f, counts.failures, counts.requests, "failed"),
            Self::Slow(counts) => share(f, counts.slow, counts.requests, "were slow"),
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::ProbesSlow(counts) => {
                write!(f, "{} of {} probes were slow", counts.slow, counts.requests)
            }
        }
    }
}

/// How a breaker stands, for metrics and the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Whom it lets through.
    pub state: State,
    /// What it has counted: closed, the requests of its window; half open, the probes that came
    /// back.
    pub counts: Counts,
    /// How often it opened.
    pub opened: u64,
    /// Since when it is as it is; half open it is from its first probe on.
    pub since: Tick,
    /// Until when it is open.
    pub until: Option<Tick>,
    /// Why it opened last, as long as it is not closed.
    pub reason: Option<Reason>,
}

/// A change of a breaker's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It opened.
    Opened {
        /// Why.
        reason: Reason,
        /// For how long.
        length: Duration,
    },
    /// It lets probes through.
    HalfOpen,
    /// It closed.
    Closed {
        /// After so many probes.
        probes: u32,
    },
    /// It was open, and is no more because there is to be none.
    TurnedOff,
}

impl Change {
    /// Writes it to the gateway's own log.
    pub fn log(&self, upstream: &str, endpoint: &str) {
        match self {
            Self::Opened { reason, length } => {
                let (reason, seconds) = (reason.to_string(), length.as_secs_f64());
                tracing::warn!(upstream, endpoint, reason, seconds, "breaker open");
            }
            Self::HalfOpen => {
                tracing::info!(upstream, endpoint, "breaker half open");
            }
            Self::Closed { probes } => {
                tracing::info!(upstream, endpoint, probes, "breaker closed");
            }
            Self::TurnedOff => {
                tracing::info!(upstream, endpoint, "breaker closed: it was turned off");
            }
        }
    }
}
