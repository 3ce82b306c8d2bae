use std::{collections::HashMap, sync::Barrier, thread, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::purges::{Purge, Purged, Selector};

const SIEVE: Admission = Admission { probation: 0, heavy: 0 };
const UNITS: Options =
    Options { capacity: 100, shards: 1, weighing: Weighing::Units, admission: SIEVE };
const NOW: Time = Time::from_seconds(1_000);

fn key(name: &str) -> Key {
    Key::from(name.as_bytes())
}

fn fill(value: u32, weight: u64) -> Fill<u32> {
    Fill { value, weight, expires: Time::NEVER, tags: Vec::new() }
}

fn tagged(value: u32, tags: &[&str]) -> Fill<u32> {
    let tags = tags.iter().map(|tag| tag.as_bytes().into()).collect();
    Fill { tags, ..fill(value, 1) }
}

/// A store for tests: the calls without what most of them do not care for.
struct Subject(Store<u32>);

impl Subject {
    fn new(options: Options) -> Self {
        Self(Store::new(options, 7))
    }

    fn insert(&self, name: &str, fill: Fill<u32>) -> Result<(), Refused> {
        let done = self.0.insert(&key(name), fill, self.0.ticket(), NOW);
        self.check();
        done
    }

    fn value(&self, name: &str, now: Time) -> Option<u32> {
        self.0.read(name.as_bytes(), now, |entry| *entry.value())
    }

    fn has(&self, names: &[&str]) -> Vec<bool> {
        // Without a visit.
        names.iter().map(|name| self.0.map.pin().contains_key(name.as_bytes())).collect()
    }

    /// Map, queues and indexes agree, and the budget holds.
    fn check(&self) {
        assert!(self.0.shards.iter().all(|shard| lock(shard).is_consistent(&self.0.hasher)));
        assert_eq!(self.0.map.len(), self.0.len());
        assert!(self.0.weight() <= self.0.capacity());
    }
}

#[test]
fn evicts_in_the_order_of_sieve() {
    let store = Subject::new(Options { capacity: 3, ..UNITS });
    for name in ["a", "b", "c"] {
        store.insert(name, fill(1, 1)).unwrap();
    }
    assert_eq!(store.value("a", NOW), Some(1));
    store.insert("d", fill(1, 1)).unwrap();
    assert_eq!(store.has(&["a", "b", "c", "d"]), [true, false, true, true]);
    // The hand goes on behind b, though a is clear by now.
    store.insert("e", fill(1, 1)).unwrap();
    assert_eq!(store.has(&["a", "c", "d", "e"]), [true, false, true, true]);
}

#[test]
fn evicts_as_many_as_it_takes() {
    let store = Subject::new(UNITS);
    for i in 0..10 {
        store.insert(&i.to_string(), fill(i, 10)).unwrap();
    }
    store.insert("big", fill(0, 55)).unwrap();
    assert_eq!(store.0.len(), 5);
    assert_eq!(store.0.weight(), 95);
    assert_eq!(store.insert("huge", fill(0, 101)), Err(Refused::TooLarge));
    assert_eq!(store.insert("all", fill(0, 100)), Ok(()));
    assert_eq!(store.0.len(), 1);
}

#[test]
fn a_large_entry_evicts_thousands_in_bites() {
    let count = 10 * SWEEP_MAX as u64;
    let store = Subject::new(Options { capacity: count, ..UNITS });
    for i in 0..count {
        store.0.insert(&key(&i.to_string()), fill(0, 1), store.0.ticket(), NOW).unwrap();
        // All bits are set: the first sweep goes round once.
        store.value(&i.to_string(), NOW).unwrap();
    }
    store.insert("big", fill(0, count - 1)).unwrap();
    assert_eq!(store.0.len(), 2);
    assert_eq!(store.has(&[&(count - 1).to_string()]), [true]);
}

#[test]
fn an_object_larger_than_a_shard_is_refused() {
    let store = Subject::new(Options { shards: 4, ..UNITS });
    assert_eq!(store.0.entry_max(), 25);
    assert_eq!(store.insert("a", fill(0, 26)), Err(Refused::TooLarge));
    assert_eq!(store.insert("a", fill(0, 25)), Ok(()));
}

#[test]
fn counts_key_tags_and_overhead() {
    let options =
        Options { capacity: 10_000, shards: 1, weighing: Weighing::Bytes, admission: SIEVE };
    let store = Subject::new(options);
    let tags = vec![b"red".as_slice().into(), b"green".as_slice().into()];
    store.insert("12345", Fill { tags, ..fill(0, 1_000) }).unwrap();
    let expected = 1_024 + 5 + ENTRY_OVERHEAD + 3 + 5 + 2 * TAG_OVERHEAD;
    assert_eq!(store.0.weight(), expected);
    assert_eq!(store.insert("1", fill(0, u64::MAX)), Err(Refused::TooLarge));
}

#[test]
fn an_expired_entry_is_not_found_and_goes_first() {
    let store = Subject::new(Options { capacity: 3, ..UNITS });
    let later = NOW + Duration::from_secs(10);
    store.insert("oldest", fill(1, 1)).unwrap();
    store.insert("mortal", Fill { expires: later, ..fill(2, 1) }).unwrap();
    store.insert("newest", fill(3, 1)).unwrap();
    assert_eq!(store.value("mortal", NOW), Some(2));
    assert_eq!(store.value("mortal", later), None);
    assert_eq!(store.0.len(), 3);
    // It was visited, and it is not the oldest: it goes all the same.
    store.0.insert(&key("new"), fill(4, 1), store.0.ticket(), later).unwrap();
    store.check();
    assert_eq!(store.has(&["oldest", "mortal", "newest", "new"]), [true, false, true, true]);
    let dead = Fill { expires: NOW, ..fill(0, 1) };
    assert_eq!(store.insert("dead", dead), Err(Refused::Expired));
}

#[test]
fn removes_what_expired() {
    let store = Subject::new(UNITS);
    for i in 0..10_u64 {
        let expires = NOW + Duration::from_secs(i + 1);
        store.insert(&i.to_string(), Fill { expires, ..fill(0, 1) }).unwrap();
    }
    let later = NOW + Duration::from_secs(5);
    assert_eq!(store.0.remove_expired(later, 2), 2);
    assert_eq!(store.0.remove_expired(later, 99), 3);
    assert_eq!(store.0.remove_expired(later, 99), 0);
    assert_eq!(store.0.len(), 5);
    store.check();
}

#[test]
fn an_overwrite_is_a_visit_and_changes_weight_expiry_and_tags() {
    let store = Subject::new(Options { capacity: 10, ..UNITS });
    store.insert("a", tagged(1, &["old"])).unwrap();
    store.insert("b", fill(2, 5)).unwrap();
    store.insert("a", Fill { weight: 4, ..tagged(3, &["new"]) }).unwrap();
    assert_eq!((store.value("a", NOW), store.0.weight()), (Some(3), 9));
    // It grows over the budget: b goes, for a was visited.
    store.insert("a", Fill { weight: 7, ..tagged(4, &["new"]) }).unwrap();
    assert_eq!(store.has(&["a", "b"]), [true, false]);
    assert_eq!(store.0.purge(Selector::Tag(b"old"), Purge::Hard).entries, 0);
    assert_eq!(store.0.purge(Selector::Tag(b"new"), Purge::Hard).entries, 1);
    store.check();
}

#[test]
fn an_entry_may_make_room_for_its_own_successor() {
    let store = Subject::new(Options { capacity: 10, ..UNITS });
    store.insert("a", fill(1, 5)).unwrap();
    store.insert("b", fill(2, 5)).unwrap();
    store.value("b", NOW);
    store.insert("a", fill(3, 10)).unwrap();
    assert_eq!((store.value("a", NOW), store.value("b", NOW)), (Some(3), None));
}

#[test]
fn purges_by_name_prefix_and_tag() {
    let names = ["s://a/x", "s://a/x\0HEAD", "s://a/x\0Q\0b", "s://a/xy", "s://a/y", "s://b/x"];
    let filled = || {
        let store = Subject::new(Options { shards: 3, ..UNITS });
        for (i, name) in names.iter().enumerate() {
            let tags: &[&str] = if i % 2 == 0 { &["even", "all"] } else { &["all"] };
            store.insert(name, tagged(0, tags)).unwrap();
        }
        store
    };
    let cases = [
        (Selector::Name(b"s://a/x"), [false, false, false, true, true, true]),
        (Selector::Name(b"s://a/"), [true; 6]),
        (Selector::Prefix(b"s://a/x"), [false, false, false, false, true, true]),
        (Selector::Prefix(b"s://a/"), [false, false, false, false, false, true]),
        (Selector::Prefix(b""), [false; 6]),
        (Selector::Tag(b"even"), [false, true, false, true, false, true]),
        (Selector::Tag(b"odd"), [true; 6]),
        (Selector::All, [false; 6]),
    ];
    for (what, left) in cases {
        let store = filled();
        let gone = left.iter().filter(|left| !**left).count() as u64;
        let purged = store.0.purge(what, Purge::Hard);
        assert_eq!(purged, Purged { entries: gone, weight: gone }, "{what:?}");
        assert_eq!(store.has(&names), left, "{what:?}");
        store.check();

        let store = filled();
        assert_eq!(store.0.purge(what, Purge::Soft).entries, gone, "{what:?}");
        for (name, left) in names.iter().zip(left) {
            let outdated = store.0.read(name.as_bytes(), NOW, Entry::is_outdated);
            assert_eq!(outdated, Some(!left), "{what:?} {name}");
        }
        store.check();
    }
}

#[test]
fn a_purge_catches_what_is_under_way() {
    let store = Subject::new(UNITS);
    let ticket = store.0.ticket();
    store.0.purge(Selector::Name(b"a"), Purge::Soft);
    let refused = store.0.insert(&key("a"), fill(0, 1), ticket, NOW);
    assert_eq!(refused, Err(Refused::Purged));
    assert_eq!(store.0.insert(&key("b"), fill(0, 1), ticket, NOW), Ok(()));
    assert_eq!(store.insert("a", fill(0, 1)), Ok(()));
    let ticket = store.0.ticket();
    store.0.purge(Selector::Tag(b"t"), Purge::Hard);
    let refused = store.0.update(&key("a"), ticket, NOW, |_| Some(tagged(0, &["t"])));
    assert_eq!(refused, Err(Refused::Purged));
}

#[test]
fn what_takes_the_place_of_what_it_makes_invalid_is_stored() {
    let store = Subject::new(UNITS);
    let ticket = store.0.ticket();
    store.0.insert(&key("a"), fill(0, 1), ticket, NOW).unwrap();
    let mine = store.0.supersede(b"a", ticket);
    assert!(store.0.entry(b"a", NOW).is_none());
    assert_eq!(store.0.insert(&key("a"), fill(0, 1), ticket, NOW), Err(Refused::Purged));
    assert_eq!(store.0.insert(&key("a"), fill(1, 1), mine, NOW), Ok(()));
    store.0.purge(Selector::Name(b"a"), Purge::Hard);
    assert_eq!(store.0.insert(&key("a"), fill(1, 1), mine, NOW), Err(Refused::Purged));
}

#[test]
fn a_purge_hands_the_hand_on() {
    let store = Subject::new(Options { capacity: 4, ..UNITS });
    for name in ["a", "b", "c", "d"] {
        store.insert(name, fill(0, 1)).unwrap();
    }
    store.value("a", NOW);
    // a is passed, b goes, the hand is at c.
    store.insert("e", fill(0, 1)).unwrap();
    store.0.purge(Selector::Name(b"c"), Purge::Hard);
    store.insert("f", fill(0, 1)).unwrap();
    // From d on, not from a, the tail.
    store.insert("g", fill(0, 1)).unwrap();
    assert_eq!(store.has(&["a", "d", "e", "f", "g"]), [true, false, true, true, true]);
}

#[test]
fn an_update_sees_what_is_there() {
    let store = Subject::new(UNITS);
    let add = |by: u32| {
        store.0.update(&key("a"), store.0.ticket(), NOW, |before| {
            Some(fill(before.map_or(0, |entry| *entry.value()) + by, 1))
        })
    };
    add(1).unwrap();
    add(2).unwrap();
    assert_eq!(store.value("a", NOW), Some(3));
    let withdrawn = store.0.update(&key("a"), store.0.ticket(), NOW, |_| None);
    assert_eq!(withdrawn, Err(Refused::Withdrawn));
}

#[test]
fn no_update_is_lost_among_threads() {
    let store = Store::<u32>::new(Options { shards: 2, ..UNITS }, 7);
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for i in 0..500 {
                    let name = key(["a", "b", "c"][i % 3]);
                    store
                        .update(&name, store.ticket(), NOW, |before| {
                            Some(fill(before.map_or(0, |entry| *entry.value()) + 1, 1))
                        })
                        .unwrap();
                }
            });
        }
    });
    let count = |name: &str| store.read(name.as_bytes(), NOW, |entry| *entry.value()).unwrap();
    assert_eq!(["a", "b", "c"].map(count).iter().sum::<u32>(), 2_000);
}

#[test]
fn the_budget_holds_while_many_read_write_and_purge() {
    let store = Subject::new(Options {
        capacity: 200,
        shards: 4,
        weighing: Weighing::Units,
        admission: SIEVE,
    });
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for seed in 0..4 {
            let (store, start) = (&store.0, &start);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                start.wait();
                for _ in 0..4_000 {
                    let name = rng.u32(0..400).to_string();
                    match rng.u32(0..100) {
                        0 => _ = store.purge(Selector::Prefix(&name.as_bytes()[..1]), Purge::Hard),
                        1 => _ = store.purge(Selector::Tag(b"7"), Purge::Hard),
                        2..50 => {
                            let tag = name.as_bytes()[name.len() - 1..].into();
                            let expires = NOW + Duration::from_millis(rng.u64(1..50));
                            let weight = rng.u64(1..20);
                            let fill = Fill { value: 1, weight, expires, tags: vec![tag] };
                            let now = NOW + Duration::from_millis(rng.u64(0..30));
                            _ = store.insert(&key(&name), fill, store.ticket(), now);
                            assert!(store.weight() <= 200);
                        }
                        _ => _ = store.read(name.as_bytes(), NOW, |entry| *entry.value()),
                    }
                }
            });
        }
    });
    store.check();
}

#[test]
fn a_change_of_size_keeps_what_fits() {
    for (before, after) in [(1, 1), (4, 4), (1, 4), (4, 1), (16, 2)] {
        let options = Options { capacity: 1_600, shards: before, ..UNITS };
        let store = Subject::new(options);
        for i in 0..800_u32 {
            let (key, fill) = (key(&i.to_string()), tagged(i, &["all"]));
            store.0.insert(&key, fill, store.0.ticket(), NOW).unwrap();
        }
        for i in 0..100_u32 {
            store.value(&i.to_string(), NOW);
        }
        store.0.resize(3_200, after, NOW);
        store.check();
        assert_eq!((store.0.len(), store.0.capacity()), (800, 3_200), "{before} to {after}");
        assert_eq!(store.0.entry_max(), 3_200 / after as u64);
        store.0.resize(400, after, NOW);
        store.check();
        // Hardly fewer, for shards are not equally full; what was used is among them.
        let left = store.0.len();
        assert!((300..=400).contains(&left), "{before} to {after}: {left}");
        let used = (0..100).filter(|i: &u32| store.has(&[&i.to_string()])[0]).count();
        assert!(used > 85, "{before} to {after}: {used}");
        assert_eq!(store.value("700", NOW).is_some(), store.has(&["700"])[0]);
        assert_eq!(store.0.purge(Selector::Tag(b"all"), Purge::Hard).entries, left as u64);
        assert_eq!(store.insert("a", fill(0, 400 / after as u64)), Ok(()));
        assert_eq!(store.insert("b", fill(0, 401)), Err(Refused::TooLarge));
        store.check();
    }
}

#[test]
fn what_is_heavier_than_a_share_goes_alone() {
    let store = Subject::new(UNITS);
    store.insert("big", fill(0, 60)).unwrap();
    store.insert("small", fill(0, 10)).unwrap();
    store.0.resize(80, 2, NOW);
    assert_eq!(store.has(&["big", "small"]), [false, true]);
    store.check();
}

#[test]
fn the_size_may_change_while_many_read_write_and_purge() {
    let store = Subject::new(Options {
        capacity: 400,
        shards: 4,
        weighing: Weighing::Units,
        admission: SIEVE,
    });
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for seed in 0..3 {
            let (store, start) = (&store.0, &start);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                start.wait();
                for _ in 0..4_000 {
                    let name = rng.u32(0..400).to_string();
                    match rng.u32(0..100) {
                        0 => _ = store.purge(Selector::Prefix(&name.as_bytes()[..1]), Purge::Hard),
                        1..50 => {
                            let fill = fill(1, rng.u64(1..40));
                            _ = store.insert(&key(&name), fill, store.ticket(), NOW);
                        }
                        _ => _ = store.read(name.as_bytes(), NOW, |entry| *entry.value()),
                    }
                }
            });
        }
        start.wait();
        for size in 1..100_u64 {
            store.0.resize(100 + size * 37 % 400, (size * 7 % 16) as usize, NOW);
        }
    });
    store.0.resize(200, 4, NOW);
    store.check();
}

/// How many of a trace's requests miss; a trace of the Zipf kind, from a seed.
fn misses(capacity: u64, shards: usize) -> u32 {
    let store = Store::<u32>::new(Options { capacity, shards, ..UNITS }, 7);
    let mut rng = fastrand::Rng::with_seed(42);
    let mut misses = 0;
    for _ in 0..60_000 {
        let key = key(&((20_000_f64.powf(rng.f64())) as u32).to_string());
        if store.read(key.as_bytes(), NOW, |_| ()).is_none() {
            misses += 1;
            store.insert(&key, fill(0, 1), store.ticket(), NOW).unwrap();
        }
    }
    misses
}

/// The same requests to nothing but a row that is searched from end to end.
fn misses_of_a_row(capacity: usize) -> u32 {
    let mut rng = fastrand::Rng::with_seed(42);
    // Oldest first: a number and whether it was visited.
    let (mut row, mut hand, mut misses) = (Vec::<(u32, bool)>::new(), 0, 0);
    for _ in 0..60_000 {
        let id = 20_000_f64.powf(rng.f64()) as u32;
        if let Some(found) = row.iter_mut().find(|(other, _)| *other == id) {
            found.1 = true;
            continue;
        }
        misses += 1;
        if row.len() == capacity {
            while std::mem::take(&mut row[hand].1) {
                hand = (hand + 1) % capacity;
            }
            row.remove(hand);
            // The newer neighbour has moved into its place; past the newest comes the oldest.
            hand = if hand == row.len() { 0 } else { hand };
        }
        row.push((id, false));
    }
    misses
}

#[test]
fn one_shard_misses_as_sieve_does() {
    for capacity in [20, 200] {
        assert_eq!(misses(capacity, 1), misses_of_a_row(capacity as usize), "{capacity}");
    }
}

#[test]
fn who_is_on_probation_is_in_nobody_s_way() {
    let admission = Admission { probation: 10, heavy: 0 };
    let store = Subject::new(Options { admission, ..UNITS });
    let one = |name: &str| store.0.insert(&key(name), fill(0, 1), store.0.ticket(), NOW).unwrap();
    for i in 0..100 {
        one(&i.to_string());
        store.value(&i.to_string(), NOW);
    }
    // All were hit while on probation; none that comes once pushes more than a few out.
    for i in 1_000..3_000 {
        one(&i.to_string());
        store.check();
    }
    let left = (0..100).filter(|i: &u32| store.has(&[&i.to_string()])[0]).count();
    assert!(left >= 85, "{left}");
    // Who comes back soon after it was turned out is no stranger.
    assert_eq!(store.has(&["2980"]), [false]);
    one("2980");
    for i in 5_000..5_050 {
        one(&i.to_string());
    }
    assert_eq!(store.has(&["2980"]), [true]);
}

#[test]
fn the_heavy_come_in_the_second_time() {
    let admission = Admission { probation: 0, heavy: 4 };
    let store = Subject::new(Options { admission, ..UNITS });
    assert_eq!(store.insert("early", fill(0, 50)), Ok(()), "there is room");
    for i in 0..100 {
        store.insert(&i.to_string(), fill(0, 1)).unwrap();
    }
    assert_eq!(store.insert("heavy", fill(0, 20)), Err(Refused::Heavy));
    assert_eq!(store.insert("heavy", fill(0, 20)), Ok(()));
    assert_eq!(store.insert("heavy", fill(0, 30)), Ok(()), "it is there");
}

#[test]
fn many_shards_miss_hardly_more_than_one() {
    for capacity in [400, 2_000] {
        let more = f64::from(misses(capacity, 16)) - f64::from(misses(capacity, 1));
        assert!(more.abs() / 60_000.0 < 0.005, "{more}");
    }
}

/// A plain map can tell whether what the store finds was ever put there and is still good.
#[derive(Debug, Clone)]
enum Step {
    Insert { id: u8, weight: u64, lives: u64, tag: u8 },
    Read(u8),
    Purge(u8),
    PurgeTag(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..30_u8, 1..30_u64, 1..60_u64, 0..4_u8)
            .prop_map(|(id, weight, lives, tag)| Step::Insert { id, weight, lives, tag }),
        4 => (0..30_u8).prop_map(Step::Read),
        1 => (0..30_u8).prop_map(Step::Purge),
        1 => (0..4_u8).prop_map(Step::PurgeTag),
        1 => (0..20_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn finds_only_what_is_good(
        steps in prop::collection::vec(step(), 0..200),
        shards in 1..5_usize,
    ) {
        let store = Subject::new(Options { shards, ..UNITS });
        let mut model = HashMap::<u8, (u32, Time, u8)>::new();
        let mut now = NOW;
        for (count, step) in steps.into_iter().enumerate() {
            let count = count as u32;
            match step {
                Step::Insert { id, weight, lives, tag } => {
                    let expires = now + Duration::from_secs(lives);
                    let tags = vec![[tag].as_slice().into()];
                    let fill = Fill { value: count, weight, expires, tags };
                    let done = store.0.insert(&key(&id.to_string()), fill, store.0.ticket(), now);
                    let fits = weight <= store.0.entry_max();
                    prop_assert_eq!(done, if fits { Ok(()) } else { Err(Refused::TooLarge) });
                    if fits {
                        model.insert(id, (count, expires, tag));
                    }
                }
                Step::Read(id) => {
                    let good = model.get(&id).filter(|(_, expires, _)| *expires > now);
                    let found = store.value(&id.to_string(), now);
                    prop_assert!(found.is_none() || found == good.map(|(value, ..)| *value));
                }
                Step::Purge(id) => {
                    model.remove(&id);
                    store.0.purge(Selector::Name(id.to_string().as_bytes()), Purge::Hard);
                }
                Step::PurgeTag(tag) => {
                    model.retain(|_, (.., other)| *other != tag);
                    store.0.purge(Selector::Tag(&[tag]), Purge::Hard);
                }
                Step::Wait(seconds) => now = now + Duration::from_secs(seconds),
            }
            store.check();
        }
    }
}

/// What is made of an entry is made anew where that was purged softly meanwhile, though the purge
/// was noted before the ticket was taken: it must not pass for fresh again.
#[test]
fn what_a_purge_has_reached_meanwhile_is_looked_at_again() {
    let store = Subject::new(UNITS);
    store.insert("a", fill(1, 1)).unwrap();
    let (ticket, mut seen) = (store.0.ticket(), Vec::new());
    let made = store.0.update(&key("a"), ticket, NOW, |before| {
        seen.push(before.is_some_and(Entry::is_outdated));
        if seen.len() == 1 {
            store.0.sweep(Selector::Name(b"a"), Purge::Soft);
        }
        Some(fill(2, 1))
    });
    assert_eq!((made, seen), (Ok(()), vec![false, true]));
}

#[test]
fn who_has_passed_probation_need_not_pass_it_again_after_a_change_of_size() {
    let admission = Admission { probation: 20, heavy: 0 };
    let store = Subject::new(Options { capacity: 40, admission, ..UNITS });
    let old: Vec<String> = (0..30).map(|i| format!("old{i}")).collect();
    let fill_all = |names: &[String]| {
        names.iter().for_each(|name| store.insert(name, fill(1, 1)).unwrap());
    };
    fill_all(&old);
    old.iter().for_each(|name| assert!(store.value(name, NOW).is_some()));
    // They pass, and strangers come who are never asked for.
    fill_all(&(0..90).map(|i| format!("new{i}")).collect::<Vec<_>>());
    let kept = || old.iter().filter(|name| store.has(&[name.as_str()])[0]).count();
    assert_eq!(kept(), 30);
    store.0.resize(60, 2, NOW);
    store.0.resize(40, 1, NOW);
    fill_all(&(90..180).map(|i| format!("new{i}")).collect::<Vec<_>>());
    assert_eq!(kept(), 30, "strangers leave first as before");
}
