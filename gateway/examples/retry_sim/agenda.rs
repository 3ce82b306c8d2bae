//! What happens next, in virtual time.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use fastrand::Rng;
use weir_gateway::clock::Tick;

/// Events to come. Of those at the same moment the one planned first comes first.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    events: BinaryHeap<Reverse<(Tick, u64, E)>>,
    planned: u64,
}

impl<E: Ord> Agenda<E> {
    pub(crate) const fn new() -> Self {
        Self { events: BinaryHeap::new(), planned: 0 }
    }

    pub(crate) fn plan(&mut self, at: Tick, event: E) {
        self.events.push(Reverse((at, self.planned, event)));
        self.planned += 1;
    }

    pub(crate) fn next(&mut self) -> Option<(Tick, E)> {
        self.events.pop().map(|Reverse((at, _, event))| (at, event))
    }
}

/// A time between two events that come by chance, `rate` of them a second.
pub(crate) fn interval(rate: f64, rng: &mut Rng) -> Duration {
    Duration::from_secs_f64(-(1.0 - rng.f64()).ln() / rate)
}
