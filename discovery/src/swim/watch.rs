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
    /// The rings on which it stands before this one, a bit each.
    rings: u8,
    pub(super) slot: Slot,
    pub(super) arrivals: Arrivals,
    /// When the silence is long enough to suspect it.
    pub(super) deadline_us: u64,
    /// The last round trip, or 0.
    pub(super) trip_us: u64,
}

/// The members that this one watches.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    own: Id,
    rings: u8,
    pub(super) edges: Vec<Edge>,
    /// Per ring the distance from the watched member to this one.
    distances: Vec<u64>,
    period_us: u64,
}

fn key(id: Id, ring: u8) -> u64 {
    mix(id.0 ^ (u64::from(ring) + 1).wrapping_mul(0xa076_1d64_78bd_642f))
}

impl Watch {
    pub(super) fn new(own: Id, rings: usize, period_us: u64) -> Self {
        let distances = vec![u64::MAX; rings];
        Self { own, rings: rings as u8, edges: Vec::with_capacity(rings), distances, period_us }
    }

    fn distance(&self, id: Id, ring: u8) -> u64 {
        key(self.own, ring).wrapping_sub(key(id, ring))
    }

    /// A member came to life: it may stand before this one now.
    pub(super) fn came(&mut self, slot: Slot, id: Id, now_us: u64) {
        for ring in 0..self.rings {
            let distance = self.distance(id, ring);
            if id != self.own && distance < self.distances[usize::from(ring)] {
                self.assign(ring, slot, distance, now_us);
            }
        }
    }

    /// A member died or left. Whoever watched it looks for the next one, through the whole view:
    /// a few members per death do.
    pub(super) fn went(&mut self, slot: Slot, table: &Table, now_us: u64) {
        let Some(at) = self.edges.iter().position(|edge| edge.slot == slot) else { return };
        let rings = self.edges.swap_remove(at).rings;
        for ring in (0..self.rings).filter(|ring| rings & (1 << ring) != 0) {
            self.distances[usize::from(ring)] = u64::MAX;
            let live = (0..table.slots()).filter(|other| table.is_live(*other));
            let ids = live.filter_map(|other| Some((other, table.record(other)?.id)));
            let nearest = ids
                .filter(|(_, id)| *id != self.own)
                .map(|(other, id)| (self.distance(id, ring), other))
                .min();
            if let Some((distance, other)) = nearest {
                self.assign(ring, other, distance, now_us);
            }
        }
    }

    fn assign(&mut self, ring: u8, slot: Slot, distance: u64, now_us: u64) {
        self.distances[usize::from(ring)] = distance;
        for edge in &mut self.edges {
            edge.rings &= !(1 << ring);
        }
        self.edges.retain(|edge| edge.rings != 0);
        match self.edges.iter_mut().find(|edge| edge.slot == slot) {
            Some(edge) => edge.rings |= 1 << ring,
            None => self.edges.push(Edge {
                rings: 1 << ring,
                slot,
                arrivals: Arrivals::new(self.period_us, now_us),
                deadline_us: now_us + 4 * self.period_us,
                trip_us: 0,
            }),
        }
    }

    /// The edge to `slot`, if this member watches it.
    pub(super) fn edge(&mut self, slot: Slot) -> Option<&mut Edge> {
        self.edges.iter_mut().find(|edge| edge.slot == slot)
    }
}
