//! Jump consistent hash (Lamping and Veach, 2014): for shards that are numbered, and of which only
//! the last comes or goes.

/// The shard of a key, below `shards`; 0 when there are none.
///
/// From `n` shards to `n + 1` a key stays where it is or goes to the new one.
#[must_use]
pub fn jump(mut key: u64, shards: u32) -> u32 {
    let (mut shard, mut next) = (0, 0_u64);
    while next < u64::from(shards) {
        shard = next as u32;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let scale = (1_u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        next = ((next + 1) as f64 * scale) as u64;
    }
    shard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::mix;

    #[test]
    fn only_keys_of_a_new_shard_move() {
        for key in (0..2_000).map(mix) {
            for shards in 1..60 {
                let (before, after) = (jump(key, shards), jump(key, shards + 1));
                assert!(after == before || after == shards, "{key} of {shards}");
            }
        }
    }

    #[test]
    fn shards_are_even() {
        let mut counts = [0_u32; 10];
        for key in (0..100_000).map(mix) {
            counts[jump(key, 10) as usize] += 1;
        }
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
    }

    #[test]
    fn no_shards_are_no_loop() {
        assert_eq!(jump(7, 0), 0);
        assert_eq!(jump(u64::MAX, u32::MAX), jump(u64::MAX, u32::MAX));
    }
}
