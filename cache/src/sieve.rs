//! SIEVE, exactly (Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024).
//!
//! One queue in order of insertion and one hand. A new object enters at the head, not visited. A
//! hit sets the object's bit and moves nothing. To evict, the hand walks from the tail towards the
//! head: it clears the bits it meets and takes the first object whose bit is clear; the next
//! eviction goes on from there. An object that leaves for another reason hands the hand on to its
//! newer neighbour: the hand is never reset.
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
    /// Nothing in a vacant node.
    object: Option<T>,
}

/// The queue and its hand.
#[derive(Debug)]
pub struct Sieve<T> {
    nodes: Vec<Node<T>>,
    vacant: u32,
    head: u32,
    tail: u32,
    /// The object to look at next; none stands for the tail.
    hand: u32,
    len: usize,
    weight: u64,
}

impl<T: Marked> Sieve<T> {
    /// An empty queue. Takes memory as it fills.
    pub const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            vacant: NONE,
            head: NONE,
            tail: NONE,
            hand: NONE,
            len: 0,
            weight: 0,
        }
    }

    /// How many objects there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The sum of all weights.
    pub const fn weight(&self) -> u64 {
        self.weight
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
        let Some(Slot(slot)) = self.next_slot() else { return Err(object) };
        let node = Node { newer: NONE, older: self.head, weight, object: Some(object) };
        if self.vacant == NONE {
            self.nodes.push(node);
        } else {
            self.vacant = self.node(slot).older;
            *self.node_mut(slot) = node;
        }
        match self.head {
            NONE => self.tail = slot,
            head => self.node_mut(head).newer = slot,
        }
        self.head = slot;
        self.len += 1;
        self.weight += weight;
        Ok(Slot(slot))
    }

    /// Puts `object` in the place of another, which it gives back. That counts as a visit: whoever
    /// writes an object again has a use for it. Nothing happens, and `object` comes back, if the
    /// slot is vacant.
    pub fn replace(&mut self, slot: Slot, object: T, weight: u64) -> Result<T, T> {
        let Some(node) = self.nodes.get_mut(slot.0 as usize) else { return Err(object) };
        let Some(current) = &mut node.object else { return Err(object) };
        object.mark().set();
        let before = std::mem::replace(current, object);
        self.weight = self.weight - node.weight + weight;
        node.weight = weight;
        Ok(before)
    }

    /// Takes the object out of `slot`. The hand, if it is there, moves on to the next newer one.
    pub fn remove(&mut self, slot: Slot) -> Option<T> {
        let Slot(slot) = slot;
        let node = self.nodes.get_mut(slot as usize)?;
        let object = node.object.take()?;
        let (newer, older, weight) = (node.newer, node.older, node.weight);
        node.older = self.vacant;
        self.vacant = slot;
        match newer {
            NONE => self.head = older,
            newer => self.node_mut(newer).older = older,
        }
        match older {
            NONE => self.tail = newer,
            older => self.node_mut(older).newer = newer,
        }
        if self.hand == slot {
            self.hand = newer;
        }
        self.len -= 1;
        self.weight -= weight;
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

    /// Evicts the object at the hand whatever its bit says.
    pub fn evict_at_hand(&mut self) -> Option<T> {
        let slot = self.pointed()?;
        self.hand = slot;
        self.remove(Slot(slot))
    }

    /// Takes all objects out, the oldest first. The hand is at the tail again.
    pub fn drain(&mut self) -> Vec<T> {
        let mut all = Vec::with_capacity(self.len);
        let mut at = self.tail;
        while at != NONE {
            let node = self.node_mut(at);
            at = node.newer;
            all.extend(node.object.take());
        }
        *self = Self::new();
        all
    }

    /// Where the hand points, if anywhere.
    const fn pointed(&self) -> Option<u32> {
        match (self.hand, self.tail) {
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
