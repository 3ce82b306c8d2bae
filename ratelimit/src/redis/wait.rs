//! How long a request waits, whatever it asks in turn.

use std::time::Duration;

use tokio::time::Instant;

/// The time of a call: from when, and until when its answer is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) began: Instant,
    pub(super) until: Instant,
    /// Who does not answer in it is slow; else it may be that others took most of it.
    pub(super) fair: bool,
}

impl Wait {
    /// One that begins now.
    pub(super) fn new(patience: Duration) -> Self {
        let began = ticks();
        Self { began, until: began + patience, fair: true }
    }

    /// What is left of it for another call.
    pub(super) fn rest(self) -> Self {
        let began = ticks();
        let left = self.until.saturating_duration_since(began);
        Self { began, fair: self.fair && left >= self.patience() / 2, ..self }
    }

    /// How long it is.
    pub(super) fn patience(&self) -> Duration {
        self.until.saturating_duration_since(self.began)
    }

    /// How much of it has gone by.
    pub(super) fn elapsed(&self) -> Duration {
        ticks().saturating_duration_since(self.began)
    }
}

/// Tokio's clock, for how long a call took; what requests are decided by is an argument.
#[allow(clippy::disallowed_methods, reason = "the one place of this crate that reads a clock")]
fn ticks() -> Instant {
    Instant::now()
}
