//! What the limits of a route said to a request, kept until its response has been told.

use std::time::Duration;

use smallvec::SmallVec;
use weir_ratelimit::{Decision, Key, Nanos};

use super::{
    route::{RouteLimits, Rule},
    shared::Source,
};

/// One limit that was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Its place among the route's.
    pub(super) rule: usize,
    /// What it was asked for.
    pub(super) cost: u64,
    /// For whom; `None` where the request lacks what it must have.
    pub(super) key: Option<Key>,
    /// What it said; `None` likewise, and where it has not been asked.
    pub(super) decision: Option<Decision>,
}

impl Asked {
    /// Whether it is against the request.
    pub(super) fn denies(&self) -> bool {
        match self.decision {
            Some(decision) => self.cost > 0 && !decision.allowed(),
            None => self.key.is_none(),
        }
    }

    /// Whether it has not been asked.
    pub(super) const fn is_open(&self) -> bool {
        self.key.is_some() && self.decision.is_none()
    }

    /// How long until it is not, in nanoseconds; the most where that is never.
    fn wait(&self) -> u64 {
        let after = self.decision.as_ref().and_then(Decision::retry_after);
        after.map_or(u64::MAX, |after| after.as_nanos() as u64)
    }
}

/// What all limits together said.
#[derive(Debug, Clone)]
pub(crate) struct Limited {
    pub(super) asked: SmallVec<[Asked; 2]>,
    /// When they were asked.
    pub(super) at: Nanos,
    /// The request lacks a part of a key that it must have: limits were only looked at.
    pub(super) lacking: bool,
    /// Who decided for those that are kept elsewhere.
    pub(super) source: Option<Source>,
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
        let mut limited = Self {
            at,
            asked,
            lacking,
            source: None,
            denied: None,
            would_deny: None,
            delay: Duration::ZERO,
            retry_after: None,
            takes_problem: false,
        };
        limited.judge(rules);
        limited
    }

    /// Sums up what was said.
    pub(super) fn judge(&mut self, rules: &[Rule]) {
        let longest = |dry_run: bool| {
            let mut longest: Option<usize> = None;
            for (index, one) in self.asked.iter().enumerate() {
                let earnest = !self.lacking || one.decision.is_none();
                let is_dry = rules.get(one.rule).is_some_and(|rule| rule.limit.dry_run());
                let against = earnest && is_dry == dry_run && one.denies();
                if against && longest.is_none_or(|other| self.asked[other].wait() < one.wait()) {
                    longest = Some(index);
                }
            }
            longest
        };
        let (denied, would_deny) = (longest(false), longest(true));
        let in_earnest =
            |one: &&Asked| rules.get(one.rule).is_some_and(|rule| !rule.limit.dry_run());
        let delays = self.asked.iter().filter(in_earnest).filter_map(|one| one.decision.as_ref());
        let delay = delays.map(Decision::delay).max().filter(|_| denied.is_none());
        self.delay = delay.unwrap_or_default();
        (self.denied, self.would_deny) = (denied, would_deny);
    }

    /// Whether limits that are kept elsewhere are still to be asked.
    pub(super) fn is_open(&self) -> bool {
        self.denied.is_none() && self.asked.iter().any(Asked::is_open)
    }

    /// Who decided, where limits are kept elsewhere.
    pub(crate) fn source(&self) -> Option<&'static str> {
        self.source.map(|source| match source {
            Source::Server => "redis",
            Source::Memory => "memory",
            Source::Fallback => "fallback",
        })
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

    /// The limit that denied it.
    pub(super) fn denier<'a>(&self, limits: &'a RouteLimits) -> Option<&'a Rule> {
        limits.rules.get(self.asked.get(self.denied?)?.rule)
    }

    fn name<'a>(&self, asked: Option<usize>, limits: &'a RouteLimits) -> Option<&'a str> {
        Some(limits.rules.get(self.asked.get(asked?)?.rule)?.limit.name())
    }
}
