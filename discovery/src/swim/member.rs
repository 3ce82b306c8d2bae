//! Who a member is, and what one member believes of all the others, in 16 bytes each.

use std::{net::SocketAddr, sync::Arc};

use super::chance::mix;

/// Most bytes in a name.
pub const NAME_BYTES_MAX: usize = 128;
/// Most bytes of metadata that travel with a member.
pub const META_BYTES_MAX: usize = 512;
/// Into how many parts the digest of a view is divided, so that only what differs is compared.
pub(super) const BUCKETS: usize = 64;

/// A member's name as a number: what all messages but the first call it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(crate) u64);

impl Id {
    /// The number of `name`: the same for every version of this code, on every machine.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        Self(mix(name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fold)))
    }
}

/// What a member says of itself. It changes only with the incarnation, and `name` never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the operator calls it; at most [`NAME_BYTES_MAX`] bytes.
    pub name: Box<str>,
    /// The name's number.
    pub id: Id,
    /// When its process started, in milliseconds since 1970: a later one always wins.
    pub generation: u64,
    /// Where it listens.
    pub addr: SocketAddr,
    /// What its operator attached; at most [`META_BYTES_MAX`] bytes.
    pub meta: Box<[u8]>,
}

impl Record {
    /// A record, unless a part is too long, the name is empty or the port is 0.
    #[must_use]
    pub fn new(name: &str, generation: u64, addr: SocketAddr, meta: &[u8]) -> Option<Self> {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && meta.len() <= META_BYTES_MAX;
        (fits && addr.port() != 0).then(|| Self {
            name: name.into(),
            id: Id::of(name),
            generation,
            addr,
            meta: meta.into(),
        })
    }
}

/// What is believed of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It answers.
    Alive,
    /// Somebody got no answer; it still counts as a member and may refute.
    Suspect,
    /// It did not refute in time. It is looked for now and then.
    Dead,
    /// It said that it goes.
    Left,
}

impl State {
    /// Whether it counts as a member.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }
}

/// Where in a table: stable while the member is remembered.
pub(super) type Slot = u32;

#[derive(Debug, Clone)]
struct Entry {
    record: Option<Arc<Record>>,
    incarnation: u32,
    /// The state in 2 bits; above them the position in the list that goes with the state.
    tag: u32,
}

impl Entry {
    const fn state(&self) -> State {
        match self.tag & 3 {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Dead,
            _ => State::Left,
        }
    }

    /// Its part of the digest: nothing unless it lives.
    fn print(&self) -> Option<(usize, u64)> {
        let record = self.record.as_ref().filter(|_| self.state().is_live())?;
        let print = mix(mix(record.id.0 ^ record.generation) ^ u64::from(self.incarnation));
        Some((bucket(record.id), print))
    }
}

/// The part of the digest that `id` belongs to.
pub(super) const fn bucket(id: Id) -> usize {
    (id.0 >> 58) as usize
}

/// A view: what one member believes of all.
#[derive(Debug, Clone)]
pub(super) struct Table {
    entries: Vec<Entry>,
    /// Open addressing by id, linear probing: slot + 1, or 0 for none. A power of two long.
    index: Vec<u32>,
    free: Vec<Slot>,
    live: usize,
    buckets: Box<[u64; BUCKETS]>,
    digest: u64,
}

impl Table {
    pub(super) fn with_capacity(members: usize) -> Self {
        let cells = (members.max(8) * 4 / 3).next_power_of_two();
        Self {
            entries: Vec::with_capacity(members),
            index: vec![0; cells],
            free: Vec::new(),
            live: 0,
            buckets: Box::new([0; BUCKETS]),
            digest: 0,
        }
    }

    /// Members that live, itself among them.
    pub(super) const fn live(&self) -> usize {
        self.live
    }

    /// Slots in use or free: what a slot is less than.
    pub(super) fn slots(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Members known, dead or alive.
    pub(super) fn known(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// The whole view in a number: equal views of the living have equal numbers.
    pub(super) const fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) const fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets
    }

    pub(super) fn find(&self, id: Id) -> Option<Slot> {
        let mask = self.index.len() - 1;
        let mut cell = id.0 as usize & mask;
        loop {
            let slot = self.index[cell].checked_sub(1)?;
            if self.id(slot) == Some(id) {
                return Some(slot);
            }
            cell = (cell + 1) & mask;
        }
    }

    fn id(&self, slot: Slot) -> Option<Id> {
        self.entries[slot as usize].record.as_ref().map(|record| record.id)
    }

    pub(super) fn record(&self, slot: Slot) -> Option<&Arc<Record>> {
        self.entries.get(slot as usize)?.record.as_ref()
    }

    /// `None` for a slot that is free.
    pub(super) fn state(&self, slot: Slot) -> Option<State> {
        let entry = self.entries.get(slot as usize)?;
        entry.record.as_ref().map(|_| entry.state())
    }

    pub(super) fn is_live(&self, slot: Slot) -> bool {
        self.state(slot).is_some_and(State::is_live)
    }

    pub(super) fn incarnation(&self, slot: Slot) -> u32 {
        self.entries[slot as usize].incarnation
    }

    /// Where the slot stands in the list that goes with its state.
    pub(super) fn position(&self, slot: Slot) -> usize {
        (self.entries[slot as usize].tag >> 2) as usize
    }

    pub(super) fn set_position(&mut self, slot: Slot, position: usize) {
        let tag = &mut self.entries[slot as usize].tag;
        *tag = (*tag & 3) | ((position as u32) << 2);
    }

    /// Adds a member that is not known, alive.
    pub(super) fn insert(&mut self, record: Arc<Record>, incarnation: u32) -> Slot {
        if (self.known() + 1) * 5 > self.index.len() * 4 {
            self.grow();
        }
        let id = record.id;
        let entry = Entry { record: None, incarnation, tag: 0 };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(entry.clone());
            self.entries.len() as u32 - 1
        });
        self.entries[slot as usize] = entry;
        self.change(slot, |entry| entry.record = Some(record));
        place(&mut self.index, id, slot);
        slot
    }

    fn grow(&mut self) {
        let mut index = vec![0; self.index.len() * 2];
        for (slot, entry) in self.entries.iter().enumerate() {
            if let Some(record) = &entry.record {
                place(&mut index, record.id, slot as u32);
            }
        }
        self.index = index;
    }

    /// Sets what is believed.
    pub(super) fn set(&mut self, slot: Slot, state: State, incarnation: u32) {
        self.change(slot, |entry| {
            entry.tag = state as u32;
            entry.incarnation = incarnation;
        });
    }

    /// Sets what the member says of itself; the name stays.
    pub(super) fn replace(&mut self, slot: Slot, record: Arc<Record>) {
        self.change(slot, |entry| entry.record = Some(record));
    }

    /// Forgets a member.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(id) = self.id(slot) else { return };
        self.unplace(id, slot);
        self.change(slot, |entry| entry.record = None);
        self.free.push(slot);
    }

    /// Takes `slot` from the index, and moves up what was displaced by it.
    fn unplace(&mut self, id: Id, slot: Slot) {
        let mask = self.index.len() - 1;
        let mut hole = id.0 as usize & mask;
        while self.index[hole] != slot + 1 {
            hole = (hole + 1) & mask;
        }
        let mut cell = hole;
        loop {
            cell = (cell + 1) & mask;
            let Some(other) = self.index[cell].checked_sub(1) else { break };
            let home = self.id(other).map_or(cell, |id| id.0 as usize & mask);
            if cell.wrapping_sub(home) & mask >= cell.wrapping_sub(hole) & mask {
                self.index[hole] = other + 1;
                hole = cell;
            }
        }
        self.index[hole] = 0;
    }

    /// The one door for changes: the digest and the count follow.
    fn change(&mut self, slot: Slot, change: impl FnOnce(&mut Entry)) {
        let entry = &mut self.entries[slot as usize];
        let before = entry.print();
        change(entry);
        let after = entry.print();
        for (bucket, print) in before.into_iter().chain(after) {
            self.buckets[bucket] ^= print;
            self.digest ^= print;
        }
        self.live = self.live + usize::from(after.is_some()) - usize::from(before.is_some());
    }
}

fn place(index: &mut [u32], id: Id, slot: Slot) {
    let mask = index.len() - 1;
    let mut cell = id.0 as usize & mask;
    while index[cell] != 0 {
        cell = (cell + 1) & mask;
    }
    index[cell] = slot + 1;
}

#[cfg(test)]
mod tests;
