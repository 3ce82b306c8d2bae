//! The blocks of one key: those that workers write, and the sum of those they let go of.

use std::{ops::AddAssign, sync::Arc};

use crate::{
    limit::tally::{Tally, Totals},
    policy::{self, AuthTally},
    telemetry::counters::{
        EndpointCounters, ListenerCounters, RouteCounters, RouteTotals, Sums, sum,
    },
};

/// Counters that can be summed up.
pub(super) trait Block {
    type Totals: AddAssign + Default + Clone;

    fn totals(&self) -> Self::Totals;
}

impl Block for RouteCounters {
    type Totals = RouteTotals;

    fn totals(&self) -> RouteTotals {
        self.totals()
    }
}

impl Block for ListenerCounters {
    type Totals = Sums<7>;

    fn totals(&self) -> Sums<7> {
        self.totals()
    }
}

impl Block for EndpointCounters {
    type Totals = Sums<6>;

    fn totals(&self) -> Sums<6> {
        self.totals()
    }
}

impl Block for AuthTally {
    type Totals = Sums<{ policy::Outcome::NAMES.len() }>;

    fn totals(&self) -> Self::Totals {
        self.totals()
    }
}

impl Block for Tally {
    type Totals = Totals;

    fn totals(&self) -> Totals {
        self.totals()
    }
}

#[derive(Debug)]
pub(super) struct Blocks<B: Block> {
    written: Vec<Arc<B>>,
    folded: B::Totals,
}

impl<B: Block> Blocks<B> {
    /// Adds a block that a worker is going to write.
    pub(super) fn join(&mut self, block: &Arc<B>) {
        // Reloads without scrapes in between must not pile up blocks.
        self.fold();
        self.written.push(Arc::clone(block));
    }

    /// Folds blocks that only the registry holds; whether others are left.
    pub(super) fn fold(&mut self) -> bool {
        self.written.retain_mut(|block| {
            // `get_mut` synchronises with the drop of the last other owner: its counts are in.
            let unwritten = Arc::get_mut(block).is_some();
            if unwritten {
                self.folded += block.totals();
            }
            !unwritten
        });
        !self.is_unwritten()
    }

    pub(super) fn is_unwritten(&self) -> bool {
        self.written.is_empty()
    }

    pub(super) fn totals(&self) -> B::Totals {
        let mut totals = self.folded.clone();
        totals += sum(self.written.iter().map(|block| block.totals()));
        totals
    }

    /// Both sums as one, without a block.
    pub(super) fn absorb(mut self, other: &Self) -> Self {
        self.folded += other.totals();
        self
    }
}

impl Blocks<Tally> {
    /// Lets denials long ago weigh less.
    pub(super) fn fade(&mut self) {
        self.written.iter().for_each(|tally| tally.fade());
        self.folded.fade();
    }
}

impl<B: Block> Default for Blocks<B> {
    fn default() -> Self {
        Self { written: Vec::new(), folded: B::Totals::default() }
    }
}
