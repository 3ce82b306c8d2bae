use std::time::Duration;

use super::{fake::Server, *};
use crate::{
    algorithm::Algorithm,
    key::{Key, KeyHasher, Secret},
    local::{self, Local},
};

const SECOND: Duration = Duration::from_secs(1);
/// Microseconds since 1970: the autumn of 2026.
const TODAY: u64 = 1_795_000_000_123_456;

fn run(server: &Server, keys: &[Key], arguments: &[i64], now: u64) -> Vec<i64> {
    server.run(CHECK, keys, arguments, now)
}

/// What a request is told; `alone`, by the script that is for one, where it is.
fn check(server: &Server, keys: &[Key], asks: &[Ask<'_>], alone: bool, now: u64) -> Vec<i64> {
    match asks {
        [ask] if alone && let Some(numbers) = ask.alone() => {
            let said = server.run(ONE, keys, &numbers, now);
            assert_eq!(said.len(), 1);
            ask.widen(said[0]).to_vec()
        }
        _ => run(server, keys, &arguments(asks), now),
    }
}

fn settle(server: &Server, key: Key, settlement: [i64; 2], now: u64) {
    assert_eq!(server.run(SETTLE, &[key], &settlement, now), [1]);
}

fn key(number: usize) -> Key {
    KeyHasher::new(&Secret::new([1; 16]), "remote").part(&number.to_le_bytes()).finish()
}

fn remote(count: u64, per: Duration, burst: u64, debt: u64) -> Remote {
    let bucket = Bucket::new(Rate::new(count, per).unwrap(), burst).unwrap();
    Remote::new(&Algorithm::TokenBucket(bucket.with_debt(debt).unwrap())).unwrap()
}

fn leaky(count: u64, per: Duration, queue: u64) -> Remote {
    let leaky = Leaky::new(Rate::new(count, per).unwrap(), queue).unwrap();
    Remote::new(&Algorithm::LeakyBucket(leaky)).unwrap()
}

fn window(quota: u64, length: Duration) -> Remote {
    Remote::new(&Algorithm::SlidingWindow(Window::new(quota, length).unwrap())).unwrap()
}

fn limits() -> [Remote; 12] {
    [
        remote(10, SECOND, 5, 0),
        remote(3, SECOND, 20, 7),
        remote(1_000, SECOND, 1, 0),
        remote(7, 60 * SECOND, 3, 1),
        remote(1, 3_600 * SECOND * 24 * 365, 40, 0),
        remote(0, SECOND, 5, 0),
        leaky(20, SECOND, 3),
        leaky(7, SECOND, 0),
        window(10, SECOND),
        window(100, 20 * SECOND),
        window(1, Duration::from_micros(12_345)),
        window(0, SECOND),
    ]
}

/// Runs one trace on both and compares decision by decision, state by state.
fn compare(seed: u64, steps_back: bool) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let limits = limits();
    let algorithms = limits.map(|limit| *limit.algorithm());
    let server = Server::new(!steps_back);
    let local = Local::new(1_000_000);
    let mut now = TODAY;
    for _ in 0..1_000 {
        now += rng.u64(0..100_000);
        if steps_back && rng.u8(0..50) == 0 {
            now -= rng.u64(0..3_000_000);
        }
        let mut chosen: Vec<_> =
            (0..12).filter(|i| rng.u8(0..30) < [9, 9, 9, 9, 6, 1, 9, 6, 9, 9, 6, 1][*i]).collect();
        rng.shuffle(&mut chosen);
        if chosen.is_empty() {
            continue;
        }
        let keys: Vec<_> = chosen.iter().map(|i| key(i * 10 + rng.usize(0..2))).collect();
        let asks: Vec<_> = chosen
            .iter()
            .map(|i| {
                let cost = if rng.u8(0..40) == 0 { rng.u64(..) } else { rng.u64(0..3) };
                Ask { limit: &limits[*i], cost, dry_run: rng.u8(0..6) == 0 }
            })
            .collect();
        let expected: Vec<_> = asks
            .iter()
            .zip(&keys)
            .zip(&chosen)
            .map(|((ask, key), i)| {
                let (cost, dry_run) = (ask.cost, ask.dry_run);
                local::Ask { algorithm: &algorithms[*i], key: *key, cost, dry_run }
            })
            .collect();
        let writes = server.state.borrow().writes;
        let reply = check(&server, &keys, &asks, rng.bool(), now);
        let said = verdict(&asks, &reply).expect("both halves agree");
        assert!(is_reply(&asks, &reply));
        // The local store counts from the beginning of the trace, in nanoseconds.
        let then = Nanos::new((now + 1_000_000_000 - TODAY) * 1_000);
        assert_eq!(said, local.check(&expected, then), "seed {seed}");
        if said.allowed() && !steps_back && rng.u8(0..4) == 0 {
            let i = rng.usize(0..asks.len());
            let (ask, key, algorithm) = (asks[i], keys[i], &algorithms[chosen[i]]);
            let window = matches!(algorithm, Algorithm::SlidingWindow(_));
            // What a window is given back it forgets in another slice than one who knows when.
            let actual =
                if window { ask.cost.saturating_add(rng.u64(0..3)) } else { rng.u64(0..12) };
            if let Some(settlement) = ask.limit.settlement(ask.cost, actual) {
                settle(&server, key, settlement, now);
            }
            if actual > ask.cost {
                local.charge(algorithm, key, actual - ask.cost, then);
            } else {
                local.refund(algorithm, key, ask.cost - actual, then, then);
            }
        }
        if !said.allowed() && !steps_back {
            assert_eq!(server.state.borrow().writes, writes, "a denial writes nothing");
        }
    }
}

#[test]
fn the_script_agrees_with_the_bucket() {
    (0..30).for_each(|seed| compare(seed, false));
}

#[test]
fn the_script_agrees_when_the_clock_steps_back() {
    (0..30).for_each(|seed| compare(seed, true));
}

#[test]
fn microseconds_are_kept_to_the_last_digit() {
    let server = Server::new(true);
    let limit = remote(1, Duration::from_micros(1), 1_000_000, 0);
    let ask = [Ask { limit: &limit, cost: 1, dry_run: false }];
    for count in 0..1_000 {
        let reply = check(&server, &[key(1)], &ask, count % 2 == 0, TODAY);
        assert_eq!(reply, [1, count]);
    }
    let state = server.state.borrow();
    assert_eq!(state.keys[&key(1).to_string()].0, (TODAY + 1_000).to_string());
}

#[test]
fn the_largest_numbers_stay_whole() {
    let server = Server::new(true);
    let year = 365 * 24 * 3_600 * SECOND;
    let limit = remote(1, year, 36, 36);
    let deep = [Ask { limit: &limit, cost: 36, dry_run: false }];
    let reply = check(&server, &[key(1)], &deep, true, TODAY);
    assert!(verdict(&deep, &reply).unwrap().allowed());
    let dear = [Ask { limit: &limit, cost: u64::MAX, dry_run: false }];
    for alone in [true, false] {
        let reply = check(&server, &[key(1)], &dear, alone, TODAY + 1);
        assert_eq!(reply, [0, 36 * year.as_micros() as i64 - 1]);
    }
    let reply = check(&server, &[key(1)], &dear, true, TODAY + 1);
    let said = verdict(&dear, &reply).unwrap();
    assert_eq!(said.rulings()[0].decision.retry_after(), None);
    assert!((TODAY + 2 * 36 * year.as_micros() as u64 + PRICE_MAX) < 1 << 53);
}

#[test]
fn rates_are_rounded_down() {
    let third = remote(3, SECOND, 9, 2);
    assert_eq!(third.arguments(1, true), [333_334, 9 * 333_334, 11 * 333_334, 1]);
    assert_eq!(third.most(), 9);
    assert_eq!(remote(5_000_000, SECOND, 9, 0).arguments(2, false), [2, 9, 9, 0]);
    assert_eq!(remote(0, SECOND, 9, 9).arguments(1, false), [PRICE_MAX as i64, 0, 0, 0]);
}

#[test]
fn a_reply_to_something_else_is_noticed() {
    let limit = remote(1, SECOND, 1, 0);
    let ask = [Ask { limit: &limit, cost: 1, dry_run: false }];
    for reply in [&[][..], &[1], &[1, 0, 0], &[2, 0], &[1, -1], &[1, i64::MAX], &[0, 0], &[1, 1]] {
        assert_eq!(verdict(&ask, reply), None, "{reply:?}");
    }
    assert!(verdict(&ask, &[1, 0]).is_some());
    assert!(verdict(&ask, &[0, 1]).is_some());
}

#[test]
fn a_window_is_given_back_on_the_strict_side() {
    let mut rng = fastrand::Rng::with_seed(5);
    let limit = window(100, 8 * SECOND);
    let server = Server::new(true);
    let ask = |cost| [Ask { limit: &limit, cost, dry_run: false }];
    let mut now = TODAY;
    let mut kept = 0_u64;
    for _ in 0..2_000 {
        now += rng.u64(0..2_000_000);
        let cost = rng.u64(0..20);
        let before = run(&server, &[key(1)], &arguments(&ask(0)), now);
        let counted: i64 = before[2..].iter().sum();
        let allowed = run(&server, &[key(1)], &arguments(&ask(cost)), now)[0] == 1;
        assert_eq!(allowed, counted as u64 + cost <= 100);
        if allowed {
            let actual = rng.u64(0..=cost);
            settle(&server, key(1), limit.settlement(cost, actual).unwrap(), now);
            let after = run(&server, &[key(1)], &arguments(&ask(0)), now);
            assert_eq!(after[2..].iter().sum::<i64>(), counted + actual as i64);
            // What is in the newest slice stays, as long as there is something older to forget.
            let older: i64 = before[3..].iter().sum();
            let given = (cost - actual) as i64;
            assert_eq!(after[2], before[2] + cost as i64 - (given - older).max(0));
            kept += actual;
        }
    }
    assert!(kept > 1_000);
    let state = server.state.borrow();
    assert_eq!(state.keys.len(), 1);
}

#[test]
fn windows_that_make_no_sense() {
    let limit = window(5, SECOND);
    let ask = [Ask { limit: &limit, cost: 1, dry_run: false }];
    let reply = |left: i64, count: i64| [1, left, count, 0, 0, 0, 0, 0, 0, 0];
    assert!(verdict(&ask, &reply(1_000_000, 4)).is_some());
    assert_eq!(verdict(&ask, &reply(1_000_000, 5)), None, "it does not pass");
    assert_eq!(verdict(&ask, &reply(1_000_000, -1)), None);
    assert_eq!(verdict(&ask, &reply(1_000_000, 1 << 33)), None);
    assert_eq!(verdict(&ask, &reply(-1, 0)), None);
    assert_eq!(verdict(&ask, &reply(i64::MAX, 0)), None);
    assert_eq!(verdict(&ask, &reply(0, 0)[..9]), None);
    assert_eq!(verdict(&ask, &[&reply(0, 0)[..], &[0]].concat()), None);
    let server = Server::new(false);
    for value in ["words", "1 2 3", "-5", "1e300", "99999999999999999 1 2 3 4 5 6 7 8", ""] {
        let kept = (value.to_owned(), u64::MAX);
        server.state.borrow_mut().keys.insert(key(1).to_string(), kept);
        let reply = run(&server, &[key(1)], &arguments(&ask), TODAY);
        assert!(verdict(&ask, &reply).is_some(), "{value}: {reply:?}");
    }
}

#[test]
fn any_numbers_can_be_read() {
    let mut rng = fastrand::Rng::with_seed(9);
    let limits = limits();
    let edges = [0, 1, -1, 5, 1_000_000, i64::MAX, i64::MIN, 1 << 32, i64::MAX / 1_000, 1 << 53];
    for _ in 0..20_000 {
        let asks: Vec<_> = (0..rng.usize(0..4))
            .map(|_| Ask { limit: &limits[rng.usize(0..12)], cost: rng.u64(0..3), dry_run: false })
            .collect();
        let number = |rng: &mut fastrand::Rng| edges[rng.usize(0..edges.len())];
        let reply: Vec<i64> = (0..rng.usize(0..24)).map(|_| number(&mut rng)).collect();
        assert_eq!(verdict(&asks, &reply).is_some(), is_reply(&asks, &reply), "{reply:?}");
        for now in [Nanos::ZERO, Nanos::MAX] {
            let mut rest = &reply[..];
            if let Some(known) = asks.first().and_then(|ask| ask.limit.read(&mut rest, now)) {
                let _ = asks[0].limit.decide(&known, 1, now);
            }
        }
    }
}
