//! What active checks say of an endpoint, and when it is asked again.
//!
//! Pure: told of each result, it says whether the endpoint's health has changed. Everybody is
//! healthy until proven otherwise.

use std::time::Duration;

use fastrand::Rng;
use weir_config::model::HealthCheck;

#[cfg(test)]
mod tests;

/// How much more often an endpoint is asked whose health is in doubt.
const HASTE: u32 = 5;
/// The shortest pause that haste leads to.
const LEAST_PAUSE: Duration = Duration::from_millis(100);
/// By how much of itself a pause is shorter or longer at the most, so that the checks of many
/// endpoints, and of many gateways, do not fall together.
const JITTER: f64 = 0.1;

/// What the checks of one endpoint came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    healthy: bool,
    /// Results in a row that say otherwise.
    against: u32,
}

impl Health {
    /// Nobody has asked yet.
    pub const fn new() -> Self {
        Self { healthy: true, against: 0 }
    }

    /// Nobody has asked yet, and nothing is assumed.
    pub(crate) const fn unproven() -> Self {
        Self { healthy: false, against: 0 }
    }

    /// Whether requests may go there.
    pub const fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Takes a result in; whether it has changed what [`Self::is_healthy`] says.
    pub fn record(&mut self, passed: bool, check: &HealthCheck) -> bool {
        if passed == self.healthy {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let enough = if self.healthy { check.unhealthy } else { check.healthy };
        let changed = self.against >= enough;
        if changed {
            *self = Self { healthy: passed, against: 0 };
        }
        changed
    }

    /// How long to wait before the next check.
    pub fn pause(&self, check: &HealthCheck, rng: &mut Rng) -> Duration {
        let doubtful = !self.healthy || self.against > 0;
        let pause = if doubtful {
            (check.interval / HASTE).max(LEAST_PAUSE).min(check.interval)
        } else {
            check.interval
        };
        pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * rng.f64())
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}
