use std::{collections::HashMap, time::Duration};

use http::{HeaderMap, header};

use super::*;

const NAMES: [&str; 3] = ["blue", "green", "canary"];

fn by_key(weights: [u32; 3]) -> Sticky {
    let config = model::Sticky::Key(vec![KeyPart::Header("x-user".parse().unwrap())]);
    let split = NAMES.iter().zip(weights).enumerate().map(|(index, (name, weight))| {
        // Indices are the file's, which the places in a split need not be.
        (index + 10, *name, weight)
    });
    Sticky::new(&config, split).unwrap()
}

fn choose(sticky: &Sticky, headers: &HeaderMap) -> Choice {
    let subject = Subject {
        client: None,
        headers,
        path: "/",
        query: None,
        route: "r",
        identity: None,
        lua: None,
    };
    sticky.choose(&subject, true, &mut fastrand::Rng::with_seed(1))
}

fn owners(sticky: &Sticky) -> Vec<usize> {
    let owner = |user: u32| {
        let mut headers = HeaderMap::new();
        headers.insert("x-user", format!("user-{user}").parse().unwrap());
        choose(sticky, &headers).upstream.unwrap()
    };
    (0..20_000).map(owner).collect()
}

fn shares(owners: &[usize]) -> HashMap<usize, f64> {
    let mut counts = HashMap::new();
    for owner in owners {
        *counts.entry(*owner).or_insert(0.0) += 1.0 / owners.len() as f64;
    }
    counts
}

#[test]
fn keys_are_shared_by_weight_and_stay() {
    let (sticky, again) = (by_key([60, 30, 10]), by_key([60, 30, 10]));
    let all = owners(&sticky);
    assert_eq!(all, owners(&again), "in every process");
    let shares = shares(&all);
    for (index, share) in [(10, 0.6), (11, 0.3), (12, 0.1)] {
        assert!((shares[&index] - share).abs() < 0.015, "{index}: {}", shares[&index]);
    }
}

#[test]
fn a_change_of_weights_moves_the_fewest_keys() {
    let before = owners(&by_key([90, 0, 10]));
    let after = owners(&by_key([90, 0, 30]));
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
    let moved: Vec<_> = moved.collect();
    assert!(moved.iter().all(|(_, after)| **after == 12), "only to who got more");
    // From 10 of 100 to 30 of 120: fifteen percent must move, and no more do.
    let share = moved.len() as f64 / before.len() as f64;
    assert!((share - 0.15).abs() < 0.015, "{share}");
    assert!(!before.contains(&11) && !after.contains(&11), "a weight of 0 is nobody's");
}

#[test]
fn who_lacks_the_key_goes_by_the_shares() {
    let choice = choose(&by_key([1, 1, 1]), &HeaderMap::new());
    assert_eq!(choice, Choice { upstream: None, cookie: None });
}

#[test]
fn a_client_without_the_cookie_gets_one_and_stays() {
    let config = model::Sticky::Cookie { name: "side".into(), age: Duration::from_secs(3600) };
    let split = [(3, "blue", 1), (4, "green", 1)];
    let sticky = Sticky::new(&config, split.into_iter()).unwrap();
    let first = choose(&sticky, &HeaderMap::new());
    let cookie = first.cookie.unwrap();
    let text = cookie.to_str().unwrap();
    assert!(
        text.starts_with("side=")
            && text.ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"),
        "{text}"
    );
    let value = &text["side=".len()..][..VALUE];
    let with = |cookie: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        choose(&sticky, &headers)
    };
    let back = with(&format!("a=b; side={value}"));
    assert_eq!(back, Choice { upstream: first.upstream, cookie: None });
    // What is not one of ours is replaced: neither long ones nor odd ones are kept.
    for other in ["", "x", &"a".repeat(33), &"z".repeat(32), &"a".repeat(4000)] {
        assert!(with(&format!("side={other}")).cookie.is_some(), "{other:?}");
    }
}
