#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use weir_discovery::view::Serving;

use super::*;
use crate::{clock, snapshot::compile};

const UNIX: Duration = Duration::from_secs(1);

fn snapshot(keys: &str) -> Snapshot {
    let text = format!(
        "listeners: [\":80\"]\nupstreams:\n  found: {{ discovery: {{ dns: \"a.test:80\" }}{keys} }}\n  \
         fixed: {{ endpoints: [\"127.0.0.1:1\"] }}\nroutes:\n  - {{ match: /a, to: found }}\n  \
         - {{ match: /b, to: fixed }}\n"
    );
    let loaded = weir_config::load_str("weir.yaml", &text, &|_| None).unwrap();
    compile(&loaded, &Found::default(), None, Tick::ZERO, UNIX).unwrap().snapshot
}

fn told(snapshot: &Snapshot, found: &Found, addresses: &[&str]) {
    let serving = |address: &&str| Serving {
        name: (*address).into(),
        address: (*address).into(),
        weight: 1,
        zone: None,
    };
    let config = &snapshot.config;
    found.tell(config, &config.upstreams[0], addresses.iter().map(serving).collect());
}

fn addresses(upstream: &Upstream) -> Vec<&str> {
    upstream.endpoints.iter().map(|endpoint| &*endpoint.name).collect()
}

#[test]
fn what_stays_is_the_same_and_all_else_is_shared() {
    let (first, found) = (snapshot(""), Found::default());
    assert!(first.upstreams[0].endpoints.is_empty());
    assert!(first.refilled(&found, clock::now()).is_none(), "nobody was asked");
    told(&first, &found, &["127.0.0.1:2", "127.0.0.1:3"]);
    let (second, changed) = first.refilled(&found, clock::now()).unwrap();
    assert_eq!((changed, second.version), (vec![0], first.version + 1));
    assert_eq!(addresses(&second.upstreams[0]), ["127.0.0.1:2", "127.0.0.1:3"]);
    assert!(second.refilled(&found, clock::now()).is_none(), "it is used already");
    told(&first, &found, &["127.0.0.1:3", "127.0.0.1:4"]);
    let (third, _) = second.refilled(&found, clock::now()).unwrap();
    let (before, after) = (&second.upstreams[0], &third.upstreams[0]);
    assert!(Arc::ptr_eq(&before.endpoints[1], &after.endpoints[0]));
    assert!(Arc::ptr_eq(&before.connector, &after.connector));
    assert!(Arc::ptr_eq(&before.roster, &after.roster));
    assert!(Arc::ptr_eq(&before.gates.requests, &after.gates.requests));
    assert!(Arc::ptr_eq(&second.upstreams[1], &third.upstreams[1]));
    assert!(Arc::ptr_eq(&second.routes, &third.routes));
    assert!(Arc::ptr_eq(&second.matcher, &third.matcher));
    assert!(third.config.upstreams[0].endpoints.is_empty(), "the file is what it was");
}

#[test]
fn any_way_to_choose_copes_with_nobody_and_with_newcomers() {
    for balance in [
        "p2c",
        "peak_ewma",
        "prequal",
        "least_request",
        "round_robin",
        "random",
        "rendezvous",
        "ring",
        "maglev",
    ] {
        let (first, found) = (snapshot(&format!(", balance: {balance}")), Found::default());
        let nobody = &first.upstreams[0];
        assert_eq!(nobody.keys.is_some(), nobody.config.hash.is_some(), "{balance}");
        told(&first, &found, &["127.0.0.1:2"]);
        let (second, _) = first.refilled(&found, clock::now()).unwrap();
        told(&first, &found, &[]);
        let (third, _) = second.refilled(&found, clock::now()).unwrap();
        for snapshot in [&first, &second, &third] {
            let upstream = &snapshot.upstreams[0];
            let loads: Vec<_> = upstream.endpoints.iter().map(|one| one.load.clone()).collect();
            let weights = vec![1; loads.len()];
            let mut rng = fastrand::Rng::with_seed(1);
            let mut picker =
                crate::upstream::pick::Picker::new(upstream.config.balance, &weights, &mut rng);
            let picked = picker.pick(&loads, |_| false, Tick::ZERO, &mut rng);
            assert_eq!(picked.is_some(), !loads.is_empty(), "{balance}");
            let picked = picker.pick_in_use(&loads, |_| false, Tick::ZERO, &mut rng);
            assert_eq!(picked.is_some(), !loads.is_empty(), "{balance}");
        }
    }
}

#[test]
fn endpoints_that_cannot_be_used_are_left_out_or_change_nothing() {
    let (first, found) = (snapshot(", tls: on, protocol: h3"), Found::default());
    told(&first, &found, &["127.0.0.1:2", "unix:/run/a.sock"]);
    let (second, _) = first.refilled(&found, clock::now()).unwrap();
    assert_eq!(addresses(&second.upstreams[0]), ["127.0.0.1:2"]);
    // More endpoints than the table has entries.
    let (first, found) = (snapshot(", balance: { maglev: { entries: 3 } }"), Found::default());
    told(&first, &found, &["127.0.0.1:2"]);
    let (second, _) = first.refilled(&found, clock::now()).unwrap();
    told(&first, &found, &["127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4", "127.0.0.1:5"]);
    assert!(second.refilled(&found, clock::now()).is_none());
}
