//! Keys of this process.
//!
//! Exact: nothing is forgotten before it expires, for to forget an outcome is to run its request
//! again. A store that is full takes no further keys, and says so; outcomes that it has no room for
//! it keeps as tombstones.
//!
//! Shards share one account of keys and bytes. Whoever finds no room takes out what has expired
//! everywhere, so that only what must be kept stands in the way.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use foldhash::fast::RandomState;
use tokio::{sync::Notify, time::sleep_until};

use super::{
    fingerprint::Fingerprint,
    key::RecordKey,
    record::{Gone, Outcome, Recording},
    state::{Bid, Claimed, Fence, Owner, Phase, Slot, Terms},
    store::{Count, Deleted, Seen, StoreDown},
};
use crate::clock::Tick;

const SHARDS: usize = 64;
/// What a key costs besides its recording, in bytes: its slot and its place in two orders, and a
/// tombstone, so that an outcome can always be kept.
const KEY_BYTES: u64 = 768;

type Kept = Slot<Arc<Recording>>;

/// The store.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    room: Room,
}

/// What is held and what may be, by all shards.
#[derive(Debug)]
struct Room {
    keys: AtomicU64,
    bytes: AtomicU64,
    keys_max: u64,
    bytes_max: u64,
}

#[derive(Debug, Default)]
struct Shard {
    slots: HashMap<RecordKey, Kept, RandomState>,
    /// The same keys by when they expire.
    ends: BTreeSet<(Tick, RecordKey)>,
    /// Who waits for a key in flight.
    waiting: HashMap<RecordKey, Arc<Notify>, RandomState>,
    /// Number of the latest claim: that of each is larger than all before it.
    last: u64,
}

impl Room {
    /// Room for a key, if there is.
    fn take_key(&self) -> bool {
        let take = |most: u64, more: u64| {
            move |held: u64| held.checked_add(more).filter(|held| *held <= most)
        };
        if self.keys.fetch_update(Relaxed, Relaxed, take(self.keys_max, 1)).is_err() {
            return false;
        }
        let taken = self.take(KEY_BYTES);
        if !taken {
            self.keys.fetch_sub(1, Relaxed);
        }
        taken
    }

    /// Room for so many bytes, if there is.
    fn take(&self, bytes: u64) -> bool {
        let take = |held: u64| held.checked_add(bytes).filter(|held| *held <= self.bytes_max);
        self.bytes.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    fn give_back(&self, keys: u64, bytes: u64) {
        self.keys.fetch_sub(keys, Relaxed);
        self.bytes.fetch_sub(keys * KEY_BYTES + bytes, Relaxed);
    }
}

/// What a recording costs beyond its key; a tombstone has its place there.
fn bytes(recording: &Recording) -> u64 {
    match recording.body() {
        Outcome::Whole(_) => recording.weight(),
        Outcome::Gone(_) => 0,
    }
}

fn same(one: Option<&Arc<Recording>>, other: Option<&Arc<Recording>>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if Arc::ptr_eq(one, other))
}

impl Memory {
    /// An empty store for at most so many bytes and keys.
    pub fn new(bytes_max: u64, keys_max: u64) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let (keys, bytes) = Default::default();
        Self { shards, room: Room { keys, bytes, keys_max, bytes_max } }
    }

    /// See [`Store::claim`](super::store::Store::claim).
    ///
    /// # Errors
    /// [`StoreDown::Full`]: nothing that it holds may be forgotten.
    pub fn claim(
        &self,
        key: &RecordKey,
        print: &Fingerprint,
        terms: &Terms,
        now: Tick,
    ) -> Result<Claimed, StoreDown> {
        let mut shard = self.shard(key);
        if !shard.slots.contains_key(key) && !self.room.take_key() {
            drop(shard);
            self.sweep(now);
            shard = self.shard(key);
            if !shard.slots.contains_key(key) && !self.room.take_key() {
                return Err(StoreDown::Full);
            }
        }
        shard.last += 1;
        let floor = shard.last;
        // Nobody else has this number, so it does for a name as well.
        let bid = Bid { print, owner: Owner::new(floor.into()), floor };
        Ok(self.change(&mut shard, key, |slot| Slot::claim(slot, bid, terms, now)))
    }

    /// See [`Store::renew`](super::store::Store::renew).
    pub fn renew(&self, key: &RecordKey, fence: Fence, terms: &Terms, now: Tick) -> bool {
        let mut shard = self.shard(key);
        self.change(&mut shard, key, |slot| Slot::renew(slot, fence, terms, now))
    }

    /// See [`Store::complete`](super::store::Store::complete).
    pub fn complete(
        &self,
        key: &RecordKey,
        fence: Fence,
        recording: Arc<Recording>,
        terms: &Terms,
        now: Tick,
    ) -> bool {
        let bytes = bytes(&recording);
        let mut taken = self.room.take(bytes);
        if !taken {
            self.sweep(now);
            taken = self.room.take(bytes);
        }
        let recording = if taken {
            recording
        } else {
            Arc::new(Recording::gone(recording.status(), Gone::NoRoom))
        };
        let mut shard = self.shard(key);
        let (done, stored) = self.change(&mut shard, key, |slot| {
            let had = same(slot.as_ref().and_then(Slot::outcome), Some(&recording));
            let done = Slot::complete(slot, fence, Arc::clone(&recording), terms, now);
            let has = same(slot.as_ref().and_then(Slot::outcome), Some(&recording));
            (done, has && !had)
        });
        if taken && !stored {
            self.room.give_back(0, bytes);
        }
        shard.wake(key);
        done
    }

    /// See [`Store::release`](super::store::Store::release).
    pub fn release(&self, key: &RecordKey, fence: Fence, terms: &Terms, now: Tick) -> bool {
        let mut shard = self.shard(key);
        let done = self.change(&mut shard, key, |slot| Slot::release(slot, fence, terms, now));
        shard.wake(key);
        done
    }

    /// See [`Store::forsake`](super::store::Store::forsake).
    pub fn forsake(&self, key: &RecordKey, fence: Fence, terms: &Terms, now: Tick) -> bool {
        let mut shard = self.shard(key);
        let done = self.change(&mut shard, key, |slot| Slot::forsake(slot, fence, terms, now));
        shard.wake(key);
        done
    }

    /// See [`Store::settled`](super::store::Store::settled).
    pub async fn settled(&self, key: &RecordKey, until: Tick, now: Tick) {
        let (waiting, until) = {
            let mut shard = self.shard(key);
            let phase = shard.slots.get(key).map(|slot| slot.phase(now));
            let Some(Phase::InFlight { until: lease }) = phase else { return };
            let waiting = Arc::clone(shard.waiting.entry(*key).or_default());
            (Waiting { memory: self, key, waiting }, until.min(lease))
        };
        let news = waiting.waiting.notified();
        tokio::pin!(news);
        // Before the look: what happens after it is heard of.
        news.as_mut().enable();
        if !self.is_in_flight(key, now) {
            return;
        }
        tokio::select! {
            () = news => {}
            () = sleep_until(until.instant()) => {}
        }
    }

    /// See [`Store::look`](super::store::Store::look).
    pub fn look(&self, key: &RecordKey, now: Tick) -> Option<Seen> {
        let shard = self.shard(key);
        let slot = shard.slots.get(key).filter(|slot| slot.expires() > now)?;
        Some(Seen::of(slot, now))
    }

    /// See [`Store::delete`](super::store::Store::delete).
    pub fn delete(&self, key: &RecordKey, now: Tick) -> Deleted {
        let mut shard = self.shard(key);
        let Some(slot) = shard.slots.get(key) else { return Deleted::Absent };
        if matches!(slot.phase(now), Phase::InFlight { .. }) {
            return Deleted::InFlight;
        }
        let expired = slot.expires() <= now;
        self.change(&mut shard, key, |slot| *slot = None);
        if expired { Deleted::Absent } else { Deleted::Forgotten }
    }

    /// What is in it, what has expired and was not yet taken out included.
    pub fn count(&self) -> Count {
        let Room { keys, bytes, keys_max, bytes_max } = &self.room;
        Count {
            keys: keys.load(Relaxed),
            keys_max: *keys_max,
            bytes: bytes.load(Relaxed),
            bytes_max: *bytes_max,
        }
    }

    /// Takes out what has expired.
    pub fn sweep(&self, now: Tick) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            while let Some((expires, key)) = shard.ends.first().copied()
                && expires <= now
            {
                self.change(&mut shard, &key, |slot| *slot = None);
            }
        }
    }

    /// Changes what is kept of a key, and the order and the account with it. Room for what a change
    /// adds is taken by who makes it; what it takes away is given back here.
    fn change<A>(
        &self,
        shard: &mut Shard,
        key: &RecordKey,
        change: impl FnOnce(&mut Option<Kept>) -> A,
    ) -> A {
        let mut slot = shard.slots.remove(key);
        let before = slot.as_ref().map(|slot| (slot.expires(), slot.outcome().cloned()));
        let answer = change(&mut slot);
        let expires = slot.as_ref().map(Slot::expires);
        if let Some((expired, outcome)) = before {
            if expires != Some(expired) {
                shard.ends.remove(&(expired, *key));
            }
            let same = same(outcome.as_ref(), slot.as_ref().and_then(Slot::outcome));
            let bytes = if same { 0 } else { outcome.map_or(0, |outcome| bytes(&outcome)) };
            let keys = u64::from(slot.is_none());
            self.room.give_back(keys, bytes);
        }
        if let Some(slot) = slot {
            shard.ends.insert((slot.expires(), *key));
            shard.slots.insert(*key, slot);
        }
        answer
    }

    fn is_in_flight(&self, key: &RecordKey, now: Tick) -> bool {
        let shard = self.shard(key);
        let phase = shard.slots.get(key).map(|slot| slot.phase(now));
        matches!(phase, Some(Phase::InFlight { .. }))
    }

    fn shard(&self, key: &RecordKey) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key.bytes()[0]) % SHARDS])
    }
}

impl Shard {
    /// Tells those who wait for a key.
    fn wake(&mut self, key: &RecordKey) {
        if let Some(waiting) = self.waiting.remove(key) {
            waiting.notify_waiters();
        }
    }
}

/// One who waits for a key; the last to go takes the place with it.
struct Waiting<'a> {
    memory: &'a Memory,
    key: &'a RecordKey,
    waiting: Arc<Notify>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut shard = self.memory.shard(self.key);
        // The map's, and this one.
        if let Entry::Occupied(entry) = shard.waiting.entry(*self.key)
            && Arc::ptr_eq(entry.get(), &self.waiting)
            && Arc::strong_count(entry.get()) <= 2
        {
            entry.remove();
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
