use std::collections::HashMap;

use super::*;

impl Kept for u64 {
    fn spent_at(&self) -> u64 {
        *self
    }
}

fn key(place: u64) -> Key {
    Key { place, shard: 1 }
}

fn check(table: &Table<u64>, expected: &HashMap<Key, u64>) {
    assert_eq!(table.len(), expected.len());
    assert_eq!(table.iter().collect::<HashMap<_, _>>(), *expected);
    assert!(expected.iter().all(|(key, value)| table.find(*key).0 == Some(*value)));
    assert!(table.places.is_empty() || table.len * 4 <= table.places.len() * 3);
}

#[test]
fn agrees_with_a_map() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut table = Table::default();
        let mut expected = HashMap::new();
        // Few different homes and many of them at the end, so that chains are long and wrap.
        let any_key = |rng: &mut fastrand::Rng| match rng.u8(0..4) {
            0 => key(u64::MAX - rng.u64(0..20)),
            1 => key(rng.u64(0..20)),
            2 => key(rng.u64(0..20) << 58),
            _ => key(rng.u64(..)),
        };
        for step in 0..600 {
            let key = any_key(&mut rng);
            match rng.u8(0..20) {
                0..12 => {
                    let value = rng.u64(0..1_000);
                    assert!(!table.insert(key, value, 1_000, 0));
                    expected.insert(key, value);
                }
                12..19 => {
                    table.remove(key);
                    expected.remove(&key);
                }
                _ => {
                    let now = rng.u64(0..300);
                    let before = expected.len();
                    expected.retain(|_, value| *value > now);
                    assert_eq!(table.sweep(now), before - expected.len());
                }
            }
            assert_eq!(table.find(key).0, expected.get(&key).copied());
            if step % 50 == 0 {
                check(&table, &expected);
            }
        }
        check(&table, &expected);
    }
}

#[test]
fn a_full_table_gives_up_what_is_spent_first() {
    let mut table = Table::default();
    for i in 0..8 {
        assert!(!table.insert(key(i << 60), 100 + i, 8, 0));
    }
    assert!(table.insert(key(8 << 60), 500, 8, 50), "100 was not spent yet");
    assert_eq!(table.len(), 8);
    assert_eq!(table.find(key(0)).0, None);
    assert!(!table.insert(key(9 << 60), 500, 8, 101), "101 was");
    assert_eq!(table.find(key(1 << 60)).0, None);
    assert!(!table.insert(key(9 << 60), 600, 8, 101), "a known key needs no room");
}

#[test]
fn room_is_given_back() {
    let mut table = Table::default();
    let mut rng = fastrand::Rng::with_seed(3);
    for i in 0..10_000 {
        table.insert(key(rng.u64(..)), i, 20_000, 0);
    }
    let full = table.bytes();
    assert!(full <= 10_000 * size_of::<Entry<u64>>() * 16 / 9 + 100, "{full}");
    assert_eq!(table.sweep(9_989), 9_990);
    assert!(table.bytes() < full / 100);
    assert_eq!(table.sweep(u64::MAX), 10);
    assert_eq!(table.bytes(), 0);
    assert_eq!(table.find(key(1)), (None, 0));
}
