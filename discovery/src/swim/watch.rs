//! Who watches whom: on each of a few rings, in an order that all members compute alike, everybody
//! watches the one before it. So each member is heard by the same few others once a period, which a
//! random probe cannot give: it comes by once in as many periods as there are members.

use super::{
    chance::mix,
    member::{Id, Slot, Table},
};
use crate::phi::Arrivals;

/// A member that this one watches.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) slot: Slot,
    pub(super) arrivals: Arrivals,
    /// When the silence is long enough to suspect it.
    pub(super) deadline_us: u64,
    /// The last round trip, or 0.
    pub(super) trip_us: u64,
}

/// The members that this one watches: another one on each ring, as far as there are so many.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    own: Id,
    /// Per ring the members right before this one, the nearest first; never a gap between them.
    before: Vec<Vec<(u64, Slot)>>,
    pub(super) edges: Vec<Edge>,
    period_us: u64,
}

impl Watch {
    /// A member that watches one other on each of so many rings: those of `table`, to begin with.
    pub(super) fn new(own: Id, rings: usize, table: &Table, period_us: u64, now_us: u64) -> Self {
        let edges = Vec::with_capacity(rings);
        let mut watch = Self { own, before: vec![Vec::new(); rings], edges, period_us };
        (0..rings).for_each(|ring| watch.search(ring, table));
        watch.choose(table, now_us);
        watch
    }

    fn distance(&self, id: Id, ring: usize) -> u64 {
        let key = |id: Id| mix(id.0 ^ (ring as u64 + 1).wrapping_mul(0xa076_1d64_78bd_642f));
        key(self.own).wrapping_sub(key(id))
    }

    /// Finds the members before this one on `ring`, through the whole view.
    fn search(&mut self, ring: usize, table: &Table) {
        let most = self.before.len();
        let mut before: Vec<(u64, Slot)> = Vec::with_capacity(most + 1);
        for slot in (0..table.slots()).filter(|slot| table.is_live(*slot)) {
            let Some(id) = table.record(slot).map(|record| record.id) else { continue };
            let place = (self.distance(id, ring), slot);
            if id != self.own && (before.len() < most || before.last() > Some(&place)) {
                before.insert(before.partition_point(|other| *other < place), place);
                before.truncate(most);
            }
        }
        self.before[ring] = before;
    }

    /// A member came to life: it may stand before this one now.
    pub(super) fn came(&mut self, slot: Slot, id: Id, table: &Table, now_us: u64) {
        if id == self.own {
            return;
        }
        let most = self.before.len();
        let mut nearer = false;
        for ring in 0..self.before.len() {
            let place = (self.distance(id, ring), slot);
            let before = &mut self.before[ring];
            // Beyond the last known there may be others, nearer, that were not looked for.
            if before.last() > Some(&place) || before.is_empty() {
                before.insert(before.partition_point(|other| *other < place), place);
                before.truncate(most);
                nearer = true;
            }
        }
        if nearer || self.edges.len() < self.before.len() {
            self.choose(table, now_us);
        }
    }

    /// A member died or left. Whoever watched it takes the next one, and seldom has to look for it
    /// through the whole view.
    pub(super) fn went(&mut self, slot: Slot, table: &Table, now_us: u64) {
        for before in &mut self.before {
            before.retain(|(_, other)| *other != slot);
        }
        if self.edges.iter().any(|edge| edge.slot == slot) {
            self.choose(table, now_us);
        }
    }

    /// On each ring the nearest that no ring before it has.
    fn choose(&mut self, table: &Table, now_us: u64) {
        let mut chosen: Vec<Slot> = Vec::with_capacity(self.before.len());
        for ring in 0..self.before.len() {
            let free = |places: &[(u64, Slot)]| {
                places.iter().map(|(_, slot)| *slot).find(|slot| !chosen.contains(slot))
            };
            let found = free(&self.before[ring]).or_else(|| {
                self.search(ring, table);
                free(&self.before[ring])
            });
            chosen.extend(found);
        }
        self.edges.retain(|edge| chosen.contains(&edge.slot));
        for slot in chosen {
            if self.edge(slot).is_none() {
                self.edges.push(Edge {
                    slot,
                    arrivals: Arrivals::new(self.period_us, now_us),
                    deadline_us: now_us + 4 * self.period_us,
                    trip_us: 0,
                });
            }
        }
    }

    /// The edge to `slot`, if this member watches it.
    pub(super) fn edge(&mut self, slot: Slot) -> Option<&mut Edge> {
        self.edges.iter_mut().find(|edge| edge.slot == slot)
    }
}

#[cfg(test)]
mod tests;
