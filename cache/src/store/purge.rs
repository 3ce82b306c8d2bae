//! What leaves the store because somebody said so, or since its time is over.

use std::{
    hash::BuildHasher,
    sync::{PoisonError, atomic::Ordering},
};

use super::{SWEEP_MAX, Shard, Store, index, lock};
use crate::{
    entry::Key,
    purges::{Purge, Purged, Selector, Ticket},
    sieve::Slot,
    time::Time,
};

impl<V> Store<V> {
    /// Removes what `what` means, or makes it stale. Whatever of it is under way is not stored
    /// either. Takes time of the order of the number of entries met.
    pub fn purge(&self, what: Selector<'_>, how: Purge) -> Purged {
        self.purges.record(what, |name| self.hasher.hash_one(name));
        self.sweep(what, how)
    }

    /// Removes all of this name, as [`Store::purge`] does, for one who will store something of it
    /// that was asked for with `ticket`: the ticket to store it with.
    pub fn supersede(&self, name: &[u8], ticket: Ticket) -> Ticket {
        let ticket = self.purges.record_own(self.hasher.hash_one(name), ticket);
        self.sweep(Selector::Name(name), Purge::Hard);
        ticket
    }

    /// Whether what is under way to `key` since `ticket` may be from before a purge. Its tags are
    /// these, where they are known by now; before, the purge of any may have meant it.
    pub fn is_superseded(&self, key: &Key, tags: Option<&[Box<[u8]>]>, ticket: Ticket) -> bool {
        self.purges.meets_key((key, self.hasher.hash_one(key.name())), tags, ticket)
    }

    pub(super) fn sweep(&self, what: Selector<'_>, how: Purge) -> Purged {
        let mut purged = Purged::default();
        let _steady = self.resizing.read().unwrap_or_else(PoisonError::into_inner);
        let shards = match what {
            Selector::Name(name) => {
                let used = self.used.load(Ordering::Relaxed);
                std::slice::from_ref(&self.shards[index(self.hasher.hash_one(name), used)])
            }
            Selector::All | Selector::Prefix(_) | Selector::Tag(_) => &self.shards,
        };
        for shard in shards {
            let slots = lock(shard).find(what, &self.hasher);
            for slots in slots.chunks(SWEEP_MAX) {
                self.purge_slots(&mut lock(shard), slots, what, how, &mut purged);
            }
        }
        purged
    }

    /// Purges those of `slots` that still hold what is meant.
    fn purge_slots(
        &self,
        shard: &mut Shard<V>,
        slots: &[Slot],
        what: Selector<'_>,
        how: Purge,
        purged: &mut Purged,
    ) {
        for slot in slots {
            let Some(entry) = shard.at(*slot).filter(|entry| what.matches(entry)) else { continue };
            purged.entries += 1;
            purged.weight += entry.weight();
            match how {
                Purge::Soft => entry.outdate(),
                Purge::Hard => shard.remove(*slot, &self.hasher, |entry| self.unmap(entry)),
            }
        }
    }

    /// Removes what has expired, no more than `max` entries of a shard; how many it were. Nothing
    /// needs it but those who want the memory back early.
    pub fn remove_expired(&self, now: Time, max: usize) -> usize {
        let mut removed = 0;
        for shard in &self.shards {
            let mut shard = lock(shard);
            for _ in 0..max {
                let Some(slot) = shard.expired(now) else { break };
                shard.remove(slot, &self.hasher, |entry| self.unmap(entry));
                removed += 1;
            }
        }
        removed
    }
}
