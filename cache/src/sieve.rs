//! SIEVE, exactly (Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024).
//!
//! One queue in order of insertion and one hand. A new object enters at the head, not visited. A
//! hit sets the object's bit and moves nothing. To evict, the hand walks from the tail towards the
//! head: it clears the bits it meets and takes the first object whose bit is clear; the next
//! eviction goes on from there. An object that leaves for another reason hands the hand on to its
//! newer neighbour: the hand is never reset.
//!
//! Beside it there may be a second queue, on probation, in the manner of S3-FIFO (Yang et al.,
//! "FIFO Queues are All You Need for Cache Eviction", SOSP 2023): what is put there and not visited
//! before it comes to the tail leaves without having been in the way of anything else. Who puts
//! nothing there has SIEVE and nothing else.
//!
//! This is the order alone. Who holds what under which key is for `shard`; the bits lie in the
//! objects, so that a reader can set one without the lock that guards the queue.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The visited bit of an object.
#[derive(Debug, Default)]
pub struct Mark(AtomicBool);

impl Mark {
    /// Notes a visit. Writes only if the bit is clear, so that an object hit again and again stays
    /// in the caches of all cores.
    pub fn set(&self) {
        if !self.0.load(Relaxed) {
            self.0.store(true, Relaxed);
        }
    }

    /// Whether the object was visited since its bit was last cleared.
    pub fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Clears the bit and tells what it was. A visit that comes between is one the hand was too
    /// early for: it may be lost.
    fn take(&self) -> bool {
        let set = self.is_set();
        if set {
            self.0.store(false, Relaxed);
        }
        set
    }
}

/// What can stand in the queue: it carries its visited bit.
pub trait Marked {
    /// The visited bit.
    fn mark(&self) -> &Mark;
}

/// The place of an object in the queue. Valid until that object leaves; the number may then be
/// given to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

impl Slot {
    /// The first of all slots, as the start of a range.
    pub const MIN: Self = Self(0);
    /// After the last of all slots, as the end of a range.
    pub const MAX: Self = Self(u32::MAX);
}

impl Slot {
    pub(crate) const fn index(self) -> u32 {
        self.0
    }

    pub(crate) const fn at(index: u32) -> Self {
        Self(index)
    }
}

/// No slot.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Node<T> {
    /// Towards the head.
    newer: u32,
    /// Towards the tail; in a vacant node the next vacant one.
    older: u32,
    weight: u64,
    /// Whether it is in the queue on probation.
    on_probation: bool,
    /// Nothing in a vacant node.
    object: Option<T>,
}

/// One of the queues.
#[derive(Debug)]
struct Queue {
    head: u32,
    tail: u32,
    len: usize,
    weight: u64,
}

impl Queue {
    const EMPTY: Self = Self { head: NONE, tail: NONE, len: 0, weight: 0 };
}

/// What became of the oldest on probation.
#[derive(Debug)]
pub enum Verdict<T> {
    /// It was visited: it is in the main queue now.
    Stays,
    /// It was not.
    Leaves(T),
}

/// The queues and the hand.
#[derive(Debug)]
pub struct Sieve<T> {
    nodes: Vec<Node<T>>,
    vacant: u32,
    main: Queue,
    probation: Queue,
    /// The object to look at next; none stands for the tail.
    hand: u32,
}

impl<T: Marked> Sieve<T> {
    /// An empty queue. Takes memory as it fills.
    pub const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            vacant: NONE,
            main: Queue::EMPTY,
            probation: Queue::EMPTY,
            hand: NONE,
        }
    }

    /// How many objects there are.
    pub const fn len(&self) -> usize {
        self.main.len + self.probation.len
    }

    /// How many are not on probation.
    pub const fn main_len(&self) -> usize {
        self.main.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sum of all weights.
    pub const fn weight(&self) -> u64 {
        self.main.weight + self.probation.weight
    }

    /// The sum of the weights of those on probation.
    pub const fn probation_weight(&self) -> u64 {
        self.probation.weight
    }

    /// The object in `slot`, if there is one.
    pub fn at(&self, slot: Slot) -> Option<&T> {
        self.nodes.get(slot.0 as usize)?.object.as_ref()
    }

    /// The slot that the next insertion will take; none when all are taken.
    pub fn next_slot(&self) -> Option<Slot> {
        match self.vacant {
            NONE if self.nodes.len() >= NONE as usize => None,
            NONE => Some(Slot(self.nodes.len() as u32)),
            vacant => Some(Slot(vacant)),
        }
    }

    /// Puts `object` at the head. Evicts nothing. Gives it back when all of the 4,294,967,295 slots
    /// are taken.
    pub fn insert(&mut self, object: T, weight: u64) -> Result<Slot, T> {
        self.insert_into(object, weight, false)
    }

    /// As [`Sieve::insert`] does, but to the queue on probation.
    pub fn insert_on_probation(&mut self, object: T, weight: u64) -> Result<Slot, T> {
        self.insert_into(object, weight, true)
    }

    fn insert_into(&mut self, object: T, weight: u64, on_probation: bool) -> Result<Slot, T> {
        let Some(Slot(slot)) = self.next_slot() else { return Err(object) };
        let object = Some(object);
        let node = Node { newer: NONE, older: NONE, weight, on_probation, object };
        if self.vacant == NONE {
            self.nodes.push(node);
        } else {
            self.vacant = self.node(slot).older;
            *self.node_mut(slot) = node;
        }
        self.link(slot, on_probation);
        Ok(Slot(slot))
    }

    const fn queue(&mut self, on_probation: bool) -> &mut Queue {
        if on_probation { &mut self.probation } else { &mut self.main }
    }

    /// Puts a node at the head of a queue.
    fn link(&mut self, slot: u32, on_probation: bool) {
        let weight = self.node(slot).weight;
        let queue = self.queue(on_probation);
        let head = std::mem::replace(&mut queue.head, slot);
        queue.len += 1;
        queue.weight += weight;
        match head {
            NONE => queue.tail = slot,
            head => self.node_mut(head).newer = slot,
        }
        let node = self.node_mut(slot);
        (node.newer, node.older, node.on_probation) = (NONE, head, on_probation);
    }

    /// Takes a node out of its queue. The hand, if it is there, moves on to the next newer one.
    fn unlink(&mut self, slot: u32) {
        let &Node { newer, older, weight, on_probation, .. } = self.node(slot);
        match newer {
            NONE => self.queue(on_probation).head = older,
            newer => self.node_mut(newer).older = older,
        }
        match older {
            NONE => self.queue(on_probation).tail = newer,
            older => self.node_mut(older).newer = newer,
        }
        if self.hand == slot {
            self.hand = newer;
        }
        let queue = self.queue(on_probation);
        queue.len -= 1;
        queue.weight -= weight;
    }

    /// Puts `object` in the place of another, which it gives back. That counts as a visit: whoever
    /// writes an object again has a use for it. Nothing happens, and `object` comes back, if the
    /// slot is vacant.
    pub fn replace(&mut self, slot: Slot, object: T, weight: u64) -> Result<T, T> {
        let Some(node) = self.nodes.get_mut(slot.0 as usize) else { return Err(object) };
        let Some(current) = &mut node.object else { return Err(object) };
        object.mark().set();
        let before = std::mem::replace(current, object);
        let lighter = std::mem::replace(&mut node.weight, weight);
        let on_probation = node.on_probation;
        let queue = self.queue(on_probation);
        queue.weight = queue.weight - lighter + weight;
        Ok(before)
    }

    /// Takes the object out of `slot`. The hand, if it is there, moves on to the next newer one.
    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        let Slot(slot) = slot;
        let object = self.nodes.get_mut(slot as usize)?.object.take()?;
        self.unlink(slot);
        self.node_mut(slot).older = self.vacant;
        self.vacant = slot;
        Some(object)
    }

    /// Evicts one object, looking at no more than `steps` of them; takes what it looked at off
    /// `steps`. Nothing comes when the queue is empty or the steps ran out: the hand then stays
    /// where it got to and a later call goes on from there.
    pub fn evict(&mut self, steps: &mut usize) -> Option<T> {
        while *steps > 0 {
            *steps -= 1;
            let slot = self.pointed()?;
            let node = self.node(slot);
            if !node.object.as_ref()?.mark().take() {
                return self.evict_at_hand();
            }
            self.hand = node.newer;
        }
        None
    }

    /// Looks at the oldest object on probation, if there is one.
    pub fn judge(&mut self) -> Option<Verdict<T>> {
        let slot = self.probation.tail;
        let node = self.nodes.get(slot as usize)?;
        if node.object.as_ref()?.mark().take() {
            self.unlink(slot);
            self.link(slot, false);
            return Some(Verdict::Stays);
        }
        self.remove(Slot(slot)).map(Verdict::Leaves)
    }

    /// Evicts the object at the hand whatever its bit says, or the oldest on probation if there is
    /// none but those.
    pub fn evict_at_hand(&mut self) -> Option<T> {
        let Some(slot) = self.pointed() else { return self.remove(Slot(self.probation.tail)) };
        self.hand = slot;
        self.remove(Slot(slot))
    }

    /// Takes all objects out of a queue, the oldest first, and tells which are on probation. The
    /// hand is at the tail again.
    pub fn drain(&mut self) -> Vec<(T, bool)> {
        let mut all = Vec::with_capacity(self.len());
        for mut at in [self.main.tail, self.probation.tail] {
            while at != NONE {
                let node = self.node_mut(at);
                at = node.newer;
                let on_probation = node.on_probation;
                all.extend(node.object.take().map(|object| (object, on_probation)));
            }
        }
        *self = Self::new();
        all
    }

    /// Where the hand points, if anywhere.
    const fn pointed(&self) -> Option<u32> {
        match (self.hand, self.main.tail) {
            (NONE, NONE) => None,
            (NONE, tail) => Some(tail),
            (hand, _) => Some(hand),
        }
    }

    // Links are kept inside `nodes` by insert and remove, the only ones to write them.
    fn node(&self, slot: u32) -> &Node<T> {
        &self.nodes[slot as usize]
    }

    fn node_mut(&mut self, slot: u32) -> &mut Node<T> {
        &mut self.nodes[slot as usize]
    }
}

impl<T: Marked> Default for Sieve<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
