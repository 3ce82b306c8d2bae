//! Sessions kept for clients that may send early data: each is given out once.

use std::{
    collections::HashMap,
    fmt, mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustls::server::StoresServerSessions;

/// Locks, so that workers seldom meet at one.
const SHARDS: usize = 16;
/// Sessions of one generation in one shard.
const GENERATION: usize = 512;
/// Longest session that is kept, in bytes: one of a client certificate holds its chain.
const SESSION_BYTES: usize = 4096;

/// At least the latest 8192 sessions and at most twice as many, of at most 64 MiB together.
#[derive(Default)]
pub(super) struct Sessions {
    shards: [Mutex<Shard>; SHARDS],
}

/// Two generations: when the younger is full, the elder goes.
#[derive(Default)]
struct Shard {
    young: HashMap<Vec<u8>, Vec<u8>>,
    old: HashMap<Vec<u8>, Vec<u8>>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

impl Sessions {
    /// Ids are random, and ours: any byte spreads them. A panic leaves nothing half done.
    fn shard(&self, id: &[u8]) -> MutexGuard<'_, Shard> {
        let place = usize::from(id.first().copied().unwrap_or_default()) % SHARDS;
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, id: Vec<u8>, session: Vec<u8>) -> bool {
        if session.len() > SESSION_BYTES {
            return false;
        }
        let mut shard = self.shard(&id);
        if shard.young.len() >= GENERATION {
            shard.old = mem::take(&mut shard.young);
        }
        shard.young.insert(id, session);
        true
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        let shard = self.shard(id);
        shard.young.get(id).or_else(|| shard.old.get(id)).cloned()
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        let mut shard = self.shard(id);
        shard.young.remove(id).or_else(|| shard.old.remove(id))
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> Vec<u8> {
        let mut id = number.to_le_bytes().to_vec();
        id.push(0);
        id
    }

    #[test]
    fn a_session_is_given_out_once() {
        let sessions = Sessions::default();
        assert!(sessions.put(id(1), vec![7]));
        assert_eq!(sessions.get(&id(1)), Some(vec![7]));
        assert_eq!(sessions.take(&id(1)), Some(vec![7]));
        assert_eq!((sessions.take(&id(1)), sessions.get(&id(1))), (None, None));
        assert_eq!(sessions.take(&[]), None);
    }

    #[test]
    fn the_latest_are_kept_and_no_more_than_twice_as_many() {
        let sessions = Sessions::default();
        let kept = (SHARDS * GENERATION) as u32;
        for number in 0..10 * kept {
            assert!(sessions.put(id(number), vec![1]));
        }
        let found = (0..10 * kept).filter(|number| sessions.get(&id(*number)).is_some()).count();
        assert!((kept as usize..=2 * kept as usize).contains(&found), "{found}");
        assert!((9 * kept..10 * kept).all(|number| sessions.take(&id(number)).is_some()));
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let sessions = Sessions::default();
        assert!(!sessions.put(id(1), vec![0; SESSION_BYTES + 1]));
        assert!(sessions.put(id(1), vec![0; SESSION_BYTES]));
    }
}
