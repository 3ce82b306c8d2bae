//! Which entries of a shard carry a tag, in time of the order of their number.

use std::{
    collections::{BTreeSet, btree_set::Range},
    hash::BuildHasher,
};

use foldhash::quality::FixedState;

use crate::sieve::Slot;

/// Pairs of a tag's hash and a slot. Two tags may share a hash: whoever reads the slots looks
/// whether the entry really has the tag.
#[derive(Debug, Default)]
pub(crate) struct TagIndex {
    pairs: BTreeSet<(u64, Slot)>,
}

impl TagIndex {
    pub(crate) fn add<'a>(
        &mut self,
        slot: Slot,
        tags: impl Iterator<Item = &'a [u8]>,
        hasher: &FixedState,
    ) {
        self.pairs.extend(tags.map(|tag| (hasher.hash_one(tag), slot)));
    }

    pub(crate) fn remove<'a>(
        &mut self,
        slot: Slot,
        tags: impl Iterator<Item = &'a [u8]>,
        hasher: &FixedState,
    ) {
        for tag in tags {
            self.pairs.remove(&(hasher.hash_one(tag), slot));
        }
    }

    /// Slots of entries that have `tag`, and rarely of some that have another.
    pub(crate) fn find(&self, tag: &[u8], hasher: &FixedState) -> Candidates<'_> {
        let hash = hasher.hash_one(tag);
        Candidates(self.pairs.range((hash, Slot::MIN)..=(hash, Slot::MAX)))
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// The slots under one hash.
#[derive(Debug)]
pub(crate) struct Candidates<'a>(Range<'a, (u64, Slot)>);

impl Iterator for Candidates<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        self.0.next().map(|(_, slot)| *slot)
    }
}
