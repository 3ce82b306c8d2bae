//! Room for one entry, without tarrying under the lock.

use super::{SWEEP_MAX, Store};
use crate::{
    shard::{Room, Shard},
    time::Time,
};

/// The making of room for one entry, over several holds of the lock.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// How many entries it may look at; none before the first hold.
    steps_left: Option<usize>,
}

impl Sweep {
    /// One hold's worth. A sweep clears each bit once at most and then comes round to a clear one,
    /// unless hits set them again behind the hand: then, after two rounds, it takes what is there.
    pub(super) fn make_room<V>(
        &mut self,
        store: &Store<V>,
        shard: &mut Shard<V>,
        weight: u64,
        now: Time,
    ) -> Room {
        let left = self.steps_left.get_or_insert(2 * shard.len() + SWEEP_MAX);
        if *left < SWEEP_MAX {
            shard.evict_at_hand(&store.hasher, |entry| store.unmap(entry));
        }
        *left = left.saturating_sub(SWEEP_MAX);
        shard.make_room(weight, now, SWEEP_MAX, &store.hasher, |entry| store.unmap(entry))
    }
}
