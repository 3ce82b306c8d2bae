//! Whom the store has turned out lately: who comes back soon is worth more than one more stranger.

use std::collections::{HashSet, VecDeque};

use foldhash::fast::FixedState;

/// Fingerprints of keys, the oldest first. Two keys may share one: then a stranger is taken for an
/// acquaintance, which does no harm.
#[derive(Debug, Default)]
pub(crate) struct Ghost {
    order: VecDeque<u32>,
    known: HashSet<u32, FixedState>,
}

impl Ghost {
    /// Remembers a key by its hash, of no more than `max` keys.
    pub(crate) fn remember(&mut self, hash: u64, max: usize) {
        while self.order.len() >= max.max(1) {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        let print = hash as u32;
        if self.known.insert(print) {
            self.order.push_back(print);
        }
    }

    /// Whether the key was turned out lately. It is then no more of those.
    pub(crate) fn forget(&mut self, hash: u64) -> bool {
        // Its place in the order stays until its turn comes.
        self.known.remove(&(hash as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_so_many() {
        let mut ghost = Ghost::default();
        for hash in 0..10 {
            ghost.remember(hash, 4);
        }
        assert!(!ghost.forget(5));
        assert!(ghost.forget(6) && !ghost.forget(6));
        assert!(ghost.order.len() <= 4 && ghost.known.len() <= 4);
    }
}
