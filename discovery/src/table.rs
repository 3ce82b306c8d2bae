//! Who has which slot, kept up to date as nodes come and go.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::rendezvous::{Racers, SLOTS, Time};

/// An owner for each slot and, as far as it is known, who would be the owner without it: the heir,
/// so that a node's slots need not be asked for all over when it leaves. Two bytes each, four
/// megabytes and four, and four more once a successor's are laid in.
#[derive(Debug)]
pub(crate) struct Table {
    owners: Vec<u16>,
    /// Only changes look at it. Behind a lock, so that it can be made for a table in use, and go to
    /// its successor: then there is none.
    store: Mutex<Store>,
    /// Nobody comes first anywhere later than this, and no heir that is known comes later.
    horizon: Time,
}

/// What makes changes quick.
#[derive(Debug, Default)]
struct Store {
    heirs: Vec<u16>,
    /// The owners once more, for the successor to begin with; or nothing.
    copy: Vec<u16>,
}

/// Not an id: there are fewer. An heir that is not known.
const NOBODY: u16 = u16::MAX;
/// Darts for each slot that one round of filling throws.
const ROUND: f64 = 0.25;
/// Where so many of a node's slots would have to be looked at, all are, in their own order: they
/// lie beside each other.
const MANY: u32 = SLOTS / 8;
/// Heirs found out under one lock.
const HEIRS: usize = 64;

impl Clone for Table {
    fn clone(&self) -> Self {
        let store = Store { heirs: self.store().heirs.clone(), copy: Vec::new() };
        Self { owners: self.owners.clone(), store: Mutex::new(store), horizon: self.horizon }
    }
}

impl Table {
    /// The table of a set that is not empty.
    pub(crate) fn fill(racers: &Racers) -> Self {
        let owners = vec![NOBODY; SLOTS as usize];
        let mut this = Self { owners, store: Mutex::default(), horizon: Time::ZERO };
        if racers.is_uniform() {
            this.fill_even(racers);
        } else {
            this.fill_uneven(racers);
        }
        for slot in 0..SLOTS {
            if this.owners[slot as usize] == NOBODY {
                this.elect(racers, slot);
            }
        }
        this
    }

    /// Everybody of one weight comes to its slots in its order, all in step: who comes first has
    /// the slot, and who comes second is its heir.
    fn fill_even(&mut self, racers: &Racers) {
        let mut ids: Vec<u16> = racers.ids().collect();
        // Of two that come at once, the first in order.
        ids.sort_by(|one, other| racers.order(*one).cmp(racers.order(*other)));
        let runs: Vec<(u16, u32)> = ids.iter().map(|id| (*id, racers.inverse(*id))).collect();
        let claims = self.claims(racers);
        let (mut empty, mut rank) = (SLOTS, 0);
        while is_worth_it(empty, runs.len()) {
            for (id, inverse) in &runs {
                let slot = racers.slot_at(*id, *inverse, rank) as usize;
                if claims.owners[slot] == NOBODY {
                    claims.owners[slot] = *id;
                    empty -= 1;
                } else if claims.heirs[slot] == NOBODY {
                    claims.heirs[slot] = *id;
                }
            }
            rank += 1;
        }
        if let (Some(id), Some(last)) = (ids.first(), rank.checked_sub(1)) {
            self.horizon = Time::of(last, racers.weight(*id));
        }
    }

    /// Everybody comes to its slots in its order, by rounds.
    fn fill_uneven(&mut self, racers: &Racers) {
        let mut runs: Vec<(u16, u32, u32)> =
            racers.ids().map(|id| (id, racers.inverse(id), 0)).collect();
        let weights: f64 = racers.ids().map(|id| f64::from(racers.weight(id))).sum();
        let mut empty = SLOTS;
        while is_worth_it(empty, runs.len()) {
            self.horizon = self.horizon.after(f64::from(SLOTS) * ROUND / weights);
            let horizon = self.horizon;
            let mut claims = self.claims(racers);
            for (id, inverse, rank) in &mut runs {
                let end = end(horizon, racers.weight(*id));
                while *rank < end {
                    let slot = racers.slot_at(*id, *inverse, *rank);
                    empty -= u32::from(claims.enter(*id, slot));
                    *rank += 1;
                }
            }
        }
    }

    /// A copy to be changed, which takes along what is known of heirs: this one is at its end.
    pub(crate) fn succeed(&self) -> Self {
        let Store { heirs, copy } = std::mem::take(&mut *self.store());
        let owners = if copy.is_empty() { self.owners.clone() } else { copy };
        let store = Mutex::new(Store { heirs, copy: Vec::new() });
        Self { owners, store, horizon: self.horizon }
    }

    /// Copies the owners for a successor, unless there was one or a copy is there.
    pub(crate) fn lay_in(&self) {
        let is_due = |store: &Store| !store.heirs.is_empty() && store.copy.is_empty();
        if !is_due(&self.store()) {
            return;
        }
        let copy = self.owners.clone();
        let mut store = self.store();
        if is_due(&store) {
            store.copy = copy;
        }
    }

    /// Who has a slot.
    pub(crate) fn owner(&self, slot: u32) -> u16 {
        self.owners[slot as usize]
    }

    /// Gives a node what is its own now: it is new, or has more weight than before.
    pub(crate) fn claim(&mut self, racers: &Racers, id: u16) {
        let end = end(self.horizon, racers.weight(id));
        let mut claims = self.claims(racers);
        if end >= MANY {
            (0..SLOTS).for_each(|slot| claims.offer(id, slot));
            return;
        }
        let inverse = racers.inverse(id);
        let slots = (0..end).map(|rank| (rank, racers.slot_at(id, inverse, rank)));
        if racers.is_uniform() {
            slots.for_each(|(rank, slot)| claims.offer_even(id, rank, slot));
        } else {
            slots.for_each(|(_, slot)| claims.offer(id, slot));
        }
    }

    /// Takes from a node what is another's now: it is gone, or has less weight than `before`.
    pub(crate) fn yield_from(&mut self, racers: &Racers, id: u16, before: u32) {
        let end = end(self.horizon, before);
        let inverse = racers.inverse(id);
        let slots = |rank| if end >= MANY { rank } else { racers.slot_at(id, inverse, rank) };
        let mut orphans = Vec::new();
        let mut claims = self.claims(racers);
        for rank in 0..if end >= MANY { SLOTS } else { end } {
            let slot = slots(rank);
            if !claims.withdraw(id, slot) {
                orphans.push(slot);
            }
        }
        for slot in orphans {
            self.elect(racers, slot);
        }
    }

    /// Finds out up to `most` heirs that are not known; how many it looked for.
    pub(crate) fn know_heirs(&self, racers: &Racers, most: usize) -> usize {
        let (mut from, mut sought) = (0, 0);
        while sought < most && from < self.owners.len() {
            let mut store = self.store();
            let heirs = &mut store.heirs;
            if heirs.is_empty() {
                break;
            }
            let batch = HEIRS.min(most - sought);
            let unknown = heirs[from..].iter().enumerate().filter(|(_, heir)| **heir == NOBODY);
            let slots: Vec<usize> = unknown.map(|(at, _)| from + at).take(batch).collect();
            for slot in &slots {
                let owner = self.owners[*slot];
                let heir = racers.first(*slot as u32, |id| id != owner);
                heirs[*slot] =
                    heir.filter(|id| self.in_sight(racers, *id, *slot)).unwrap_or(NOBODY);
            }
            drop(store);
            sought += slots.len();
            from = slots.last().map_or(self.owners.len(), |last| last + 1);
        }
        sought
    }

    /// Who would have the slot without its owner, where that is known.
    #[cfg(test)]
    pub(crate) fn heir(&self, slot: u32) -> Option<u16> {
        self.store().heirs.get(slot as usize).copied().filter(|heir| *heir != NOBODY)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claims<'a>(&'a mut self, racers: &'a Racers) -> Claims<'a> {
        let Store { heirs, copy } = self.store.get_mut().unwrap_or_else(PoisonError::into_inner);
        copy.clear();
        heirs.resize(SLOTS as usize, NOBODY);
        Claims { racers, owners: &mut self.owners, heirs }
    }

    /// Whether a node comes to a slot before the horizon.
    fn in_sight(&self, racers: &Racers, id: u16, slot: usize) -> bool {
        Time::of(racers.rank(id, slot as u32), racers.weight(id)) <= self.horizon
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

/// Whether to go on filling. The last slots would take long to be come to: those are asked for.
fn is_worth_it(empty: u32, nodes: usize) -> bool {
    u64::from(empty) * nodes as u64 > u64::from(SLOTS)
}

/// The first of a node's ranks at which it can have nothing any more.
fn end(horizon: Time, weight: u32) -> u32 {
    let (mut low, mut high) = (0, SLOTS);
    while low < high {
        let middle = low + (high - low) / 2;
        if Time::of(middle, weight) <= horizon {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// A table while it changes.
struct Claims<'a> {
    racers: &'a Racers,
    owners: &'a mut [u16],
    heirs: &'a mut [u16],
}

impl Claims<'_> {
    /// A node comes to a slot of a table that is being filled, in step with all others, so that who
    /// has come is before who has not: an heir is known as soon as there is one. Whether the slot
    /// was empty.
    fn enter(&mut self, id: u16, slot: u32) -> bool {
        let owner = &mut self.owners[slot as usize];
        if *owner == NOBODY {
            *owner = id;
            return true;
        }
        let heir = &mut self.heirs[slot as usize];
        if self.racers.is_before(id, *owner, slot) {
            (*heir, *owner) = (*owner, id);
        } else if *heir == NOBODY || self.racers.is_before(id, *heir, slot) {
            *heir = id;
        }
        false
    }

    /// A node that is new, or has more weight, takes the place that is its own now.
    fn offer(&mut self, id: u16, slot: u32) {
        let owner = &mut self.owners[slot as usize];
        if *owner == id {
            return;
        }
        let heir = &mut self.heirs[slot as usize];
        if self.racers.is_before(id, *owner, slot) {
            (*heir, *owner) = (*owner, id);
        } else if *heir != NOBODY && *heir != id && self.racers.is_before(id, *heir, slot) {
            *heir = id;
        }
    }

    /// The same of a node that comes to the slot at that place, where all have one weight: places
    /// are enough to tell who is first, and it is most often neither first nor second.
    fn offer_even(&mut self, id: u16, rank: u32, slot: u32) {
        let owner = &mut self.owners[slot as usize];
        let heir = &mut self.heirs[slot as usize];
        let is_before = |other: u16| {
            let there = self.racers.rank(other, slot);
            rank < there || rank == there && self.racers.order(id) < self.racers.order(other)
        };
        if *owner == id {
            return;
        }
        if is_before(*owner) {
            (*heir, *owner) = (*owner, id);
        } else if *heir != NOBODY && *heir != id && is_before(*heir) {
            *heir = id;
        }
    }

    /// A node that is gone, or has less weight, gives up the place that is its own no longer;
    /// whether it is known whose the slot is.
    fn withdraw(&mut self, id: u16, slot: u32) -> bool {
        let (owner, heir) = (&mut self.owners[slot as usize], &mut self.heirs[slot as usize]);
        if *owner == id {
            if *heir == NOBODY {
                return false;
            }
            let stays = self.racers.weight(id) > 0 && self.racers.is_before(id, *heir, slot);
            if !stays {
                *owner = std::mem::replace(heir, NOBODY);
            }
        } else if *heir == id {
            *heir = NOBODY;
        }
        true
    }
}
