//! What the limits of a route said to a request, kept until its response has been told.

use std::time::Duration;

use smallvec::SmallVec;
use weir_ratelimit::{Decision, Key, Nanos};

use super::route::{RouteLimits, Rule};

/// One limit that was asked.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its place among the route's.
    pub(super) rule: usize,
    /// What it was asked for.
    pub(super) cost: u64,
    /// For whom; `None` where the request lacks what it must have.
    pub(super) key: Option<Key>,
    /// What it said; `None` likewise.
    pub(super) decision: Option<Decision>,
}

impl Asked {
    /// Whether it is against the request.
    pub(super) fn denies(&self) -> bool {
        self.decision.is_none_or(|decision| self.cost > 0 && !decision.allowed())
    }

    /// How long until it is not, in nanoseconds; the most where that is never.
    fn wait(&self) -> u64 {
        let after = self.decision.as_ref().and_then(Decision::retry_after);
        after.map_or(u64::MAX, |after| after.as_nanos() as u64)
    }
}

/// What all limits together said.
#[derive(Debug)]
pub(crate) struct Limited {
    pub(super) asked: SmallVec<[Asked; 2]>,
    /// When they were asked.
    pub(super) at: Nanos,
    /// Which of `asked` denies for longest.
    pub(super) denied: Option<usize>,
    /// Which of `asked` would, were it not in dry run.
    would_deny: Option<usize>,
    /// How long to hold it back from its upstream.
    pub(super) delay: Duration,
    /// Whole seconds after which a denied client may come again.
    pub(super) retry_after: Option<u64>,
    /// Whether a denied client takes a problem document.
    pub(super) takes_problem: bool,
}

impl Limited {
    pub(super) fn new(
        asked: SmallVec<[Asked; 2]>,
        rules: &[Rule],
        lacking: bool,
        at: Nanos,
    ) -> Self {
        let longest = |dry_run: bool| {
            let mut longest: Option<usize> = None;
            for (index, one) in asked.iter().enumerate() {
                let earnest = !lacking || one.decision.is_none();
                let is_dry = rules.get(one.rule).is_some_and(|rule| rule.limit.dry_run());
                let against = earnest && is_dry == dry_run && one.denies();
                if against && longest.is_none_or(|other| asked[other].wait() < one.wait()) {
                    longest = Some(index);
                }
            }
            longest
        };
        let (denied, would_deny) = (longest(false), longest(true));
        let in_earnest =
            |one: &&Asked| rules.get(one.rule).is_some_and(|rule| !rule.limit.dry_run());
        let delays = asked.iter().filter(in_earnest).filter_map(|one| one.decision.as_ref());
        let delay = delays.map(Decision::delay).max().filter(|_| denied.is_none());
        Self {
            at,
            denied,
            would_deny,
            delay: delay.unwrap_or_default(),
            retry_after: None,
            takes_problem: false,
            asked,
        }
    }

    /// Whether the request does not pass.
    pub(super) const fn is_denied(&self) -> bool {
        self.denied.is_some()
    }

    /// Whole seconds until it would pass, as the limit that denies it says.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.asked.get(self.denied?)?.decision.as_ref()?.retry_after_seconds()
    }

    /// Name of the limit that denied it.
    pub(crate) fn denied_by<'a>(&self, limits: &'a RouteLimits) -> Option<&'a str> {
        self.name(self.denied, limits)
    }

    /// Name of a limit that would have, were it not in dry run.
    pub(crate) fn would_be_denied_by<'a>(&self, limits: &'a RouteLimits) -> Option<&'a str> {
        self.name(self.would_deny, limits)
    }

    /// How long it was held back.
    pub(crate) const fn delay(&self) -> Duration {
        self.delay
    }

    fn name<'a>(&self, asked: Option<usize>, limits: &'a RouteLimits) -> Option<&'a str> {
        Some(limits.rules.get(self.asked.get(asked?)?.rule)?.limit.name())
    }
}
