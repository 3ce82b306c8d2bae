//! The requests of one key that a worker has under way or has ended, by their numbers.

use std::{collections::HashSet, mem, time::Duration};

use super::later;
use crate::moment::Nanos;

/// See [`super::SharedConcurrency`].
#[derive(Debug)]
pub(super) struct Names {
    under_way: Vec<u64>,
    /// The servers do not know yet.
    ended: Vec<u64>,
    /// They could not be told; and until when they have to be.
    missed: Vec<(u64, Nanos)>,
    lease: Duration,
    /// When the servers last heard of all that are under way.
    renewed: Nanos,
    /// That it is on the list of those that there is news of.
    listed: bool,
}

/// What there is to tell of a key.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Those that have ended, and until when that is worth telling.
    pub(super) ended: Vec<(u64, Nanos)>,
    /// Those to be renewed.
    pub(super) under_way: Vec<u64>,
    /// How long they are counted.
    pub(super) lease: Duration,
    /// How many of `ended` were kept until now.
    pub(super) kept: usize,
}

impl Names {
    /// None, of a key whose requests have such leases.
    pub(super) const fn new(lease: Duration) -> Self {
        Self {
            under_way: Vec::new(),
            ended: Vec::new(),
            missed: Vec::new(),
            lease,
            renewed: Nanos::ZERO,
            listed: false,
        }
    }

    /// One begins.
    pub(super) fn begin(&mut self, number: u64, lease: Duration, now: Nanos) {
        if self.lease != lease {
            // Others may have a shorter one, and are to be renewed in time.
            (self.lease, self.renewed) = (lease, Nanos::ZERO);
        } else if self.under_way.is_empty() {
            self.renewed = now;
        }
        self.under_way.push(number);
    }

    /// One ends; where there is `room`, the servers are to be told. Returns whether the key is to
    /// be put on the list.
    pub(super) fn end(&mut self, number: u64, room: bool) -> bool {
        if let Some(place) = self.under_way.iter().position(|other| *other == number) {
            self.under_way.swap_remove(place);
        }
        if room {
            self.ended.push(number);
        }
        !mem::replace(&mut self.listed, true)
    }

    pub(super) const fn under_way(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn copy(&self) -> Vec<u64> {
        self.under_way.clone()
    }

    /// Those of `some` that are still under way.
    pub(super) fn still(&self, some: &[u64]) -> Vec<u64> {
        let live: HashSet<u64> = self.under_way.iter().copied().collect();
        some.iter().copied().filter(|number| live.contains(number)).collect()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.ended.is_empty() && self.missed.is_empty()
    }

    /// Whether some are to be renewed, or told once more.
    pub(super) fn is_due(&self, now: Nanos) -> bool {
        let third = Nanos::from(self.lease).get() / 3;
        let since = now.get().saturating_sub(self.renewed.get());
        !self.missed.is_empty() || (!self.under_way.is_empty() && since >= third)
    }

    /// At most so many that have ended, for a call that is made anyway.
    pub(super) fn take_some(&mut self, most: usize) -> Vec<u64> {
        self.ended.split_off(self.ended.len().saturating_sub(most))
    }

    /// All that is new; with `renew` what is not, too.
    pub(super) fn take_news(&mut self, renew: bool, now: Nanos) -> News {
        self.listed = false;
        let until = later(now, self.lease);
        let kept = self.ended.len() + if renew { self.missed.len() } else { 0 };
        let mut ended: Vec<_> = self.ended.drain(..).map(|number| (number, until)).collect();
        let mut under_way = Vec::new();
        if renew {
            ended.extend(self.missed.drain(..).filter(|(_, until)| now < *until));
            under_way.clone_from(&self.under_way);
        }
        News { ended, under_way, lease: self.lease, kept }
    }

    /// These could not be told.
    pub(super) fn miss(&mut self, missed: &[(u64, Nanos)]) {
        self.missed.extend_from_slice(missed);
    }

    /// The servers have heard of all that are under way.
    pub(super) const fn renew(&mut self, now: Nanos) {
        self.renewed = now;
    }
}
