//! What a limit says to a request.

use std::time::Duration;

/// One limit's answer, with what the `RateLimit` fields and `Retry-After` tell a client
/// (draft-ietf-httpapi-ratelimit-headers-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The most that is admitted at once.
    pub limit: u64,
    /// What would be admitted at once after this decision.
    pub remaining: u64,
    pub(crate) answer: Answer,
    /// Nanoseconds until `remaining` is `limit`, if nobody asks.
    pub(crate) reset: u64,
}

/// Nanoseconds throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// After so long a wait.
    Allowed { delay: u64 },
    /// The same is admitted so much later, if nobody else asks.
    Denied { retry_after: u64 },
    /// It asks for more than there ever is.
    Never,
}

impl Decision {
    /// Whether the limit lets the request pass.
    pub const fn allowed(&self) -> bool {
        matches!(self.answer, Answer::Allowed { .. })
    }

    /// How long to hold the request back before it goes on; zero for all but a leaky bucket, and
    /// for what is denied.
    pub const fn delay(&self) -> Duration {
        match self.answer {
            Answer::Allowed { delay } => Duration::from_nanos(delay),
            Answer::Denied { .. } | Answer::Never => Duration::ZERO,
        }
    }

    /// When the same request would pass, if nobody else asks: zero when it does now, `None` when
    /// never, since it costs more than there ever is or the rate is zero.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.answer {
            Answer::Allowed { .. } => Some(Duration::ZERO),
            Answer::Denied { retry_after } => Some(Duration::from_nanos(retry_after)),
            Answer::Never => None,
        }
    }

    /// How long until all of [`Decision::limit`] is there again, if nobody asks.
    pub const fn reset(&self) -> Duration {
        Duration::from_nanos(self.reset)
    }

    /// Whole seconds for `Retry-After`, rounded up, at least 1; `None` when it is allowed or would
    /// be in vain.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self.answer {
            Answer::Denied { retry_after } => Some(seconds(retry_after).max(1)),
            Answer::Allowed { .. } | Answer::Never => None,
        }
    }

    /// Whole seconds for the `t` parameter of a `RateLimit` item: until all is there again, but for
    /// a denied request no later than [`Decision::retry_after_seconds`], since the draft asks that
    /// `Retry-After` be not earlier than the end of `t` (section 6).
    pub fn reset_seconds(&self) -> u64 {
        let reset = seconds(self.reset);
        self.retry_after_seconds().map_or(reset, |retry_after| reset.min(retry_after))
    }
}

const fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(answer: Answer) -> Decision {
        Decision { limit: 10, remaining: 0, answer, reset: 2_000_000_001 }
    }

    #[test]
    fn seconds_are_rounded_up() {
        let denied = decision(Answer::Denied { retry_after: 1 });
        assert_eq!(denied.retry_after_seconds(), Some(1));
        assert_eq!(denied.reset_seconds(), 1, "not later than Retry-After");
        let allowed = decision(Answer::Allowed { delay: 5 });
        assert_eq!(allowed.retry_after_seconds(), None);
        assert_eq!(allowed.reset_seconds(), 3);
        assert_eq!(allowed.delay(), Duration::from_nanos(5));
        assert_eq!(decision(Answer::Never).retry_after(), None);
        assert_eq!(decision(Answer::Never).retry_after_seconds(), None);
    }
}
