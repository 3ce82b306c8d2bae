//! How many requests of one key may be under way at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    key::Key,
    table::{Kept, Table},
};

const SHARDS: usize = 64;

/// Requests under way per key, for keys that have any: bounded, exact across threads.
///
/// A key that has a request under way is never dropped for another, or its bound would be passed.
/// When a shard has no room left, newcomers are refused with a reason of its own.
#[derive(Debug)]
pub struct Concurrency {
    shards: Box<[Shard]>,
    shard_max: usize,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Table<UnderWay>>);

/// Never 0 in a table.
#[derive(Debug, Clone, Copy, Default)]
struct UnderWay(u32);

impl Kept for UnderWay {
    fn spent_at(&self) -> u64 {
        u64::MAX
    }
}

/// Why a request may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// As many of its key are under way as may be.
    #[error("{under_way} requests of this key are under way")]
    Key {
        /// How many that are.
        under_way: u32,
    },
    /// There are requests of too many keys under way to count those of another.
    #[error("requests of too many keys are under way")]
    Keys,
}

/// A request under way; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the request counts as ended when this is dropped"]
pub struct Permit {
    owner: Arc<Concurrency>,
    key: Key,
}

impl Concurrency {
    /// Counts requests of at most `max_keys` keys at once. Keys spread by chance over 64 shards, so
    /// that single shards are full somewhat below that.
    pub fn new(max_keys: usize) -> Self {
        let shards = (0..SHARDS.min(max_keys.max(1))).map(|_| Shard::default()).collect::<Box<_>>();
        let shard_max = (max_keys / shards.len()).max(1);
        Self { shards, shard_max }
    }

    /// Begins a request of `key` unless `max` of them are under way.
    ///
    /// # Errors
    /// When it may not begin.
    pub fn acquire(owner: &Arc<Self>, key: Key, max: u32) -> Result<Permit, Busy> {
        let mut table = owner.lock(key);
        let (found, place) = table.find(key);
        let under_way = found.unwrap_or_default().0;
        if under_way >= max {
            return Err(Busy::Key { under_way });
        }
        if found.is_some() {
            table.replace(place, UnderWay(under_way + 1));
        } else if table.len() < owner.shard_max {
            table.insert(key, UnderWay(1), owner.shard_max, 0);
        } else {
            return Err(Busy::Keys);
        }
        drop(table);
        Ok(Permit { owner: Arc::clone(owner), key })
    }

    /// Requests of `key` under way.
    pub fn under_way(&self, key: Key) -> u32 {
        self.lock(key).find(key).0.unwrap_or_default().0
    }

    /// Keys that have requests under way.
    pub fn keys(&self) -> usize {
        let len = |shard: &Shard| shard.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.shards.iter().map(len).sum()
    }

    fn release(&self, key: Key) {
        let mut table = self.lock(key);
        match table.find(key) {
            (Some(UnderWay(under_way)), place) if under_way > 1 => {
                table.replace(place, UnderWay(under_way - 1));
            }
            _ => table.remove(key),
        }
    }

    fn lock(&self, key: Key) -> MutexGuard<'_, Table<UnderWay>> {
        self.shards[key.shard_of(self.shards.len())]
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.owner.release(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering::SeqCst},
        thread,
    };

    use super::*;
    use crate::key::{KeyHasher, Secret};

    fn key(number: u64) -> Key {
        KeyHasher::new(&Secret::new([1; 16]), "c").part(&number.to_le_bytes()).finish()
    }

    #[test]
    fn so_many_and_no_more() {
        let all = Arc::new(Concurrency::new(1_000));
        let first = Concurrency::acquire(&all, key(1), 2).unwrap();
        let second = Concurrency::acquire(&all, key(1), 2).unwrap();
        let busy = Concurrency::acquire(&all, key(1), 2).unwrap_err();
        assert_eq!(busy, Busy::Key { under_way: 2 });
        let other = Concurrency::acquire(&all, key(2), 1).unwrap();
        drop(first);
        assert_eq!(all.under_way(key(1)), 1);
        let third = Concurrency::acquire(&all, key(1), 2).unwrap();
        assert_eq!(all.keys(), 2);
        drop((second, third, other));
        assert_eq!(all.keys(), 0);
        assert!(Concurrency::acquire(&all, key(1), 0).is_err());
    }

    #[test]
    fn keys_are_bounded_and_none_is_forgotten() {
        let all = Arc::new(Concurrency::new(128));
        let permits: Vec<_> =
            (0..10_000).filter_map(|i| Concurrency::acquire(&all, key(i), 1).ok()).collect();
        assert!((100..=128).contains(&permits.len()), "{}", permits.len());
        assert_eq!(Concurrency::acquire(&all, key(20_000), 1).unwrap_err(), Busy::Keys);
        assert!(permits.iter().all(|permit| all.under_way(permit.key) == 1));
        drop(permits);
        assert!(Concurrency::acquire(&all, key(20_000), 1).is_ok());
    }

    #[test]
    fn threads_never_pass_the_bound() {
        let all = Arc::new(Concurrency::new(1_000));
        let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let Ok(permit) = Concurrency::acquire(&all, key(1), 3) else { continue };
                        most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                        inside.fetch_sub(1, SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner()));
        assert_eq!(all.keys(), 0);
    }
}
