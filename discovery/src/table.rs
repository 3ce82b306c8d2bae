//! Who has which slot, kept up to date as nodes come and go.

use crate::rendezvous::{Racers, SLOTS, Time};

/// An owner for each slot. Two bytes each, four megabytes.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    owners: Vec<u16>,
    /// Nobody comes first anywhere later than this.
    horizon: Time,
}

/// Not an id: there are fewer.
const NOBODY: u16 = u16::MAX;
/// Darts for each slot that one round of filling throws.
const ROUND: f64 = 0.25;
/// Where so many of a node's slots would have to be looked at, all are, in their own order: they
/// lie beside each other.
const MANY: u32 = SLOTS / 8;

impl Table {
    /// The table of a set that is not empty.
    pub(crate) fn fill(racers: &Racers) -> Self {
        let mut this = Self { owners: vec![NOBODY; SLOTS as usize], horizon: Time::ZERO };
        // Everybody comes to its slots in its order, all in step with the time.
        let mut runs: Vec<(u16, u32, u32)> =
            racers.ids().map(|id| (id, racers.inverse(id), 0)).collect();
        let weights: f64 = racers.ids().map(|id| f64::from(racers.weight(id))).sum();
        let mut empty = SLOTS;
        // The last ones would take long to be hit: those are asked for.
        while u64::from(empty) * runs.len() as u64 > u64::from(SLOTS) {
            this.horizon = this.horizon.after(f64::from(SLOTS) * ROUND / weights);
            for (id, inverse, rank) in &mut runs {
                let end = this.end(racers.weight(*id));
                while *rank < end {
                    let slot = racers.slot_at(*id, *inverse, *rank);
                    empty -= u32::from(this.owners[slot as usize] == NOBODY);
                    this.offer(racers, *id, slot);
                    *rank += 1;
                }
            }
        }
        for slot in 0..SLOTS {
            if this.owners[slot as usize] == NOBODY {
                this.elect(racers, slot);
            }
        }
        this
    }

    /// Who has a slot.
    pub(crate) fn owner(&self, slot: u32) -> u16 {
        self.owners[slot as usize]
    }

    /// Gives a node what is its own now: it is new, or has more weight than before.
    pub(crate) fn claim(&mut self, racers: &Racers, id: u16) {
        let end = self.end(racers.weight(id));
        if end >= MANY {
            (0..SLOTS).for_each(|slot| self.offer(racers, id, slot));
            return;
        }
        let inverse = racers.inverse(id);
        for rank in 0..end {
            self.offer(racers, id, racers.slot_at(id, inverse, rank));
        }
    }

    /// Takes from a node what is another's now: it is gone, or has less weight than `before`.
    pub(crate) fn yield_from(&mut self, racers: &Racers, id: u16, before: u32) {
        let end = self.end(before);
        let inverse = racers.inverse(id);
        let slots = |rank| if end >= MANY { rank } else { racers.slot_at(id, inverse, rank) };
        for rank in 0..if end >= MANY { SLOTS } else { end } {
            let slot = slots(rank);
            if self.owners[slot as usize] == id {
                self.elect(racers, slot);
            }
        }
    }

    /// The first of a node's ranks at which it can have nothing any more.
    fn end(&self, weight: u32) -> u32 {
        let (mut low, mut high) = (0, SLOTS);
        while low < high {
            let middle = low + (high - low) / 2;
            if Time::of(middle, weight) <= self.horizon {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn offer(&mut self, racers: &Racers, id: u16, slot: u32) {
        let owner = &mut self.owners[slot as usize];
        if *owner == NOBODY || *owner != id && racers.is_before(id, *owner, slot) {
            *owner = id;
        }
    }

    fn elect(&mut self, racers: &Racers, slot: u32) {
        if let Some(id) = racers.first(slot, |_| true) {
            self.owners[slot as usize] = id;
            let time = Time::of(racers.rank(id, slot), racers.weight(id));
            if time > self.horizon {
                self.horizon = time;
            }
        }
    }
}
