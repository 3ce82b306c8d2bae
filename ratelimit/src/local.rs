//! The store of one process: what is kept of each key, bounded, exact across threads.
//!
//! **Exactness.** Keys are spread over shards, each behind a mutex. A decision reads, decides and
//! writes under the lock, so threads that share a key share one bucket and admit together exactly
//! what one thread would. A request under several limits takes the locks of all its shards, always
//! in ascending order and each once, so that no two requests wait for each other; it decides on all
//! of them and writes only if all pass. There is no moment at which one limit is charged and
//! another not, hence nothing to roll back, which is why this is locks and not compare-and-swap: a
//! charge that is taken back later has meanwhile denied others for nothing. Locks are held for some
//! tens of nanoseconds, by code that allocates only when a shard grows.
//!
//! **Bounds.** A store keeps at most so many keys of buckets, and as many of windows, 32 and 56
//! bytes each at 9/16 to 3/4 load. A new key in a full shard takes the place of the one among eight
//! neighbours that would be as good as new first, which loses the least: a flood of one-time keys
//! drives out its own, not the client who has used up all of a large burst. Such losses are
//! counted.
//!
//! **Sweeping.** [`Local::sweep`] goes on where the last one stopped, shard by shard, and takes out
//! keys that would be treated the same if they were not there. It locks one shard at a time, for
//! about a thousand keys.

use std::{
    hint,
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
};

use smallvec::SmallVec;

use crate::{
    algorithm::Algorithm,
    bucket::{Bucket, Weighed},
    decision::{Decision, Ruling, Verdict},
    key::Key,
    moment::{Moment, Nanos, STEP},
    table::{Kept, Table},
    window::Counts,
};

#[cfg(test)]
mod tests;

/// Keys per shard in a full store, about: what is swept or moved under one lock.
const SHARD_KEYS: usize = 1_024;
const SHARDS_MAX: usize = 1 << 14;
/// How long to stay away from a lock that is held, in processor pauses, before going to sleep.
const PAUSES: [u32; 4] = [16, 32, 64, 128];

/// One limit that a request falls under.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// How it counts.
    pub algorithm: &'a Algorithm,
    /// Whom it counts.
    pub key: Key,
    /// What the request costs.
    pub cost: u64,
    /// Counted, but never denied for.
    pub dry_run: bool,
}

/// The store.
#[derive(Debug)]
pub struct Local {
    shards: Box<[Shard]>,
    /// Keys of one kind in one shard.
    shard_max: usize,
    /// Where the next sweep begins.
    cursor: AtomicUsize,
}

/// Two cache lines, since processors fetch them in pairs: neighbours do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    moments: Table<Moment>,
    counts: Table<Counts>,
    lost: u64,
}

/// How full a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Keys kept.
    pub keys: usize,
    /// Bytes of all tables.
    pub bytes: usize,
    /// Keys that made room for others while they still mattered, since the beginning.
    pub lost: u64,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Keys looked at.
    pub seen: usize,
    /// Keys taken out.
    pub removed: usize,
}

impl Kept for Moment {
    fn spent_at(&self) -> u64 {
        // A bucket is full from then on, and a part of a nanosecond may be missing.
        self.nanos.saturating_add(u64::from(self.part > 0))
    }
}

impl Kept for Counts {
    fn spent_at(&self) -> u64 {
        self.until
    }
}

impl Local {
    /// A store for at most `max_keys` keys of buckets, and as many of windows. Keys spread by
    /// chance, so that single shards are full from about nine tenths of that on.
    pub fn new(max_keys: usize) -> Self {
        let shards = (max_keys / SHARD_KEYS).clamp(1, SHARDS_MAX);
        Self {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            shard_max: (max_keys / shards).max(1),
            cursor: AtomicUsize::new(0),
        }
    }

    /// Decides on a request under one limit: what [`Local::check`] does, without the list.
    #[inline]
    pub fn check_one(&self, ask: &Ask<'_>, now: Nanos) -> Decision {
        let mut tables = self.lock(self.shard(ask.key));
        let (bucket, weighed) = match ask.algorithm {
            Algorithm::TokenBucket(bucket) => {
                (bucket, tables.weigh(bucket, ask.key, ask.cost, self.shard_max, now))
            }
            Algorithm::LeakyBucket(_) | Algorithm::SlidingWindow(_) => {
                return tables.decide(ask, ask.cost, self.shard_max, now);
            }
        };
        // Whoever waits for the shard need not wait for the words.
        drop(tables);
        bucket.tell(&weighed, ask.cost, now)
    }

    /// Decides on a request under several limits: all pass and are charged, or none is charged.
    ///
    /// Limits in dry run are charged with the others if they pass, and stand in nobody's way if
    /// not. Limits asked twice are charged twice.
    pub fn check(&self, asks: &[Ask<'_>], now: Nanos) -> Verdict {
        if let [ask] = asks {
            let decision = self.check_one(ask, now);
            return Verdict::new([Ruling { decision, dry_run: ask.dry_run }].into_iter().collect());
        }
        let mut locked = self.lock_all(asks);
        let mut plans: SmallVec<[Plan; 8]> = SmallVec::new();
        for ask in asks {
            let earlier = asks.iter().zip(&plans).filter(|(earlier, _)| earlier.key == ask.key);
            let charged = earlier.filter(|(_, plan)| plan.passes).map(|(earlier, _)| earlier.cost);
            let cost = charged.fold(ask.cost, u64::saturating_add);
            let passes = locked.tables(ask.key).passes(ask, cost, now);
            plans.push(Plan { passes, cost });
        }
        let passes = asks.iter().zip(&plans).all(|(ask, plan)| ask.dry_run || plan.passes);
        let mut rulings = SmallVec::new();
        for (ask, plan) in asks.iter().zip(&plans) {
            let tables = locked.tables(ask.key);
            let decision = if passes {
                tables.decide(ask, ask.cost, self.shard_max, now)
            } else if plan.passes {
                // Cost 0 charges nothing.
                tables.decide(ask, 0, self.shard_max, now)
            } else {
                // Nor does what is denied, but a step of the clock is remembered.
                tables.decide(ask, plan.cost, self.shard_max, now)
            };
            rulings.push(Ruling { decision, dry_run: ask.dry_run });
        }
        Verdict::new(rulings)
    }

    /// Charges `cost` more, without asking: a response turned out dearer than its request looked.
    pub fn charge(&self, algorithm: &Algorithm, key: Key, cost: u64, now: Nanos) {
        let mut tables = self.lock(self.shard(key));
        let Tables { moments, counts, lost } = &mut *tables;
        let (max, at) = (self.shard_max, now.get());
        let dropped = match algorithm {
            Algorithm::TokenBucket(bucket) => {
                let full_at = bucket.charge(moments.find(key).0.unwrap_or_default(), cost, now);
                moments.insert(key, full_at, max, at)
            }
            Algorithm::LeakyBucket(leaky) => {
                let empty_at = leaky.charge(moments.find(key).0.unwrap_or_default(), cost, now);
                moments.insert(key, empty_at, max, at)
            }
            Algorithm::SlidingWindow(window) => {
                let after = window.charge(counts.find(key).0.unwrap_or_default(), cost, now);
                counts.insert(key, after, max, at)
            }
        };
        *lost += u64::from(dropped);
    }

    /// Gives `cost` back that was charged at `charged_at`; to a leaky bucket nothing can be given.
    pub fn refund(
        &self,
        algorithm: &Algorithm,
        key: Key,
        cost: u64,
        charged_at: Nanos,
        now: Nanos,
    ) {
        let mut tables = self.lock(self.shard(key));
        let Tables { moments, counts, .. } = &mut *tables;
        // A key that is not there has nothing to be given back.
        match algorithm {
            Algorithm::TokenBucket(bucket) => {
                if let (Some(full_at), place) = moments.find(key) {
                    moments.replace(place, bucket.refund(full_at, cost, now));
                }
            }
            Algorithm::LeakyBucket(_) => {}
            Algorithm::SlidingWindow(window) => {
                if let (Some(before), place) = counts.find(key) {
                    counts.replace(place, window.refund(before, cost, charged_at, now));
                }
            }
        }
    }

    /// Forgets `key`: it starts anew.
    pub fn forget(&self, key: Key) {
        let mut tables = self.lock(self.shard(key));
        tables.moments.remove(key);
        tables.counts.remove(key);
    }

    /// Takes out keys that have been as good as new for a second, until `budget` keys have been
    /// looked at or all.
    ///
    /// A call looks at whole shards, so at least at one and some thousand keys beyond the budget.
    pub fn sweep(&self, now: Nanos, budget: usize) -> Swept {
        let mut swept = Swept::default();
        // A thread that is a little late must not find a key as good as new too early.
        let spent = now.get().saturating_sub(STEP);
        for _ in 0..self.shards.len() {
            let shard = self.cursor.fetch_add(1, Ordering::Relaxed) % self.shards.len();
            let mut tables = self.lock(shard);
            swept.seen += tables.moments.len() + tables.counts.len();
            swept.removed += tables.moments.sweep(spent) + tables.counts.sweep(spent);
            if swept.seen >= budget {
                break;
            }
        }
        swept
    }

    /// How full it is; visits every shard.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage { bytes: size_of_val(&*self.shards), ..Usage::default() };
        for shard in 0..self.shards.len() {
            let tables = self.lock(shard);
            usage.keys += tables.moments.len() + tables.counts.len();
            usage.bytes += tables.moments.bytes() + tables.counts.bytes();
            usage.lost += tables.lost;
        }
        usage
    }

    #[inline]
    fn shard(&self, key: Key) -> usize {
        key.shard_of(self.shards.len())
    }

    #[inline]
    fn lock(&self, shard: usize) -> MutexGuard<'_, Tables> {
        let mutex = &self.shards[shard].0;
        // Whoever tries again at once takes the cache line from the one who is about to unlock.
        // Staying away for longer than a decision lasts halves the time of two threads on one key.
        for pauses in PAUSES {
            match mutex.try_lock() {
                Ok(tables) => return tables,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => (0..pauses).for_each(|_| hint::spin_loop()),
            }
        }
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the shards of all keys, in ascending order: whoever waits holds none that comes later.
    fn lock_all(&self, asks: &[Ask<'_>]) -> Locked<'_> {
        let mut shards = SmallVec::new();
        let mut next = asks.iter().map(|ask| self.shard(ask.key)).min();
        while let Some(shard) = next {
            shards.push((shard, self.lock(shard)));
            // Requests fall under a handful of limits: looking again is cheaper than a sorted list.
            next = asks.iter().map(|ask| self.shard(ask.key)).filter(|other| *other > shard).min();
        }
        Locked { store: self, shards }
    }
}

/// What comes of a limit if all that are asked before it are charged.
struct Plan {
    passes: bool,
    /// Of this limit's key, with what is asked of it before.
    cost: u64,
}

/// Several shards, locked together.
struct Locked<'s> {
    store: &'s Local,
    shards: SmallVec<[(usize, MutexGuard<'s, Tables>); 4]>,
}

impl Locked<'_> {
    /// The tables that `key` belongs in, which must be one of those that were locked for.
    #[inline]
    fn tables(&mut self, key: Key) -> &mut Tables {
        let shard = self.store.shard(key);
        let found = self.shards.iter().position(|(locked, _)| *locked == shard);
        // Found: this is asked of the keys that the locks were taken for.
        &mut self.shards[found.unwrap_or(0)].1
    }
}

impl Tables {
    /// Decides on a request of `cost` and keeps what follows.
    #[inline]
    fn decide(&mut self, ask: &Ask<'_>, cost: u64, max: usize, now: Nanos) -> Decision {
        match ask.algorithm {
            Algorithm::TokenBucket(bucket) => {
                bucket.tell(&self.weigh(bucket, ask.key, cost, max, now), cost, now)
            }
            Algorithm::LeakyBucket(leaky) => {
                leaky.tell(&self.weigh(leaky.bucket(), ask.key, cost, max, now), cost, now)
            }
            Algorithm::SlidingWindow(window) => {
                let (found, place) = self.counts.find(ask.key);
                let turn = window.decide(found.unwrap_or_default(), cost, now);
                match (turn.keep, found) {
                    (Some(counts), Some(_)) => self.counts.replace(place, counts),
                    (Some(counts), None) => {
                        let lost = self.counts.insert(ask.key, counts, max, now.get());
                        self.lost += u64::from(lost);
                    }
                    (None, _) => {}
                }
                turn.decision
            }
        }
    }

    /// Weighs a request and keeps what follows, with one search for a key that is there.
    #[inline]
    fn weigh(&mut self, bucket: &Bucket, key: Key, cost: u64, max: usize, now: Nanos) -> Weighed {
        let (found, place) = self.moments.find(key);
        let weighed = bucket.weigh(found.unwrap_or_default(), cost, now);
        match (weighed.keep, found) {
            (Some(moment), Some(_)) => self.moments.replace(place, moment),
            (Some(moment), None) => {
                self.lost += u64::from(self.moments.insert(key, moment, max, now.get()));
            }
            (None, _) => {}
        }
        weighed
    }

    /// Whether it would let it pass.
    #[inline]
    fn passes(&self, ask: &Ask<'_>, cost: u64, now: Nanos) -> bool {
        let moment = || self.moments.find(ask.key).0.unwrap_or_default();
        match ask.algorithm {
            Algorithm::TokenBucket(bucket) => bucket.weigh(moment(), cost, now).passes,
            Algorithm::LeakyBucket(leaky) => leaky.bucket().weigh(moment(), cost, now).passes,
            Algorithm::SlidingWindow(window) => {
                window.passes(&self.counts.find(ask.key).0.unwrap_or_default(), cost, now)
            }
        }
    }
}
