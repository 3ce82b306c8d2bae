use std::{
    collections::HashMap,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use super::*;
use crate::{
    bucket::Bucket,
    key::{KeyHasher, Secret},
    leaky::Leaky,
    rate::Rate,
    window::Window,
};

const SECOND: Duration = Duration::from_secs(1);
const NANOS: u64 = 1_000_000_000;

fn key(number: u64) -> Key {
    KeyHasher::new(&Secret::new([1; 16]), "test").part(&number.to_le_bytes()).finish()
}

fn bucket(rate: u64, burst: u64) -> Algorithm {
    Algorithm::TokenBucket(Bucket::new(Rate::new(rate, SECOND).unwrap(), burst).unwrap())
}

fn leaky(rate: u64, queue: u64) -> Algorithm {
    Algorithm::LeakyBucket(Leaky::new(Rate::new(rate, SECOND).unwrap(), queue).unwrap())
}

fn window(quota: u64, window: Duration) -> Algorithm {
    Algorithm::SlidingWindow(Window::new(quota, window).unwrap())
}

fn ask(algorithm: &Algorithm, key: Key) -> Ask<'_> {
    Ask { algorithm, key, cost: 1, dry_run: false }
}

fn remaining(store: &Local, algorithm: &Algorithm, key: Key, now: Nanos) -> u64 {
    store.check_one(&Ask { cost: 0, ..ask(algorithm, key) }, now).remaining
}

/// Runs `work` in `count` threads that begin together, and adds up what they return.
fn in_threads(count: u64, work: impl Fn(u64) -> u64 + Sync) -> u64 {
    let (work, barrier) = (&work, &Barrier::new(count as usize));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|thread| {
                scope.spawn(move || {
                    barrier.wait();
                    work(thread)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn threads_share_a_burst_exactly() {
    for algorithm in [bucket(1, 10_000), leaky(1, 9_999), window(10_000, SECOND)] {
        let store = Local::new(1_000);
        let passed = in_threads(4, |_| {
            let ask = ask(&algorithm, key(1));
            (0..5_000).filter(|_| store.check_one(&ask, Nanos::ZERO).allowed()).count() as u64
        });
        assert_eq!(passed, 10_000);
    }
}

#[test]
fn threads_share_a_rate_exactly_though_their_clocks_race() {
    let (rate, burst, step) = (1_000_000, 100, 137);
    let algorithm = bucket(rate, burst);
    let store = Local::new(1_000);
    // Emptied first: what is earned while it is full is lost, and who comes first is chance.
    let taken = (0..burst)
        .filter(|_| store.check_one(&ask(&algorithm, key(1)), Nanos::ZERO).allowed())
        .count() as u64;
    let clock = AtomicU64::new(0);
    let passed = in_threads(4, |_| {
        let ask = ask(&algorithm, key(1));
        let once = || {
            // The others may decide before this one does, with later times.
            let now = Nanos::new(clock.fetch_add(step, Relaxed));
            store.check_one(&ask, now).allowed()
        };
        (0..100_000).filter(|_| once()).count() as u64
    });
    let end = Nanos::new(clock.load(Relaxed));
    let left = remaining(&store, &algorithm, key(1), end);
    assert_eq!(taken, burst);
    assert_eq!(passed + left, end.get() * rate / NANOS);
}

#[test]
fn threads_under_several_limits_charge_all_or_none() {
    let limits = [bucket(1, 3_000), bucket(1, 5_000), window(4_000, SECOND), bucket(1, 100_000)];
    let store = Local::new(1_000_000);
    let charged: [AtomicU64; 4] = Default::default();
    // Every order, so that locks taken in the order of asking would wait for each other.
    let sets: [&[usize]; 6] = [&[0, 1, 2], &[2, 1, 0], &[1, 3], &[3, 1], &[2, 3, 0], &[3]];
    in_threads(4, |thread| {
        let mut rng = fastrand::Rng::with_seed(thread);
        for _ in 0..20_000 {
            let set = sets[rng.usize(0..sets.len())];
            let asks: Vec<_> = set.iter().map(|i| ask(&limits[*i], key(*i as u64))).collect();
            if store.check(&asks, Nanos::ZERO).allowed() {
                set.iter().for_each(|i| _ = charged[*i].fetch_add(1, Relaxed));
            }
        }
        0
    });
    for (i, (limit, charged)) in limits.iter().zip(charged).enumerate() {
        let left = remaining(&store, limit, key(i as u64), Nanos::ZERO);
        let quota = [3_000, 5_000, 4_000, 100_000][i];
        assert_eq!(left + charged.into_inner(), quota, "limit {i}");
        assert!(i == 3 || left == 0 || i == 2, "limit {i} was used up");
    }
}

#[test]
fn a_denied_request_takes_nothing_from_others_meanwhile() {
    // One thread asks for what is never there together with what the other needs. If it took the
    // one before it looked at the other, the other thread would now and then be denied.
    let (plenty, nothing) = (bucket(1, 10_000), bucket(0, 0));
    let store = Local::new(1_000_000);
    let passed = in_threads(2, |thread| {
        let asks = [ask(&plenty, key(1)), ask(&nothing, key(2))];
        let asks = if thread == 0 { &asks[..1] } else { &asks[..] };
        (0..10_000).filter(|_| store.check(asks, Nanos::ZERO).allowed()).count() as u64
    });
    assert_eq!(passed, 10_000);
}

/// The rules, spelled out: one after the other on a copy, which counts only if all pass.
#[derive(Default, Clone)]
struct Model {
    moments: HashMap<Key, Moment>,
    counts: HashMap<Key, Counts>,
}

impl Model {
    fn one(&mut self, ask: &Ask<'_>, now: Nanos) -> Decision {
        match ask.algorithm {
            Algorithm::TokenBucket(bucket) => {
                let state = self.moments.entry(ask.key).or_default();
                let turn = bucket.decide(*state, ask.cost, now);
                *state = turn.keep.unwrap_or(*state);
                turn.decision
            }
            Algorithm::LeakyBucket(leaky) => {
                let state = self.moments.entry(ask.key).or_default();
                let turn = leaky.decide(*state, ask.cost, now);
                *state = turn.keep.unwrap_or(*state);
                turn.decision
            }
            Algorithm::SlidingWindow(window) => {
                let state = self.counts.entry(ask.key).or_default();
                let turn = window.decide(*state, ask.cost, now);
                *state = turn.keep.unwrap_or(*state);
                turn.decision
            }
        }
    }

    fn check(&mut self, asks: &[Ask<'_>], now: Nanos) -> Vec<Decision> {
        let mut after = self.clone();
        let decisions: Vec<_> = asks.iter().map(|ask| after.one(ask, now)).collect();
        let denied = asks.iter().zip(&decisions).any(|(a, d)| !a.dry_run && !d.allowed());
        if !denied {
            *self = after;
        }
        decisions
    }
}

#[test]
fn agrees_with_the_rules() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let limits = [
            bucket(10, 5),
            bucket(3, 20),
            leaky(7, 4),
            window(6, SECOND),
            window(30, 5 * SECOND),
            bucket(0, 5),
        ];
        let swept = Local::new(100_000);
        let unswept = Local::new(1_000_000);
        let mut model = Model::default();
        let mut now = 10 * NANOS;
        for _ in 0..2_000 {
            now += rng.u64(0..NANOS / 10);
            let count = if rng.bool() { 1 } else { rng.usize(0..5) };
            let asks: Vec<_> = (0..count)
                .map(|_| {
                    // The last limit denies everything: seldom.
                    let limit = if rng.u8(0..20) == 0 { 5 } else { rng.u64(0..5) };
                    Ask {
                        algorithm: &limits[limit as usize],
                        key: key(limit * 100 + rng.u64(0..4)),
                        cost: rng.u64(0..3),
                        dry_run: rng.u8(0..5) == 0,
                    }
                })
                .collect();
            let now = Nanos::new(now);
            let expected = model.check(&asks, now);
            let verdict = swept.check(&asks, now);
            assert_eq!(unswept.check(&asks, now), verdict, "sweeping changes nothing");
            for ((ruling, expected), ask) in verdict.rulings().iter().zip(&expected).zip(&asks) {
                assert_eq!(ruling.decision.allowed(), expected.allowed(), "seed {seed}");
                if asks.iter().filter(|other| other.key == ask.key).count() == 1 {
                    assert_eq!(ruling.decision.retry_after(), expected.retry_after());
                }
                assert_eq!(ruling.dry_run, ask.dry_run);
                let left = if verdict.allowed() {
                    expected.remaining
                } else if expected.allowed() {
                    model.clone().one(&Ask { cost: 0, ..*ask }, now).remaining
                } else {
                    continue;
                };
                assert_eq!(ruling.decision.remaining, left, "seed {seed}");
            }
            if rng.u8(0..10) == 0 {
                swept.sweep(now, rng.usize(0..100));
            }
        }
        assert!(swept.usage().keys <= unswept.usage().keys);
    }
}

#[test]
fn a_limit_asked_twice_is_charged_twice() {
    let limit = bucket(1, 3);
    let store = Local::new(100);
    let asks = [ask(&limit, key(1)), ask(&limit, key(1))];
    assert!(store.check(&asks, Nanos::ZERO).allowed());
    let denied = store.check(&asks, Nanos::ZERO);
    assert!(denied.rulings()[0].decision.allowed() && !denied.rulings()[1].decision.allowed());
    let wait = denied.rulings()[1].decision.retry_after();
    assert_eq!(wait, Some(SECOND), "until both would pass");
    assert_eq!(remaining(&store, &limit, key(1), Nanos::ZERO), 1);
}

#[test]
fn a_step_back_of_the_clock_is_remembered_though_denied() {
    let (limit, other) = (bucket(10, 5), bucket(10, 5));
    let store = Local::new(100);
    let asks = [Ask { cost: 5, ..ask(&limit, key(1)) }, ask(&other, key(2))];
    assert!(store.check(&asks, Nanos::new(7_200 * NANOS)).allowed());
    let asks = [ask(&limit, key(1)), ask(&other, key(2))];
    let now = 3_600 * NANOS;
    assert!(!store.check(&asks, Nanos::new(now)).allowed());
    assert!(store.check(&asks, Nanos::new(now + NANOS / 10)).allowed());
}

#[test]
fn a_flood_of_keys_neither_grows_the_store_nor_frees_the_spendthrift() {
    let limit = bucket(10, 1_000);
    let store = Local::new(10_000);
    let spendthrift = Ask { cost: 1_000, ..ask(&limit, key(0)) };
    assert!(store.check_one(&spendthrift, Nanos::ZERO).allowed());
    for number in 1..200_000 {
        assert!(store.check_one(&ask(&limit, key(number)), Nanos::new(number)).allowed());
    }
    let usage = store.usage();
    assert!((9_000..=10_000).contains(&usage.keys), "{usage:?}");
    assert!(usage.lost > 180_000, "{usage:?}");
    assert!(!store.check_one(&ask(&limit, key(0)), Nanos::new(200_000)).allowed());
}

#[test]
fn sweeping_goes_round_and_gives_room_back() {
    let limits = [bucket(10, 10), window(10, SECOND)];
    let store = Local::new(100_000);
    for number in 0..40_000 {
        let limit = &limits[number as usize % 2];
        assert!(store.check_one(&ask(limit, key(number)), Nanos::new(1)).allowed());
    }
    let full = store.usage();
    assert_eq!(full.keys, 40_000);
    assert_eq!(store.sweep(Nanos::new(NANOS), usize::MAX), Swept { seen: 40_000, removed: 0 });
    let (mut removed, mut turns) = (0, 0);
    while removed < 40_000 {
        let swept = store.sweep(Nanos::new(5 * NANOS), 1_000);
        assert!(swept.seen < 1_000 + 2 * SHARD_KEYS, "{swept:?}");
        removed += swept.removed;
        turns += 1;
    }
    assert!(turns > 20);
    let empty = store.usage();
    assert_eq!((empty.keys, empty.lost), (0, 0));
    assert!(empty.bytes * 10 < full.bytes, "{empty:?}");
}

#[test]
fn settling_and_forgetting() {
    let now = Nanos::new(NANOS);
    let store = Local::new(100);
    for (number, limit) in [(0, bucket(1, 10)), (1, window(10, 10 * SECOND)), (2, leaky(1, 9))] {
        let key = key(number);
        let left = || remaining(&store, &limit, key, now);
        store.refund(&limit, key, 5, now, now);
        assert_eq!(left(), 10, "there is nothing to give back");
        assert_eq!(store.usage().keys, 0);
        assert!(store.check_one(&Ask { cost: 4, ..ask(&limit, key) }, now).allowed());
        store.charge(&limit, key, 3, now);
        assert_eq!(left(), 3);
        store.refund(&limit, key, 2, now, now);
        assert_eq!(left(), if number == 2 { 3 } else { 5 });
        store.charge(&limit, key, u64::MAX, now);
        assert_eq!(left(), 0);
        store.forget(key);
        assert_eq!(left(), 10);
        assert_eq!(store.usage().keys, 0);
    }
}

#[test]
fn no_limits_and_no_room() {
    let store = Local::new(0);
    assert!(store.check(&[], Nanos::ZERO).allowed());
    let limit = bucket(1, 1);
    assert!(store.check_one(&ask(&limit, key(1)), Nanos::ZERO).allowed());
    assert!(!store.check_one(&ask(&limit, key(1)), Nanos::ZERO).allowed());
    assert!(store.check_one(&ask(&limit, key(2)), Nanos::ZERO).allowed());
    assert_eq!(store.usage().keys, 1);
}
