use std::time::Duration;

use super::*;
use crate::{bucket::Bucket, rate::Rate, window::Window};

const SECOND: Duration = Duration::from_secs(1);
const SECRET: Secret = Secret::new([3; 16]);

fn bucket(rate: u64, burst: u64) -> Algorithm {
    Algorithm::TokenBucket(Bucket::new(Rate::new(rate, SECOND).unwrap(), burst).unwrap())
}

fn limit(name: &str, algorithm: Algorithm) -> Limit {
    Limit::new(&SECRET, "api", name, algorithm)
}

fn limiter(limits: Vec<Limit>) -> Limiter {
    Limiter::new(Arc::new(Local::new(1_000)), limits)
}

fn keys(limiter: &Limiter, client: &str) -> Vec<Key> {
    let key = |limit: &Limit| limit.hasher().part(client.as_bytes()).finish();
    limiter.limits().iter().map(key).collect()
}

fn remaining(limiter: &Limiter, keys: &[Key], now: Nanos) -> Vec<u64> {
    let verdict = limiter.check(keys, Some(0), now);
    verdict.rulings().iter().map(|ruling| ruling.decision.remaining).collect()
}

#[test]
fn all_pass_or_none_is_charged() {
    let limiter = limiter(vec![limit("a", bucket(1, 10)), limit("b", bucket(1, 2))]);
    let keys = keys(&limiter, "client");
    assert!(limiter.check(&keys, Some(2), Nanos::ZERO).allowed());
    let denied = limiter.check(&keys, None, Nanos::ZERO);
    assert!(!denied.allowed());
    assert_eq!(denied.rulings()[0].decision.remaining, 8, "told as not charged");
    assert_eq!(denied.tightest().map(|(index, _)| index), Some(1));
    assert_eq!(remaining(&limiter, &keys, Nanos::ZERO), [8, 0]);
}

#[test]
fn a_dry_run_counts_without_denying() {
    let dry = limit("dry", bucket(1, 2)).with_dry_run(true);
    let limiter = limiter(vec![dry, limit("b", bucket(1, 4))]);
    let keys = keys(&limiter, "client");
    let said: Vec<_> = (0..6)
        .map(|_| {
            let verdict = limiter.check(&keys, None, Nanos::ZERO);
            (verdict.allowed(), verdict.would_deny())
        })
        .collect();
    let (pass, shadow, deny) = ((true, false), (true, true), (false, true));
    assert_eq!(said, [pass, pass, shadow, shadow, deny, deny]);
}

#[test]
fn settling() {
    let owing = Bucket::new(Rate::new(1, SECOND).unwrap(), 10).unwrap().with_debt(100).unwrap();
    let limiter = limiter(vec![
        limit("bucket", Algorithm::TokenBucket(owing)).with_cost(2),
        limit("window", Algorithm::SlidingWindow(Window::new(20, 10 * SECOND).unwrap())),
        limit("dry", bucket(1, 0)).with_dry_run(true),
    ]);
    let keys = keys(&limiter, "client");
    let at = Nanos::ZERO;
    let check = |cost| (limiter.check(&keys, cost, at), Charge { cost, at });
    let (verdict, charge) = check(None);
    limiter.settle(&keys, &verdict, charge, 5, at);
    assert_eq!(remaining(&limiter, &keys, at), [5, 15, 0]);
    let (verdict, charge) = check(Some(5));
    limiter.settle(&keys, &verdict, charge, 0, at);
    assert_eq!(remaining(&limiter, &keys, at), [5, 15, 0]);
    let (verdict, charge) = check(Some(1));
    limiter.settle(&keys, &verdict, charge, 9, at);
    assert_eq!(remaining(&limiter, &keys, at), [0, 6, 0]);
    let (verdict, charge) = check(Some(1));
    let wait = verdict.tightest().and_then(|(_, decision)| decision.retry_after());
    assert_eq!(wait, Some(5 * SECOND), "four owed");
    limiter.settle(&keys, &verdict, charge, 9, at);
    assert_eq!(remaining(&limiter, &keys, at), [0, 6, 0], "what was denied is not settled");
}

#[test]
fn who_shares_what() {
    let name = |secret: &Secret, scope: &str, name: &str, algorithm| {
        Limit::new(secret, scope, name, algorithm).hasher().part(b"x").finish()
    };
    let window = |seconds| Algorithm::SlidingWindow(Window::new(5, seconds * SECOND).unwrap());
    let one = name(&SECRET, "api", "a", bucket(1, 1));
    assert_eq!(one, name(&SECRET, "api", "a", bucket(2, 5)), "a new rate takes over");
    let others = [
        name(&SECRET, "api", "b", bucket(1, 1)),
        name(&SECRET, "ap", "ia", bucket(1, 1)),
        name(&SECRET, "api", "a", window(1)),
        name(&SECRET, "api", "a", window(2)),
        name(&Secret::new([4; 16]), "api", "a", bucket(1, 1)),
    ];
    assert!(!others.contains(&one));
    assert_ne!(others[2], others[3]);
}
