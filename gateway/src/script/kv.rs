//! What scripts keep for all workers: texts, numbers and flags by name, each for a time, within a
//! bound on all of it together. The value that would end first makes room for a new one.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::clock::Tick;

const SHARDS: usize = 16;
/// What an entry takes beside its key and value, about.
const OVERHEAD: usize = 160;
/// Bytes that all entries may take.
pub(super) const BYTES_MAX: usize = 32 << 20;
/// Longest key, in bytes.
pub(super) const KEY_MAX: usize = 1 << 10;
/// Longest value, in bytes.
pub(super) const VALUE_MAX: usize = 256 << 10;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    Text(Arc<[u8]>),
    Number(f64),
    Flag(bool),
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Store {
    shards: [Mutex<Shard>; SHARDS],
    hasher: foldhash::fast::RandomState,
    most: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(BYTES_MAX)
    }
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Arc<[u8]>, Entry, foldhash::fast::RandomState>,
    /// By when they end; the number tells those of one moment apart.
    ends: BTreeMap<(Tick, u64), Arc<[u8]>>,
    bytes: usize,
    number: u64,
}

#[derive(Debug)]
struct Entry {
    value: Kept,
    end: (Tick, u64),
}

impl Store {
    fn new(most: usize) -> Self {
        let shards = [const { None::<()> }; SHARDS].map(|_| Mutex::default());
        Self { shards, hasher: foldhash::fast::RandomState::default(), most: most / SHARDS }
    }

    /// What is kept there.
    pub(super) fn get(&self, key: &[u8], now: Tick) -> Option<Kept> {
        self.shard(key).at(key, now).map(|entry| entry.value.clone())
    }

    /// Keeps a value for so long, in the place of another.
    pub(super) fn set(&self, key: &[u8], value: Kept, ttl: Duration, now: Tick) {
        self.shard(key).put(key, value, now + ttl, now, self.most);
    }

    /// Keeps a value where there is none; whether there was none.
    pub(super) fn add(&self, key: &[u8], value: Kept, ttl: Duration, now: Tick) -> bool {
        let mut shard = self.shard(key);
        let free = shard.at(key, now).is_none();
        if free {
            shard.put(key, value, now + ttl, now, self.most);
        }
        free
    }

    /// Adds to a number, which begins with 0 and ends `ttl` after that; `None` where something
    /// else is kept.
    pub(super) fn increase(&self, key: &[u8], by: f64, ttl: Duration, now: Tick) -> Option<f64> {
        let mut shard = self.shard(key);
        if let Some(entry) = shard.at(key, now) {
            let Kept::Number(number) = &mut entry.value else { return None };
            *number += by;
            return Some(*number);
        }
        shard.put(key, Kept::Number(by), now + ttl, now, self.most);
        Some(by)
    }

    /// Forgets what is kept there; whether there was something.
    pub(super) fn remove(&self, key: &[u8], now: Tick) -> bool {
        let mut shard = self.shard(key);
        let there = shard.at(key, now).is_some();
        shard.take(key);
        there
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        let place = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn at(&mut self, key: &[u8], now: Tick) -> Option<&mut Entry> {
        self.entries.get_mut(key).filter(|entry| entry.end.0 > now)
    }

    fn put(&mut self, key: &[u8], value: Kept, end: Tick, now: Tick, most: usize) {
        self.take(key);
        let size = size(key, &value);
        while let Some((&(soonest, number), _)) = self.ends.first_key_value()
            && (soonest <= now || self.bytes + size > most)
        {
            if let Some(key) = self.ends.remove(&(soonest, number)) {
                self.take(&key);
            }
        }
        if self.bytes + size > most {
            return;
        }
        self.number += 1;
        let (key, end) = (Arc::<[u8]>::from(key), (end, self.number));
        self.ends.insert(end, key.clone());
        self.entries.insert(key, Entry { value, end });
        self.bytes += size;
    }

    fn take(&mut self, key: &[u8]) {
        if let Some(entry) = self.entries.remove(key) {
            self.ends.remove(&entry.end);
            self.bytes -= size(key, &entry.value);
        }
    }
}

fn size(key: &[u8], value: &Kept) -> usize {
    let value = match value {
        Kept::Text(text) => text.len(),
        Kept::Number(_) | Kept::Flag(_) => 0,
    };
    OVERHEAD + key.len() + value
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Tick {
        Tick::ZERO + Duration::from_secs(seconds)
    }

    fn text(text: &str) -> Kept {
        Kept::Text(text.as_bytes().into())
    }

    #[test]
    fn values_last_for_their_time() {
        let store = Store::default();
        store.set(b"a", text("1"), TTL, at(0));
        assert_eq!(store.get(b"a", at(9)), Some(text("1")));
        assert_eq!(store.get(b"a", at(10)), None);
        assert!(store.add(b"a", Kept::Flag(true), TTL, at(10)));
        assert!(!store.add(b"a", Kept::Flag(false), TTL, at(19)));
        assert_eq!(store.get(b"a", at(19)), Some(Kept::Flag(true)));
        assert!(store.remove(b"a", at(19)));
        assert!(!store.remove(b"a", at(19)));
    }

    #[test]
    fn numbers_grow_from_nothing_and_end_when_they_began() {
        let store = Store::default();
        assert_eq!(store.increase(b"n", 2.0, TTL, at(0)), Some(2.0));
        assert_eq!(store.increase(b"n", 1.5, TTL, at(9)), Some(3.5));
        assert_eq!(store.increase(b"n", 1.0, TTL, at(10)), Some(1.0));
        store.set(b"n", text("x"), TTL, at(10));
        assert_eq!(store.increase(b"n", 1.0, TTL, at(11)), None);
    }

    #[test]
    fn it_stays_within_its_bound() {
        let store = Store::new(SHARDS * 4 * (OVERHEAD + 100));
        for number in 0..10_000_u64 {
            let ttl = Duration::from_secs(1_000 + number % 100);
            store.set(format!("k{number}").as_bytes(), text(&"v".repeat(90)), ttl, at(0));
        }
        for shard in &store.shards {
            let shard = shard.lock().unwrap();
            assert!(shard.bytes <= store.most, "{}", shard.bytes);
            assert_eq!((shard.entries.len(), shard.ends.len()), (4, 4));
            let sizes = shard.entries.iter().map(|(key, entry)| size(key, &entry.value));
            assert_eq!(sizes.sum::<usize>(), shard.bytes);
        }
        // What is over goes first.
        store.set(b"new", text("x"), TTL, at(5_000));
        assert_eq!(store.get(b"new", at(5_000)), Some(text("x")));
        store.set(b"large", text(&"v".repeat(5_000)), TTL, at(5_000));
        assert_eq!(store.get(b"large", at(5_000)), None, "it would not fit into all of it");
    }
}
