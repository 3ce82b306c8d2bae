//! The store: many readers, sharded writers, a budget that holds at every moment.
//!
//! A hit looks its key up in one concurrent map and sets a bit, if that is clear: it takes no lock
//! and writes nothing that another core reads, so that hits on one entry from all cores stay in
//! their own caches. Whoever changes something takes the lock of the key's shard; under it the map,
//! the queue and the indexes change together, so that a key is in all of them or in none.
//!
//! The map is papaya's. Of what was measured for it (hits of a Zipf kind among 1,000 keys, one
//! thread and two) papaya took 15 and 19 ns, 64 maps behind parking_lot's RwLock 20 and 34, behind
//! its Mutex 20 and 39: a lock is a write to a line that all share, even to read. Slots of arc-swap
//! took 13 and 15, but would have to be made to grow and to forget by hand.

use std::{
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use foldhash::quality::FixedState;
use papaya::Guard as _;

use crate::{
    entry::{ENTRY_OVERHEAD, Entry, Fill, Key, TAG_OVERHEAD, allotted},
    purges::{PurgeLog, Ticket},
    shard::{Room, Shard},
    sieve::Marked,
    time::Time,
};

mod purge;
mod resize;
mod sweep;

use sweep::Sweep;

/// So many shards there may be after a change of size.
const SHARDS_MAX: usize = 16;

/// So many entries are looked at under a shard's lock at once; then others get a turn.
const SWEEP_MAX: usize = 256;

/// An entry heavier than this is freed as soon as nobody reads it.
const PROMPT_MIN: u64 = 16 * 1024;

/// The size of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What all entries may weigh together.
    pub capacity: u64,
    /// How many locks share the work of filling. Each shard has its share of the capacity, and an
    /// entry that is larger than that is refused. Zero is taken for one.
    pub shards: usize,
    /// What counts.
    pub weighing: Weighing,
    /// What new entries have to go through. The default is nothing: SIEVE alone.
    pub admission: Admission,
}

/// What new entries have to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Admission {
    /// So much of the capacity, in hundredths, is for entries on probation: those that are not hit
    /// there leave before they are in the way of others. Zero is none.
    pub probation: u8,
    /// An entry heavier than so many of the mean is stored when it comes for the second time, once
    /// the store is full. Zero is at once.
    pub heavy: u8,
}

/// What an entry counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighing {
    /// Bytes: the weight that comes with the value, the key, the tags and the overhead.
    Bytes,
    /// The weight that comes with the value and nothing else.
    Units,
}

/// Why something was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It weighs more than a shard may hold.
    TooLarge,
    /// It may have been purged while it was under way.
    Purged,
    /// It is expired already.
    Expired,
    /// It is heavy and came for the first time.
    Heavy,
    /// Whoever was to make it thought better of it.
    Withdrawn,
}

/// The store. Share it by reference or in an [`Arc`].
#[derive(Debug)]
pub struct Store<V> {
    map: papaya::HashMap<Key, Arc<Entry<V>>, FixedState>,
    /// Those that are in use, and some that a change of size may bring into use.
    shards: Box<[Mutex<Shard<V>>]>,
    /// How many are in use. Changes while all of them are locked.
    used: AtomicUsize,
    capacity: AtomicU64,
    /// Taken by those who go from one shard to the next, and alone by a change of size.
    resizing: RwLock<()>,
    hasher: FixedState,
    purges: PurgeLog,
    weighing: Weighing,
}

impl<V> Store<V> {
    /// An empty store. `seed` should be secret: keys come from strangers, who could otherwise
    /// choose them so that all fall into one place.
    pub fn new(options: Options, seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        let shards = options.shards.max(1);
        let shard = |i| {
            let share = resize::share(options.capacity, shards, i);
            Mutex::new(Shard::new(share, options.admission))
        };
        Self {
            map: papaya::HashMap::builder().hasher(hasher.clone()).build(),
            shards: (0..shards.max(SHARDS_MAX)).map(shard).collect(),
            used: AtomicUsize::new(shards),
            capacity: AtomicU64::new(options.capacity),
            resizing: RwLock::default(),
            hasher,
            purges: PurgeLog::new(),
            weighing: options.weighing,
        }
    }

    /// Calls `read` with the entry under `key` and counts that as a visit. Takes no lock. Do not
    /// tarry in `read`: what is removed meanwhile, by anyone, is freed only after it.
    pub fn read<R>(&self, key: &[u8], now: Time, read: impl FnOnce(&Entry<V>) -> R) -> Option<R> {
        let map = self.map.pin();
        let entry = map.get(key).filter(|entry| entry.expires() > now)?;
        entry.mark().set();
        Some(read(entry))
    }

    /// The entry under `key`, as [`Store::read`] finds it, to keep. Counts a reference, which all
    /// cores that hit the same entry share.
    pub fn entry(&self, key: &[u8], now: Time) -> Option<Arc<Entry<V>>> {
        let map = self.map.pin();
        let entry = map.get(key).filter(|entry| entry.expires() > now)?;
        entry.mark().set();
        Some(Arc::clone(entry))
    }

    /// A ticket for a fill. Take it before the value is asked for.
    pub fn ticket(&self) -> Ticket {
        self.purges.ticket()
    }

    /// Stores `fill` under `key`, in the place of what was there.
    pub fn insert(
        &self,
        key: &Key,
        fill: Fill<V>,
        ticket: Ticket,
        now: Time,
    ) -> Result<(), Refused> {
        let weight = self.weigh(key, &fill);
        let entry = Entry::new(key.clone(), fill, weight);
        self.admit(&entry, now)?;
        match self.put(entry, None, ticket, now) {
            Err(Put::Refused(refused)) => Err(refused),
            // It was not asked to compare.
            Ok(()) | Err(Put::Changed) => Ok(()),
        }
    }

    /// Stores what `make` makes of what is there now. `make` is called without a lock, and again if
    /// another was faster: it must be free of effects.
    pub fn update(
        &self,
        key: &Key,
        ticket: Ticket,
        now: Time,
        mut make: impl FnMut(Option<&Entry<V>>) -> Option<Fill<V>>,
    ) -> Result<(), Refused> {
        loop {
            let before = self.map.pin().get(key).map(Arc::clone);
            let seen = before.as_ref().map(|entry| (entry, entry.is_outdated()));
            let live = before.as_deref().filter(|entry| entry.expires() > now);
            let fill = make(live).ok_or(Refused::Withdrawn)?;
            let weight = self.weigh(key, &fill);
            let entry = Entry::new(key.clone(), fill, weight);
            self.admit(&entry, now)?;
            match self.put(entry, Some(seen), ticket, now) {
                Ok(()) => return Ok(()),
                Err(Put::Refused(refused)) => return Err(refused),
                Err(Put::Changed) => {}
            }
        }
    }

    /// How many entries there are. Takes each shard's lock in turn.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What all entries weigh. Takes each shard's lock in turn.
    pub fn weight(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).weight()).sum()
    }

    /// How many entries had to leave for others before they expired. Takes each shard's lock in
    /// turn.
    pub fn evictions(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).evicted()).sum()
    }

    /// What all entries may weigh.
    pub fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// What one entry may weigh, its key, tags and overhead included.
    pub fn entry_max(&self) -> u64 {
        self.capacity() / self.used.load(Ordering::Relaxed) as u64
    }

    fn weigh(&self, key: &Key, fill: &Fill<V>) -> u64 {
        match self.weighing {
            Weighing::Units => fill.weight,
            Weighing::Bytes => {
                let tags = fill.tags.iter().map(|tag| tag.len() as u64 + TAG_OVERHEAD);
                let known = key.as_bytes().len() as u64 + ENTRY_OVERHEAD + tags.sum::<u64>();
                allotted(fill.weight).saturating_add(known)
            }
        }
    }

    fn admit(&self, entry: &Entry<V>, now: Time) -> Result<(), Refused> {
        if entry.weight() > self.entry_max() {
            return Err(Refused::TooLarge);
        }
        if entry.expires() <= now {
            return Err(Refused::Expired);
        }
        Ok(())
    }

    /// Puts `entry` in, provided that what is there is still `before`, if the caller cares. Gives
    /// the lock up now and then while it makes room.
    fn put(
        &self,
        entry: Entry<V>,
        before: Option<Option<Seen<'_, V>>>,
        ticket: Ticket,
        now: Time,
    ) -> Result<(), Put> {
        let name_hash = self.hasher.hash_one(entry.key().name());
        let entry = Arc::new(entry);
        let (mut sweep, mut admitted) = (Sweep::default(), false);
        loop {
            let mut shard = self.lock_for(name_hash);
            // The size may have changed meanwhile.
            self.admit(&entry, now).map_err(Put::Refused)?;
            if self.purges.meets(&entry, ticket, name_hash) {
                return Err(Put::Refused(Refused::Purged));
            }
            let current = self.map.pin().get(entry.key()).map(Arc::clone);
            if before.is_some_and(|before| !is_same(before, current.as_ref())) {
                return Err(Put::Changed);
            }
            let held = current.as_ref().map_or(0, |current| {
                current.mark().set();
                current.weight()
            });
            if current.is_none() && !admitted {
                if !shard.admits(&entry, &self.hasher) {
                    return Err(Put::Refused(Refused::Heavy));
                }
                admitted = true;
            }
            let growth = entry.weight().saturating_sub(held);
            if sweep.make_room(self, &mut shard, growth, now) == Room::Unfinished {
                continue;
            }
            let stored = match current {
                None => shard.insert(entry, &self.hasher),
                // What makes room for its successor's growth may be the entry itself.
                Some(current) if shard.at(current.slot()).is_none() => continue,
                Some(current) => shard.replace(&current, entry, &self.hasher),
            };
            let stored = stored.ok_or(Put::Refused(Refused::TooLarge))?;
            self.map.pin().insert(stored.key().clone(), stored);
            return Ok(());
        }
    }

    /// Takes an entry that has left its shard out of the map. To be called under the shard's lock.
    fn unmap(&self, entry: &Entry<V>) {
        let guard = self.map.guard();
        self.map.remove(entry.key(), &guard);
        // The map frees what was removed some dozens at a time. Of the large, each at once.
        if entry.weight() > PROMPT_MIN {
            guard.flush();
        }
    }

    /// The shard of a name.
    fn lock_for(&self, name_hash: u64) -> MutexGuard<'_, Shard<V>> {
        loop {
            let used = self.used.load(Ordering::Acquire);
            let shard = lock(&self.shards[index(name_hash, used)]);
            // It cannot change while one of them is locked.
            if self.used.load(Ordering::Acquire) == used {
                return shard;
            }
        }
    }
}

/// The high bits choose one of the shards in use; the map uses others.
const fn index(name_hash: u64, used: usize) -> usize {
    ((name_hash as u128 * used as u128) >> 64) as usize
}

/// Why [`Store::put`] did not.
#[derive(Debug)]
enum Put {
    Refused(Refused),
    /// Another was faster.
    Changed,
}

/// An entry, and whether it was outdated when something was made of it.
type Seen<'a, V> = (&'a Arc<Entry<V>>, bool);

fn is_same<V>(seen: Option<Seen<'_, V>>, current: Option<&Arc<Entry<V>>>) -> bool {
    match (seen, current) {
        (None, None) => true,
        (Some((entry, was_outdated)), Some(current)) => {
            Arc::ptr_eq(entry, current) && current.is_outdated() == was_outdated
        }
        _ => false,
    }
}

/// A shard's state is whole between any two statements that can panic, of which there are none but
/// the drop of a value.
fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
