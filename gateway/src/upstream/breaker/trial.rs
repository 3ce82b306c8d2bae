//! The probes of one half-open time.

use std::time::Duration;

use weir_config::model;

use super::{Counts, Reason, Verdict, limits::reaches};
use crate::clock::Tick;

/// See the module's page. Empty at first.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// Probes that came back, whatever they say.
    passed: u32,
    slow: u32,
    failed: u32,
    /// The number of the next probe.
    next: u32,
    /// Those under way and since when; no more than `probes`.
    out: Vec<(u32, Tick)>,
}

impl Trial {
    /// Lets one more probe through, if there is a place for it: its number.
    pub(super) fn admit(&mut self, policy: &model::Breaker, now: Tick) -> Option<u32> {
        // Who has not been heard of for so long may never be.
        self.out.retain(|&(_, since)| now < since + patience(policy));
        if self.is_full(policy) {
            return None;
        }
        let probe = self.next;
        self.next = probe.wrapping_add(1);
        self.out.push((probe, now));
        Some(probe)
    }

    /// Takes in what became of a probe. One whose place was taken meanwhile still counts: it may
    /// take longer than the breaker's patience, but it comes from where it matters.
    pub(super) fn record(&mut self, probe: u32, verdict: Verdict, slow: bool) {
        self.out.retain(|&(number, _)| number != probe);
        match verdict {
            Verdict::Success => self.passed = self.passed.saturating_add(1),
            Verdict::Failure => self.failed = self.failed.saturating_add(1),
            Verdict::Unknown => {}
        }
        self.slow = self.slow.saturating_add(slow.into());
    }

    /// Whether to close, or why to open again.
    pub(super) fn conclusion(&self, policy: &model::Breaker) -> Option<Result<(), Reason>> {
        let probes = policy.probes.max(1);
        if self.failed > 0 {
            Some(Err(Reason::ProbeFailed))
        } else if policy.slow.is_some_and(|slow| reaches(self.slow, probes, slow.rate)) {
            Some(Err(Reason::ProbesSlow(self.counts())))
        } else {
            (self.passed >= probes).then_some(Ok(()))
        }
    }

    /// Until when there is no place for another probe.
    pub(super) fn full_until(&self, policy: &model::Breaker) -> Tick {
        let oldest = self.out.iter().map(|&(_, since)| since).min();
        match oldest.filter(|_| self.is_full(policy)) {
            Some(since) => since + patience(policy),
            None => Tick::ZERO,
        }
    }

    /// What came back.
    pub(super) const fn counts(&self) -> Counts {
        Counts {
            requests: self.passed.saturating_add(self.failed),
            failures: self.failed,
            slow: self.slow,
        }
    }

    fn is_full(&self, policy: &model::Breaker) -> bool {
        let taken = self.out.len() as u64 + u64::from(self.passed);
        taken >= policy.probes.max(1).into()
    }
}

/// For how long a probe keeps its place.
fn patience(policy: &model::Breaker) -> Duration {
    policy.open.max(Duration::from_nanos(1))
}
