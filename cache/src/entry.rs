//! What the store holds: a value under a key, with what is needed to bound it, to date it and to
//! find it again.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
};

use crate::{
    sieve::{Mark, Marked, Slot},
    time::Time,
};

/// What an entry weighs beside its value, key and tags, in bytes: the entry itself, its place in
/// the map, in the queue and in the two trees, and what the allocator rounds up.
pub const ENTRY_OVERHEAD: u64 = 448;

/// What a tag weighs beside its own bytes.
pub const TAG_OVERHEAD: u64 = 64;

/// The bytes an entry is found by. The part before the first NUL byte is its name: entries of one
/// name lie in one shard and can be purged together ([`crate::purges::Selector::Name`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// All bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes before the first NUL, or all of them.
    pub fn name(&self) -> &[u8] {
        name_of(&self.0)
    }
}

/// The name in the bytes of a key.
fn name_of(key: &[u8]) -> &[u8] {
    key.split(|byte| *byte == 0).next().unwrap_or(key)
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// As its bytes hash, for it is looked up by them.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// What is to be stored under a key.
#[derive(Debug, Clone)]
pub struct Fill<V> {
    /// The value.
    pub value: V,
    /// What the value weighs: bytes, or units of whatever kind the store's capacity is in.
    pub weight: u64,
    /// From then on the entry is of no use to anybody: it is not found any more and is the first to
    /// be evicted.
    pub expires: Time,
    /// Names of groups that it can be purged by.
    pub tags: Vec<Box<[u8]>>,
}

/// A stored value.
#[derive(Debug)]
pub struct Entry<V> {
    key: Key,
    value: V,
    expires: Time,
    weight: u64,
    tags: Box<[Box<[u8]>]>,
    /// Its place in the queue of its shard: it changes under that one's lock alone.
    slot: AtomicU32,
    mark: Mark,
    outdated: AtomicBool,
}

impl<V> Entry<V> {
    pub(crate) fn new(key: Key, fill: Fill<V>, weight: u64) -> Self {
        Self {
            key,
            value: fill.value,
            expires: fill.expires,
            weight,
            tags: fill.tags.into(),
            slot: AtomicU32::new(Slot::MAX.index()),
            mark: Mark::default(),
            outdated: AtomicBool::new(false),
        }
    }

    /// What it is found by.
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// What is stored.
    pub const fn value(&self) -> &V {
        &self.value
    }

    /// When it will be of no use.
    pub const fn expires(&self) -> Time {
        self.expires
    }

    /// What it counts for in the store's budget: value, key, tags and overhead.
    pub const fn weight(&self) -> u64 {
        self.weight
    }

    /// The groups it can be purged by.
    pub fn tags(&self) -> impl Iterator<Item = &[u8]> {
        self.tags.iter().map(AsRef::as_ref)
    }

    /// Whether it was purged softly: it may be served as stale content is, not as fresh.
    pub fn is_outdated(&self) -> bool {
        self.outdated.load(Relaxed)
    }

    pub(crate) fn slot(&self) -> Slot {
        Slot::at(self.slot.load(Relaxed))
    }

    pub(crate) fn place(&self, slot: Slot) {
        self.slot.store(slot.index(), Relaxed);
    }

    pub(crate) fn outdate(&self) {
        self.outdated.store(true, Relaxed);
    }
}

impl<V> Marked for Arc<Entry<V>> {
    fn mark(&self) -> &Mark {
        &self.mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_at_the_first_nul() {
        assert_eq!(Key::from(&b"a\0b\0c"[..]).name(), b"a");
        assert_eq!(Key::from(&b"abc"[..]).name(), b"abc");
        assert_eq!(Key::from(&b"\0"[..]).name(), b"");
        assert_eq!(Key::from(&b""[..]).name(), b"");
    }
}
