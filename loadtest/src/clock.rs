//! The clock: the one place that reads it.

use std::time::{Duration, Instant, SystemTime};

/// Now, for measuring.
#[allow(clippy::disallowed_methods, reason = "the one reading of the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Now since 1970, for writing down.
#[allow(clippy::disallowed_methods, reason = "the one reading of the wall clock")]
pub(crate) fn unix() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
