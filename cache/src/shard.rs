//! One shard: a SIEVE queue within a budget, and the indexes of what is in it. It lives behind the
//! shard's lock; hits never come here.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::BuildHasher,
    ops::Bound,
    sync::Arc,
};

use foldhash::quality::FixedState;

use crate::{
    entry::{Entry, Key},
    ghost::Ghost,
    purges::Selector,
    sieve::{Sieve, Slot, Verdict},
    store::Admission,
    tags::TagIndex,
    time::Time,
};

/// Entries in the order of their eviction and their indexes.
#[derive(Debug)]
pub(crate) struct Shard<V> {
    capacity: u64,
    admission: Admission,
    sieve: Sieve<Arc<Entry<V>>>,
    /// Keys of what left while on probation, and of what was too heavy for a stranger.
    ghost: Ghost,
    /// For the purge of names and prefixes.
    keys: BTreeMap<Key, Slot>,
    /// What does expire, the soonest first.
    expiries: BTreeSet<(Time, Slot)>,
    tags: TagIndex,
    /// How many entries had to leave for others before they expired.
    evicted: u64,
}

/// What came of an attempt to make room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is room.
    Made,
    /// The steps ran out: let others have the lock, then go on.
    Unfinished,
}

impl<V> Shard<V> {
    pub(crate) fn new(capacity: u64, admission: Admission) -> Self {
        Self {
            capacity,
            admission,
            sieve: Sieve::new(),
            ghost: Ghost::default(),
            keys: BTreeMap::new(),
            expiries: BTreeSet::new(),
            tags: TagIndex::default(),
            evicted: 0,
        }
    }

    /// The entries that weigh more than that.
    pub(crate) fn heavier_than(&self, weight: u64) -> Vec<Slot> {
        let slots = self.keys.values().copied();
        slots.filter(|slot| self.at(*slot).is_some_and(|entry| entry.weight() > weight)).collect()
    }

    pub(crate) const fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    /// Takes all entries out, the oldest of a queue first, and tells which are on probation.
    pub(crate) fn drain(&mut self) -> Vec<(Arc<Entry<V>>, bool)> {
        let evicted = self.evicted;
        let entries = self.sieve.drain();
        *self = Self { evicted, ..Self::new(self.capacity, self.admission) };
        entries
    }

    pub(crate) const fn weight(&self) -> u64 {
        self.sieve.weight()
    }

    pub(crate) const fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(crate) const fn len(&self) -> usize {
        self.sieve.len()
    }

    /// Evicts until `weight` more fit: first what has expired, then as SIEVE says. Looks at no more
    /// than `steps` entries. Each entry that leaves goes to `gone`.
    pub(crate) fn make_room(
        &mut self,
        weight: u64,
        now: Time,
        mut steps: usize,
        hasher: &FixedState,
        mut gone: impl FnMut(&Entry<V>),
    ) -> Room {
        while self.sieve.weight() + weight > self.capacity && !self.sieve.is_empty() {
            if let Some(slot) = self.expired(now) {
                if steps == 0 {
                    return Room::Unfinished;
                }
                steps -= 1;
                self.remove(slot, hasher, &mut gone);
                continue;
            }
            let entry = if self.is_probation_full() {
                if steps == 0 {
                    return Room::Unfinished;
                }
                steps -= 1;
                match self.sieve.judge() {
                    Some(Verdict::Leaves(entry)) => {
                        let known = self.sieve.main_len();
                        self.ghost.remember(hasher.hash_one(entry.key()), known);
                        entry
                    }
                    Some(Verdict::Stays) | None => continue,
                }
            } else {
                let Some(entry) = self.sieve.evict(&mut steps) else { return Room::Unfinished };
                entry
            };
            self.evicted += 1;
            self.forget(&entry, hasher);
            gone(&entry);
        }
        Room::Made
    }

    /// Whether the next to leave is one on probation.
    fn is_probation_full(&self) -> bool {
        let share = u64::from(self.admission.probation) * self.capacity / 100;
        self.sieve.probation_weight() > share || self.sieve.main_len() == 0
    }

    /// Whether a new entry may come in; one that may not is remembered, and may the next time.
    pub(crate) fn admits(&mut self, entry: &Entry<V>, hasher: &FixedState) -> bool {
        let heavy = self.weight() / (self.len() as u64).max(1) * u64::from(self.admission.heavy);
        if heavy == 0 || entry.weight() <= heavy || self.weight() + entry.weight() <= self.capacity
        {
            return true;
        }
        let hash = hasher.hash_one(entry.key());
        let is_known = self.ghost.forget(hash);
        if !is_known {
            self.ghost.remember(hash, self.len());
        }
        is_known
    }

    /// Evicts what the hand points at, whether it was visited or not.
    pub(crate) fn evict_at_hand(&mut self, hasher: &FixedState, gone: impl FnOnce(&Entry<V>)) {
        if let Some(entry) = self.sieve.evict_at_hand() {
            self.evicted += 1;
            self.forget(&entry, hasher);
            gone(&entry);
        }
    }

    /// Puts a new entry in. There must be room and none of this key.
    pub(crate) fn insert(
        &mut self,
        entry: Arc<Entry<V>>,
        hasher: &FixedState,
    ) -> Option<Arc<Entry<V>>> {
        let on_probation =
            self.admission.probation > 0 && !self.ghost.forget(hasher.hash_one(entry.key()));
        self.insert_into(entry, on_probation, hasher)
    }

    /// As [`Self::insert`] does, to the queue on probation or to the other.
    pub(crate) fn insert_into(
        &mut self,
        entry: Arc<Entry<V>>,
        on_probation: bool,
        hasher: &FixedState,
    ) -> Option<Arc<Entry<V>>> {
        let slot = self.sieve.next_slot()?;
        entry.place(slot);
        let (queued, weight) = (Arc::clone(&entry), entry.weight());
        match on_probation {
            true => self.sieve.insert_on_probation(queued, weight).ok()?,
            false => self.sieve.insert(queued, weight).ok()?,
        };
        self.keys.insert(entry.key().clone(), slot);
        self.index(&entry, hasher);
        Some(entry)
    }

    /// Puts an entry in the place of `before`, which has the same key.
    pub(crate) fn replace(
        &mut self,
        before: &Entry<V>,
        entry: Arc<Entry<V>>,
        hasher: &FixedState,
    ) -> Option<Arc<Entry<V>>> {
        entry.place(before.slot());
        self.sieve.replace(entry.slot(), Arc::clone(&entry), entry.weight()).ok()?;
        self.expiries.remove(&(before.expires(), before.slot()));
        self.tags.remove(before.slot(), before.tags(), hasher);
        self.index(&entry, hasher);
        Some(entry)
    }

    /// Removes the entry in `slot`, if there is one; it goes to `gone`.
    pub(crate) fn remove(&mut self, slot: Slot, hasher: &FixedState, gone: impl FnOnce(&Entry<V>)) {
        if let Some(entry) = self.sieve.remove(slot) {
            self.forget(&entry, hasher);
            gone(&entry);
        }
    }

    /// The slots of what `what` means.
    pub(crate) fn find(&self, what: Selector<'_>, hasher: &FixedState) -> Vec<Slot> {
        let meant = |entry: &Entry<V>| what.matches(entry);
        let (Selector::Name(start) | Selector::Prefix(start)) = what else {
            let Selector::Tag(tag) = what else { return self.keys.values().copied().collect() };
            let found = self.tags.find(tag, hasher);
            return found.filter(|slot| self.at(*slot).is_some_and(meant)).collect();
        };
        // A name's keys follow on each other: nothing sorts between it and itself with a NUL.
        let from = (Bound::Included(start), Bound::Unbounded);
        let found = self.keys.range::<[u8], _>(from);
        let found = found.map(|(_, slot)| *slot);
        found.take_while(|slot| self.at(*slot).is_some_and(meant)).collect()
    }

    /// The entry that expired first, if one has.
    pub(crate) fn expired(&self, now: Time) -> Option<Slot> {
        self.expiries.first().filter(|(expires, _)| *expires <= now).map(|(_, slot)| *slot)
    }

    /// The entry in `slot`.
    pub(crate) fn at(&self, slot: Slot) -> Option<&Entry<V>> {
        self.sieve.at(slot).map(AsRef::as_ref)
    }

    fn index(&mut self, entry: &Entry<V>, hasher: &FixedState) {
        if entry.expires() != Time::NEVER {
            self.expiries.insert((entry.expires(), entry.slot()));
        }
        self.tags.add(entry.slot(), entry.tags(), hasher);
    }

    fn forget(&mut self, entry: &Entry<V>, hasher: &FixedState) {
        self.keys.remove(entry.key());
        self.expiries.remove(&(entry.expires(), entry.slot()));
        self.tags.remove(entry.slot(), entry.tags(), hasher);
    }

    /// Whether the indexes hold what the queue holds and nothing else.
    #[cfg(test)]
    pub(crate) fn is_consistent(&self, hasher: &FixedState) -> bool {
        let of_key = |(key, slot): (&Key, &Slot)| self.at(*slot).is_some_and(|e| e.key() == key);
        let expiring = self.keys.values().filter(|slot| {
            self.at(**slot).is_some_and(|entry| {
                let tagged = entry
                    .tags()
                    .all(|tag| self.tags.find(tag, hasher).any(|other| other == **slot));
                assert!(tagged);
                entry.expires() != Time::NEVER
            })
        });
        self.keys.len() == self.len()
            && self.keys.iter().all(of_key)
            && expiring.count() == self.expiries.len()
            && (self.len() > 0 || self.tags.is_empty())
            && self.weight() <= self.capacity
    }
}
