//! What a member believes and holds, for those who ask.

use std::{sync::Arc, time::Duration};

use super::{Id, Moment, Record, Stamp, State, Swim, member::Slot};

/// What there is of each kind, for metrics and for tests of the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// News waiting to be told.
    pub news: usize,
    /// Suspicions that run.
    pub suspicions: usize,
    /// Members remembered that died or left.
    pub gone: usize,
    /// Probes that wait for an answer.
    pub probes: usize,
    /// Probes made for others that wait for an answer.
    pub relays: usize,
    /// Streams that wait for an answer.
    pub calls: usize,
    /// Messages that could not be read.
    pub malformed: u64,
}

/// What is believed of one member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Belief<'a> {
    /// What it says of itself.
    pub record: &'a Arc<Record>,
    /// What is believed.
    pub state: State,
    /// Since it last said something new.
    pub incarnation: u32,
    /// Phi of its silence and the last round trip, if this member watches it and has an answer.
    pub watched: Option<(f64, Option<Duration>)>,
}

impl Swim {
    /// What this member says of itself, and since which incarnation.
    #[must_use]
    pub fn own(&self) -> Stamp {
        self.stamp(self.me)
    }

    /// Members believed to live, itself among them.
    #[must_use]
    pub const fn live(&self) -> usize {
        self.table.live()
    }

    /// The view of the living as a number: two members that agree have the same.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.table.digest()
    }

    /// The local health: 0 is best.
    #[must_use]
    pub const fn health(&self) -> u32 {
        self.health.score()
    }

    /// What is believed of the member called `id`.
    #[must_use]
    pub fn belief(&self, id: Id, now: Moment) -> Option<Belief<'_>> {
        self.belief_at(self.table.find(id)?, now)
    }

    /// What is believed of everybody remembered, in no order.
    pub fn beliefs(&self, now: Moment) -> impl Iterator<Item = Belief<'_>> {
        (0..self.table.slots()).filter_map(move |slot| self.belief_at(slot, now))
    }

    fn belief_at(&self, slot: Slot, now: Moment) -> Option<Belief<'_>> {
        let edge = self.watch.edges.iter().find(|edge| edge.slot == slot);
        Some(Belief {
            record: self.table.record(slot)?,
            state: self.table.state(slot)?,
            incarnation: self.table.incarnation(slot),
            watched: edge.map(|edge| {
                let trip = (edge.trip_us > 0).then(|| Duration::from_micros(edge.trip_us));
                (edge.arrivals.phi(self.pause_us(), now.micros()), trip)
            }),
        })
    }

    /// How much there is of what is bounded.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            news: self.queue.len(),
            suspicions: self.suspicions.len(),
            gone: self.gone.len(),
            probes: self.probes.len(),
            relays: self.relays.len(),
            calls: self.calls.len(),
            malformed: self.malformed,
        }
    }
}
