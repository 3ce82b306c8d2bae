//! A change of size while the store is in use.

use std::{
    hash::BuildHasher,
    sync::{MutexGuard, PoisonError, atomic::Ordering},
};

use super::{Shard, Store, Sweep, index, lock};
use crate::{shard::Room, time::Time};

/// What the shard at `index` of so many may hold.
pub(super) const fn share(capacity: u64, shards: usize, index: usize) -> u64 {
    if index >= shards {
        return 0;
    }
    capacity / shards as u64 + ((index as u64) < capacity % shards as u64) as u64
}

impl<V> Store<V> {
    /// Changes what all entries may weigh and how many locks there are, up to 16 or as many as it
    /// began with. What still fits stays, in the order in which it would be evicted; what is
    /// heavier than a shard's share goes. Hits go on meanwhile; where the number of shards changes,
    /// those who fill wait for as long as it takes to sort all entries anew.
    pub fn resize(&self, capacity: u64, shards: usize, now: Time) {
        let _alone = self.resizing.write().unwrap_or_else(PoisonError::into_inner);
        let shards = shards.clamp(1, self.shards.len());
        let mut all: Vec<_> = self.shards.iter().map(lock).collect();
        if self.used.load(Ordering::Relaxed) != shards {
            self.sort_anew(&mut all, shards);
        }
        self.capacity.store(capacity, Ordering::Relaxed);
        for (i, shard) in all.iter_mut().enumerate() {
            shard.set_capacity(share(capacity, shards, i));
            for slot in shard.heavier_than(capacity / shards as u64) {
                shard.remove(slot, &self.hasher, |entry| self.unmap(entry));
            }
        }
        drop(all);
        for shard in self.shards.iter().take(shards) {
            let mut sweep = Sweep::default();
            while sweep.make_room(self, &mut lock(shard), 0, now) == Room::Unfinished {}
        }
    }

    /// Puts all entries into the first so many shards.
    fn sort_anew(&self, all: &mut [MutexGuard<'_, Shard<V>>], shards: usize) {
        let mut entries = Vec::new();
        for shard in &mut *all {
            let drained = shard.drain();
            let length = drained.len() as f64;
            entries.extend(drained.into_iter().enumerate().map(|(i, e)| (i as f64 / length, e)));
        }
        // By their places in queues of different length.
        entries.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        self.used.store(shards, Ordering::Release);
        for (_, (entry, on_probation)) in entries {
            let shard = &mut all[index(self.hasher.hash_one(entry.key().name()), shards)];
            // There are as many slots in each as there were in all.
            if shard.insert_into(entry.clone(), on_probation, &self.hasher).is_none() {
                self.unmap(&entry);
            }
        }
    }
}
