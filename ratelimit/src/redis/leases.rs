//! What a process has been lent, for all its workers: bounded, exact across threads.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, futures::OwnedNotified};

use crate::{
    key::Key,
    lease::{Lease, Step, Stretch, Terms},
    moment::{Moment, Nanos},
};

const SHARDS: usize = 64;
/// Keys per shard: a shard that is full decides on further ones request by request.
const KEYS: usize = 2_048;

/// The store.
pub(super) struct Leases {
    shards: Box<[Shard]>,
}

/// Two cache lines, since processors fetch them in pairs: neighbours do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<HashMap<Key, Entry>>);

#[derive(Debug)]
struct Entry {
    lease: Lease,
    terms: Terms,
    /// Somebody is asking the server; others hear from here when it is over.
    taking: Option<Arc<Notify>>,
}

/// What is known of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lent {
    /// It passes, and was charged; before that the bucket was full at this moment.
    Spent { full_at: Moment },
    /// It is denied until then.
    Denied { full_at: Moment, until: u64 },
}

/// What to do about it.
pub(super) enum Attempt<'l> {
    Done(Lent),
    /// Ask the server, and say what it said.
    Take(Taking<'l>),
    /// Somebody else does: wait, and try again.
    Wait(OwnedNotified),
}

/// The one who asks the server for a key. When it is dropped, the next one may.
pub(super) struct Taking<'l> {
    leases: &'l Leases,
    key: Key,
    pub(super) wanted: u64,
    /// Others wait for it.
    first: bool,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if !self.first {
            return;
        }
        let mut shard = self.leases.lock(self.key);
        let taking = shard.get_mut(&self.key).and_then(|entry| entry.taking.take());
        drop(shard);
        if let Some(others) = taking {
            others.notify_waiters();
        }
    }
}

/// A request under a leased limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want<'t> {
    pub(super) key: Key,
    pub(super) terms: &'t Terms,
    pub(super) cost: u64,
    pub(super) members: u32,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").finish_non_exhaustive()
    }
}

impl Default for Leases {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }
}

impl Leases {
    /// Counts a request, and decides on it if what is held or known is enough.
    pub(super) fn begin(&self, want: Want<'_>, now: Nanos) -> Attempt<'_> {
        let mut shard = self.lock(want.key);
        if !shard.contains_key(&want.key) {
            // Room is made by who gives up what is idle: a look at all keys for each that is new
            // would make a flood of them dear.
            if shard.len() >= KEYS {
                return self.for_one(want);
            }
        }
        let entry = shard.entry(want.key).or_insert_with(|| Entry {
            lease: Lease::default(),
            terms: *want.terms,
            taking: None,
        });
        if entry.terms != *want.terms {
            // What was lent and said by another rate means something else. It is not given back:
            // that errs on the strict side, and not for long.
            (entry.lease, entry.terms) = (Lease::default(), *want.terms);
        }
        entry.lease.count(want.terms, want.cost, now);
        self.go_on(entry, want, false, now)
    }

    /// Tries again, after a wait, which may have been the last one: a bucket that is nearly full
    /// lends for so short a time that there may be nothing left of it by the time it is here.
    pub(super) fn again(&self, want: Want<'_>, last: bool, now: Nanos) -> Attempt<'_> {
        match self.lock(want.key).get_mut(&want.key) {
            Some(entry) => self.go_on(entry, want, last, now),
            None => self.for_one(want),
        }
    }

    /// Has the server asked for one request alone.
    const fn for_one(&self, want: Want<'_>) -> Attempt<'_> {
        Attempt::Take(Taking { leases: self, key: want.key, wanted: want.cost, first: false })
    }

    fn go_on(&self, entry: &mut Entry, want: Want<'_>, alone: bool, now: Nanos) -> Attempt<'_> {
        match entry.lease.step(want.terms, want.cost, want.members, now) {
            Step::Take { wanted } => match &entry.taking {
                Some(_) if alone => self.for_one(want),
                Some(others) => Attempt::Wait(Arc::clone(others).notified_owned()),
                None => {
                    entry.taking = Some(Arc::default());
                    Attempt::Take(Taking { leases: self, key: want.key, wanted, first: true })
                }
            },
            step => Attempt::Done(entry.lease.tell(step, want, now)),
        }
    }

    /// Takes in a reply, and decides on the request that asked for it.
    pub(super) fn heard(
        &self,
        taking: &Taking<'_>,
        want: Want<'_>,
        reply: &[i64],
        asked_at: Nanos,
        now: Nanos,
    ) -> Option<Lent> {
        let mut shard = self.lock(want.key);
        let mut unkept = Lease::default();
        let entry = shard.get_mut(&want.key).filter(|entry| entry.terms == *want.terms);
        let lease = entry.map_or(&mut unkept, |entry| &mut entry.lease);
        let step = lease.heard(want.terms, want.cost, taking.wanted, reply, asked_at)?;
        Some(lease.tell(step, want, now))
    }

    /// What is known of a key without a request: when it is full, and until when it is denied.
    pub(super) fn look(&self, want: Want<'_>, now: Nanos) -> (Moment, Option<u64>) {
        let shard = self.lock(want.key);
        let entry = shard.get(&want.key).filter(|entry| entry.terms == *want.terms);
        entry.map_or_else(Default::default, |Entry { lease, .. }| {
            (lease.full_at(want.terms, None, now), lease.denied(want.terms, want.cost, now))
        })
    }

    /// Charges what is held, if it is enough; else the server is to be told.
    pub(super) fn charge(&self, key: Key, cost: u64, now: Nanos) -> bool {
        let mut shard = self.lock(key);
        shard.get_mut(&key).is_some_and(|Entry { lease, terms, .. }| lease.charge(terms, cost, now))
    }

    /// Takes back what was spent.
    pub(super) fn put_back(&self, key: Key, cost: u64) {
        if let Some(entry) = self.lock(key).get_mut(&key) {
            entry.lease.put_back(cost);
        }
    }

    /// Takes out what has not been used for a while, or all, of at most about `most` keys, and
    /// forgets keys of which there is nothing left to know.
    pub(super) fn give_up(&self, all: bool, most: usize, now: Nanos) -> Vec<(Key, Terms, Stretch)> {
        let mut given_up = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|key, entry| {
                if given_up.len() < most {
                    let Entry { lease, terms, .. } = entry;
                    let stretches = lease.give_up(terms, all, now).into_iter();
                    given_up.extend(stretches.map(|stretch| (*key, *terms, stretch)));
                }
                entry.taking.is_some() || !entry.is_spent(now)
            });
        }
        given_up
    }

    fn lock(&self, key: Key) -> MutexGuard<'_, HashMap<Key, Entry>> {
        let shard = &self.shards[key.shard_of(SHARDS)];
        shard.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_spent(&self, now: Nanos) -> bool {
        self.lease.is_spent(&self.terms, now)
    }
}

impl Lease {
    /// A step that decides, in words.
    fn tell(&self, step: Step, want: Want<'_>, now: Nanos) -> Lent {
        let Want { terms, cost, .. } = want;
        match step {
            Step::Denied { until } => {
                Lent::Denied { full_at: self.full_at(terms, None, now), until }
            }
            Step::Spent | Step::Take { .. } => {
                Lent::Spent { full_at: self.full_at(terms, Some(cost), now) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{algorithm::Algorithm, bucket::Bucket, rate::Rate, remote::Remote};

    /// A flood of new keys; how long it took.
    #[allow(clippy::disallowed_methods, reason = "a test that takes the time")]
    fn begin(leases: &Leases, terms: &Terms, keys: std::ops::Range<u64>) -> Duration {
        let began = std::time::Instant::now();
        for number in keys {
            let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let key = Key { shard: hash, place: hash.rotate_left(32) };
            let attempt = leases.begin(Want { key, terms, cost: 1, members: 1 }, Nanos::ZERO);
            assert!(matches!(attempt, Attempt::Take(_)));
        }
        began.elapsed()
    }

    #[test]
    fn new_keys_cost_no_more_when_there_is_no_room() {
        let bucket = Bucket::new(Rate::new(1, Duration::from_secs(1)).unwrap(), 10).unwrap();
        let remote = Remote::new(&Algorithm::TokenBucket(bucket)).unwrap();
        let (leases, terms) = (Leases::default(), Terms::new(remote).unwrap());
        let many = (2 * SHARDS * KEYS) as u64;
        begin(&leases, &terms, 0..many);
        let kept = |leases: &Leases| -> usize {
            leases.shards.iter().map(|shard| shard.0.lock().unwrap().len()).sum()
        };
        assert_eq!(kept(&leases), SHARDS * KEYS);
        let full = begin(&leases, &terms, many..many + 10_000);
        let empty = begin(&Leases::default(), &terms, 0..10_000);
        assert!(full < 20 * empty, "{full:?}, and {empty:?} where there is room");
        // What is spent makes room.
        leases.give_up(false, 256, Nanos::from(Duration::from_secs(1)));
        assert_eq!(kept(&leases), 0);
    }
}
