//! The retries granted, and what decides about the next: what the lock of a budget guards.

use weir_config::model::RetryBudget;

use super::{
    Standing,
    tally::{SLOTS, Scale, Tally, nanos},
};
use crate::clock::Tick;

/// Shares are counted in millionths of a retry.
const WHOLE: u128 = 1_000_000;

#[derive(Debug)]
pub(super) struct Ledger {
    /// What a request is worth.
    share: u128,
    /// What there is without any.
    floor: u128,
    /// In nanoseconds.
    window: u64,
    scale: Scale,
    /// The latest moment that anybody asked at, in nanoseconds.
    latest: u64,
    /// Retries by slot, up to the one of `latest`.
    retries: [u32; SLOTS],
}

impl Ledger {
    pub(super) fn new(policy: RetryBudget, scale: Scale) -> Self {
        let mut this = Self {
            share: 0,
            floor: 0,
            window: nanos(policy.window),
            scale,
            latest: 0,
            retries: [0; SLOTS],
        };
        this.adjust(policy);
        this
    }

    /// Returns how requests are to be counted from now on.
    pub(super) fn adjust(&mut self, policy: RetryBudget) -> Scale {
        self.share = (policy.percent * WHOLE as f64).round() as u128;
        // A rate a second times nanoseconds is in thousand-millionths.
        self.floor =
            (u128::from(policy.min_per_sec).saturating_mul(policy.window.as_nanos())) / 1_000;
        self.window = nanos(policy.window);
        let scale = self.scale.adapt(policy.window);
        if scale != self.scale {
            self.recast(scale);
        }
        scale
    }

    /// Moves the retries to slots of another length, each to the latest that it may belong to.
    fn recast(&mut self, scale: Scale) {
        let present = self.scale.number(self.latest);
        let mut retries = [0_u32; SLOTS];
        for number in present.saturating_sub(SLOTS as u64 - 1)..=present {
            let count = self.retries[number as usize % SLOTS];
            let moved = scale.number(self.scale.end(number).min(self.latest));
            if scale.number(self.latest) - moved < SLOTS as u64 {
                let slot = &mut retries[moved as usize % SLOTS];
                *slot = slot.saturating_add(count);
            }
        }
        (self.scale, self.retries) = (scale, retries);
    }

    pub(super) fn withdraw(&mut self, requests: &Tally, now: Tick) -> bool {
        self.advance(now);
        let Standing { retries, allowed, .. } = self.standing(requests, now);
        let slot = &mut self.retries[self.scale.number(self.latest) as usize % SLOTS];
        if retries >= allowed || *slot == u32::MAX {
            return false;
        }
        *slot += 1;
        true
    }

    /// Clears the slots that begin by `now`.
    fn advance(&mut self, now: Tick) {
        let (from, to) = (self.scale.number(self.latest), self.scale.number(now.nanos()));
        for number in (from..=to).skip(1).take(SLOTS) {
            self.retries[number as usize % SLOTS] = 0;
        }
        self.latest = self.latest.max(now.nanos());
    }

    pub(super) fn standing(&self, requests: &Tally, now: Tick) -> Standing {
        let now = now.nanos().max(self.latest);
        let present = self.scale.number(now);
        // The last moment before the window: requests of its slot do not count, later retries do.
        // It is a slot before the present one, for slots are shorter than windows.
        let before = now.checked_sub(self.window);
        let first = before.map_or(0, |before| self.scale.number(before) + 1);
        let requests = requests.sum(self.scale, first, present);
        let begin = before.map_or(0, |before| self.scale.number(before + 1));
        let retries = (begin..=self.scale.number(self.latest))
            .map(|number| u64::from(self.retries[number as usize % SLOTS]))
            .sum();
        let allowed = self.floor.saturating_add(self.share.saturating_mul(requests.into())) / WHOLE;
        Standing { requests, retries, allowed: u64::try_from(allowed).unwrap_or(u64::MAX) }
    }
}
