//! What a limit says to a request.

use std::time::Duration;

use smallvec::SmallVec;

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

/// A decision, and whether anybody heeds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling {
    /// What the limit says.
    pub decision: Decision,
    /// The limit only counts: what it denies passes all the same.
    pub dry_run: bool,
}

/// What all limits of a request say, in the order in which they were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    rulings: SmallVec<[Ruling; 4]>,
}

impl Verdict {
    pub(crate) const fn new(rulings: SmallVec<[Ruling; 4]>) -> Self {
        Self { rulings }
    }

    /// Each limit's answer. After a denial, those that would have passed tell what they hold
    /// without the charge, which was not made.
    pub fn rulings(&self) -> &[Ruling] {
        &self.rulings
    }

    /// Whether the request passes, and was charged.
    pub fn allowed(&self) -> bool {
        self.enforced().all(|(_, decision)| decision.allowed())
    }

    /// Whether a limit in dry run would have denied what passes.
    pub fn would_deny(&self) -> bool {
        self.rulings.iter().any(|ruling| ruling.dry_run && !ruling.decision.allowed())
    }

    /// How long to hold back a request that passes: the longest wait of any limit.
    pub fn delay(&self) -> Duration {
        self.enforced().map(|(_, decision)| decision.delay()).max().unwrap_or_default()
    }

    /// The limit that a client should look at, by its index: of a denied request the one that
    /// denies longest, of another the one with the smallest share remaining. `None` if none of the
    /// limits is enforced.
    pub fn tightest(&self) -> Option<(usize, &Decision)> {
        self.enforced().min_by(|(_, a), (_, b)| {
            let wait = |decision: &Decision| match decision.answer {
                Answer::Allowed { .. } => 0,
                Answer::Denied { retry_after } => retry_after.max(1),
                Answer::Never => u64::MAX,
            };
            let share = u128::from(a.remaining) * u128::from(b.limit);
            let other = u128::from(b.remaining) * u128::from(a.limit);
            wait(b).cmp(&wait(a)).then(share.cmp(&other))
        })
    }

    fn enforced(&self) -> impl Iterator<Item = (usize, &Decision)> {
        let rulings = self.rulings.iter().enumerate();
        rulings.filter(|(_, ruling)| !ruling.dry_run).map(|(i, ruling)| (i, &ruling.decision))
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
    fn the_tightest_limit() {
        let of = |rulings: &[(u64, Answer, bool)]| {
            let ruling = |(remaining, answer, dry_run): &(u64, Answer, bool)| Ruling {
                decision: Decision { remaining: *remaining, ..decision(*answer) },
                dry_run: *dry_run,
            };
            let verdict = Verdict::new(rulings.iter().map(ruling).collect());
            (verdict.tightest().map(|(index, _)| index), verdict.allowed(), verdict.would_deny())
        };
        let pass = Answer::Allowed { delay: 0 };
        let deny = |retry_after| Answer::Denied { retry_after };
        assert_eq!(of(&[]), (None, true, false));
        assert_eq!(
            of(&[(3, pass, false), (2, pass, false), (4, pass, false)]),
            (Some(1), true, false)
        );
        assert_eq!(of(&[(0, pass, false), (1, deny(5), false)]), (Some(1), false, false));
        assert_eq!(of(&[(0, deny(4), false), (1, deny(5), false)]), (Some(1), false, false));
        assert_eq!(of(&[(5, Answer::Never, false), (1, deny(5), false)]), (Some(0), false, false));
        assert_eq!(of(&[(5, pass, false), (0, deny(5), true)]), (Some(0), true, true));
        assert_eq!(of(&[(0, deny(5), true)]), (None, true, true));
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
