//! Rendezvous hashing (Thaler and Ravishankar, 1996) with weights, in constant time.
//!
//! The key space is cut into [`SLOTS`] slots. For each slot every node has a time at which it would
//! come: exponentially distributed, sooner by as much as its weight is greater, and dependent on
//! nothing but the slot and its own name and weight. Who comes first has the slot. So who has it is
//! a function of the set, whatever came and went before, and a change of one node moves only keys
//! from it or to it.
//!
//! What differs from the textbook is how times are drawn: not each by itself, but a node's times
//! for all slots are a permutation of what is to be expected of so many draws. It halves the
//! variance of how much everybody gets, and can be turned round: which slot a node would come to
//! first, second, third is as cheap to say. That makes a table of who has which slot cheap to fill,
//! and cheap to change. Few nodes are asked one by one instead, with the same answers.

use std::collections::HashMap;

use crate::{
    hash::{Node, mix, xxh64},
    table::Table,
};

#[cfg(test)]
mod tests;
mod time;

pub(crate) use time::Time;
use time::{BATCH, soonest};

/// Bits of a slot's number.
pub(crate) const SLOT_BITS: u32 = 21;
/// Slots that the key space is cut into: the same for any set, or a change of their number would
/// move keys. A thousand nodes have two thousand each.
pub const SLOTS: u32 = 1 << SLOT_BITS;
/// Most nodes of a set.
pub const NODES_MAX: usize = 1 << 15;
/// So many are asked one by one.
const FEW: usize = 64;

/// A set of nodes, each with an id: a small number that it keeps for as long as it is in the set,
/// and that another may have later.
#[derive(Debug, Clone, Default)]
pub struct Rendezvous {
    racers: Racers,
    ids: HashMap<Box<str>, u16>,
    free: Vec<u16>,
    /// Where there are more than a few.
    table: Option<Table>,
    /// Whether there is to be none.
    bare: bool,
}

/// What decides who comes when, by id; an array for each part, since all of one are read together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Racers {
    /// Mixed into the slot.
    keys: Vec<u32>,
    /// Odd factors, shifted up so that a product's surplus bits fall off.
    factors: Vec<u32>,
    /// One over the weight; infinite where nobody has the id.
    slowness: Vec<f32>,
    /// 0 where nobody has the id.
    weights: Vec<u32>,
    /// Who is first of two that come at the same time.
    order: Vec<(u64, Box<str>)>,
    /// Whether all have the same weight.
    uniform: bool,
}

/// Too many nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// The slot of a key, by a hash all bits of which are good.
#[must_use]
pub const fn slot(hash: u64) -> u32 {
    (hash >> (64 - SLOT_BITS)) as u32
}

/// Makes of a product what does not rise with it: or those of two nodes could go side by side. Each
/// bit is changed by lower ones only, so that nothing gets lost.
pub(crate) const fn scatter(product: u32) -> u32 {
    product ^ (product << 5) ^ (product << 11)
}

/// What [`scatter`] made that of: each turn makes five more bits right.
const fn gather(scattered: u32) -> u32 {
    let (mut product, mut right) = (scattered, 5);
    while right < SLOT_BITS {
        product = scattered ^ (product << 5) ^ (product << 11);
        right += 5;
    }
    product
}

impl Rendezvous {
    /// The set of these nodes; ids are the places in `nodes`. Of two of one name the later's weight
    /// holds.
    ///
    /// # Errors
    /// There are more than [`NODES_MAX`].
    pub fn new(nodes: &[Node<'_>]) -> Result<Self, TooMany> {
        Self::with(nodes, false)
    }

    /// The same without a table, whose every look-up takes a time proportional to the number of
    /// nodes: for next choices only.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn bare(nodes: &[Node<'_>]) -> Result<Self, TooMany> {
        Self::with(nodes, true)
    }

    fn with(nodes: &[Node<'_>], bare: bool) -> Result<Self, TooMany> {
        let mut this = Self { bare, ..Self::default() };
        for node in nodes {
            match this.ids.get(node.name) {
                Some(id) => this.racers.weigh(*id, node.weight),
                None => {
                    this.enter(*node)?;
                }
            }
        }
        this.racers.compare();
        this.settle();
        Ok(this)
    }

    /// Nodes in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The id of a name, and its weight.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(u16, u32)> {
        self.ids.get(name).map(|id| (*id, self.racers.weight(*id)))
    }

    /// The names, and the ids that they have.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, u16)> {
        self.ids.iter().map(|(name, id)| (&**name, *id))
    }

    /// Who has a slot; `None` only of an empty set.
    #[must_use]
    pub fn first(&self, slot: u32) -> Option<u16> {
        match &self.table {
            Some(table) => Some(table.owner(slot)),
            None => self.first_of(slot, |_| true),
        }
    }

    /// Who would have a slot if only those that `eligible` says were in the set: the next choice
    /// after others have failed, or have enough. Asks it of few, but takes a time proportional to
    /// the number of nodes.
    #[must_use]
    pub fn first_of(&self, slot: u32, eligible: impl FnMut(u16) -> bool) -> Option<u16> {
        self.racers.first(slot, eligible)
    }

    /// Adds a node, or gives one of that name another weight. Its id.
    ///
    /// # Errors
    /// There are [`NODES_MAX`] already.
    pub fn join(&mut self, node: Node<'_>) -> Result<u16, TooMany> {
        if let Some(&id) = self.ids.get(node.name) {
            let before = self.racers.weights[usize::from(id)];
            self.racers.weigh(id, node.weight);
            self.racers.compare();
            match &mut self.table {
                Some(table) if node.weight.max(1) > before => table.claim(&self.racers, id),
                Some(table) => table.yield_from(&self.racers, id, before),
                None => {}
            }
            return Ok(id);
        }
        let id = self.enter(node)?;
        self.racers.compare();
        match &mut self.table {
            Some(table) => table.claim(&self.racers, id),
            None => self.settle(),
        }
        Ok(id)
    }

    /// Takes a node out; the id that it had.
    pub fn leave(&mut self, name: &str) -> Option<u16> {
        let id = self.ids.remove(name)?;
        let before = self.racers.weights[usize::from(id)];
        self.racers.clear(id);
        self.racers.compare();
        self.free.push(id);
        if self.ids.len() * 2 < FEW {
            self.table = None;
        }
        if let Some(table) = &mut self.table {
            table.yield_from(&self.racers, id, before);
        }
        Some(id)
    }

    /// A copy to be changed, for a set that is in use and about to be replaced by it: cheaper than
    /// a clone, and quicker to change than another copy would be, for it takes along what was found
    /// out for changes.
    #[must_use]
    pub fn succeed(&self) -> Self {
        let table = self.table.as_ref().map(Table::succeed);
        let (racers, ids, free) = (self.racers.clone(), self.ids.clone(), self.free.clone());
        Self { racers, ids, free, table, bare: self.bare }
    }

    /// Finds out, of up to `most` slots, who would have them next, so that the next nodes to leave
    /// do so quickly: who leaves makes this unknown of twice as many slots as it had. How many it
    /// looked at: fewer than `most` when there are no more. It takes a time proportional to that
    /// and to the number of nodes, and look-ups do not wait for it. When there are no more it lays
    /// in a copy for [`Self::succeed`].
    pub fn prepare(&self, most: usize) -> usize {
        let Some(table) = &self.table else { return 0 };
        let sought = table.know_heirs(&self.racers, most);
        if sought < most {
            table.lay_in();
        }
        sought
    }

    /// Whether [`Self::prepare`] has anything to do at all: few nodes need nothing.
    #[must_use]
    pub const fn prepares(&self) -> bool {
        self.table.is_some()
    }

    fn enter(&mut self, node: Node<'_>) -> Result<u16, TooMany> {
        if self.free.is_empty() {
            let len = self.racers.weights.len();
            if len >= NODES_MAX {
                return Err(TooMany);
            }
            self.racers.grow();
            // The least is given first.
            self.free.extend((len as u16..(len + BATCH) as u16).rev());
        }
        let Some(id) = self.free.pop() else { return Err(TooMany) };
        self.racers.set(id, node);
        self.ids.insert(node.name.into(), id);
        Ok(id)
    }

    /// Fills a table where one is worth it.
    fn settle(&mut self) {
        if self.table.is_none() && !self.bare && self.ids.len() > FEW {
            self.table = Some(Table::fill(&self.racers));
        }
    }
}

impl Racers {
    /// Room for one more batch of ids, that nobody has yet.
    fn grow(&mut self) {
        let len = self.weights.len() + BATCH;
        self.keys.resize(len, 0);
        self.factors.resize(len, 0);
        self.slowness.resize(len, f32::INFINITY);
        self.weights.resize(len, 0);
        self.order.resize(len, (0, Box::default()));
    }

    fn set(&mut self, id: u16, node: Node<'_>) {
        let index = usize::from(id);
        let seed = xxh64(node.name.as_bytes(), 0);
        let drawn = mix(seed);
        self.keys[index] = (drawn >> 32) as u32 & (SLOTS - 1);
        self.factors[index] = (drawn as u32 | 1) << (32 - SLOT_BITS);
        self.order[index] = (seed, node.name.into());
        self.weigh(id, node.weight);
    }

    fn weigh(&mut self, id: u16, weight: u32) {
        let weight = weight.max(1);
        self.weights[usize::from(id)] = weight;
        self.slowness[usize::from(id)] = 1.0 / weight as f32;
    }

    fn clear(&mut self, id: u16) {
        self.weights[usize::from(id)] = 0;
        self.slowness[usize::from(id)] = f32::INFINITY;
    }

    /// The ids in use.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u16> {
        let used = self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0);
        used.map(|(id, _)| id as u16)
    }

    pub(crate) fn weight(&self, id: u16) -> u32 {
        self.weights[usize::from(id)]
    }

    /// At which place of all its slots a node would come to this one.
    pub(crate) fn rank(&self, id: u16, slot: u32) -> u32 {
        let index = usize::from(id);
        scatter((slot ^ self.keys[index]).wrapping_mul(self.factors[index])) >> (32 - SLOT_BITS)
    }

    /// The slot that it would come to at that place.
    pub(crate) fn slot_at(&self, id: u16, inverse: u32, rank: u32) -> u32 {
        let product = gather(rank << (32 - SLOT_BITS)) >> (32 - SLOT_BITS);
        (product.wrapping_mul(inverse) & (SLOTS - 1)) ^ self.keys[usize::from(id)]
    }

    /// What [`Self::slot_at`] takes: worked out once for many.
    pub(crate) fn inverse(&self, id: u16) -> u32 {
        let factor = self.factors[usize::from(id)] >> (32 - SLOT_BITS);
        // Newton's method: each step doubles the bits that are right, of which an odd number begins
        // with three.
        let step =
            |inverse: u32| inverse.wrapping_mul(2_u32.wrapping_sub(factor.wrapping_mul(inverse)));
        step(step(step(factor)))
    }

    /// Whether `id` comes to the slot before `other`.
    pub(crate) fn is_before(&self, id: u16, other: u16, slot: u32) -> bool {
        let (here, there) = (self.rank(id, slot), self.rank(other, slot));
        let (weight, other_weight) = (self.weight(id), self.weight(other));
        if weight == other_weight && here != there {
            return here < there;
        }
        if weight != other_weight {
            if Time::surely_before((here, weight), (there, other_weight)) {
                return true;
            }
            if Time::surely_before((there, other_weight), (here, weight)) {
                return false;
            }
        }
        let (here, there) = (Time::of(here, weight), Time::of(there, other_weight));
        here < there || here == there && self.order(id) < self.order(other)
    }

    /// Who is first of two that come at the same time.
    pub(crate) fn order(&self, id: u16) -> &(u64, Box<str>) {
        &self.order[usize::from(id)]
    }

    /// Whether all have the same weight.
    pub(crate) const fn is_uniform(&self) -> bool {
        self.uniform
    }

    /// Takes note of what the weights have in common. To be called after they have changed.
    fn compare(&mut self) {
        let mut weights = self.weights.iter().filter(|weight| **weight > 0);
        let first = weights.next();
        self.uniform = weights.all(|weight| Some(weight) == first);
    }

    /// Who comes first to a slot of those eligible.
    pub(crate) fn first(&self, slot: u32, mut eligible: impl FnMut(u16) -> bool) -> Option<u16> {
        let mut first: Option<(u16, Time)> = None;
        let mut bound = f32::INFINITY;
        let (keys, _) = self.keys.as_chunks::<BATCH>();
        let (factors, _) = self.factors.as_chunks::<BATCH>();
        let (slowness, _) = self.slowness.as_chunks::<BATCH>();
        let batches = keys.iter().zip(factors).zip(slowness);
        for (batch, ((keys, factors), slowness)) in batches.enumerate() {
            // A look at all of a batch at once, then at each only if one of it may be first.
            if soonest(slot, keys, factors, slowness) > bound {
                continue;
            }
            for (offset, slowness) in slowness.iter().enumerate() {
                let id = (batch * BATCH + offset) as u16;
                let (rank, weight) = (self.rank(id, slot), self.weight(id));
                let least = Time::least(rank, *slowness);
                if least.bound() > bound || weight == 0 {
                    continue;
                }
                let time = if self.uniform { least } else { Time::of(rank, weight) };
                let sooner = first.is_none_or(|(other, best)| {
                    time < best || time == best && self.order(id) < self.order(other)
                });
                if sooner && eligible(id) {
                    bound = time.bound();
                    first = Some((id, time));
                }
            }
        }
        first.map(|(id, _)| id)
    }
}
