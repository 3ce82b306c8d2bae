use std::collections::BTreeSet;

use http::HeaderMap;

use super::*;
use crate::{clock::Tick, upstream::load::EndpointLoad};

const WAYS: [&str; 3] = ["rendezvous", "ring", "maglev"];
const WHOLE: Terms = Terms { shares: false, under_way: 0 };
const SHARES: Terms = Terms { shares: true, under_way: 0 };

fn upstream(way: &str, names: impl IntoIterator<Item = usize>, keys: &str) -> model::Upstream {
    let endpoints = names.into_iter().map(|name| {
        format!("{{ address: \"127.0.0.1:{}\", name: \"node-{name}\" }}", 1_000 + name)
    });
    let text = format!(
        "listeners: [\":80\"]\nupstreams:\n  a: {{ endpoints: [{}], balance: {{ {way}: \
         {{ key: \"header:x-user\"{keys} }} }} }}\n",
        endpoints.collect::<Vec<_>>().join(", ")
    );
    let loaded = weir_config::load_str("weir.yaml", &text, &|_| None);
    loaded.unwrap_or_else(|wrong| panic!("{wrong}")).config.upstreams.remove(0)
}

fn table(way: &str, names: impl IntoIterator<Item = usize>) -> Arc<KeyTable> {
    KeyTable::build(&upstream(way, names, ""), None).unwrap().unwrap()
}

fn loads(count: usize) -> Vec<Arc<EndpointLoad>> {
    (0..count).map(|_| Arc::new(EndpointLoad::new(Tick::ZERO))).collect()
}

fn places(count: u64) -> impl Iterator<Item = Place> {
    // A ring takes the low half, which is as good as the other.
    (0..count).map(|key| Place(mix(key)))
}

#[test]
fn a_key_has_one_endpoint_and_all_have_keys() {
    for way in WAYS {
        let (table, endpoints) = (table(way, 0..10), loads(10));
        let mut owners = BTreeSet::new();
        for place in places(1_000) {
            let owner = table.pick(&endpoints, place, WHOLE, |_| false).unwrap();
            assert_eq!(table.owner(place), Some(owner));
            assert_eq!(table.pick(&endpoints, place, SHARES, |_| false), Some(owner));
            owners.insert(owner);
        }
        assert_eq!(owners.len(), 10, "{way}");
    }
}

#[test]
fn who_is_out_loses_its_keys_and_nobody_else_any() {
    for way in WAYS {
        let (table, endpoints) = (table(way, 0..10), loads(10));
        endpoints[3].set_share(0);
        let mut heirs = BTreeSet::new();
        for place in places(4_000) {
            let owner = table.owner(place).unwrap();
            let out = table.pick(&endpoints, place, SHARES, |_| false).unwrap();
            let tried = table.pick(&endpoints, place, WHOLE, |index| index == 3).unwrap();
            assert_eq!(out, tried, "{way}");
            if owner == 3 {
                heirs.insert(out);
            } else {
                assert_eq!(out, owner, "{way}");
            }
            // In a panic they are asked all the same.
            assert_eq!(table.pick(&endpoints, place, WHOLE, |_| false), Some(owner));
        }
        assert_eq!(heirs.len(), 9, "{way}: {heirs:?}");
    }
}

#[test]
fn the_last_ones_are_asked_before_nobody() {
    for way in WAYS {
        let (table, endpoints) = (table(way, 0..3), loads(3));
        let place = Place(mix(5));
        for index in 0..3 {
            endpoints[index].set_share(0);
            assert_eq!(table.pick(&endpoints, place, SHARES, |other| other != index), Some(index));
        }
        assert_eq!(table.pick(&endpoints, place, SHARES, |_| true), None);
        let mut tried = Vec::new();
        while let Some(next) = table.pick(&endpoints, place, WHOLE, |index| tried.contains(&index))
        {
            tried.push(next);
        }
        tried.sort_unstable();
        assert_eq!(tried, [0, 1, 2]);
    }
}

#[test]
fn a_growing_share_takes_ever_more_of_the_same_keys() {
    let (table, endpoints) = (table("rendezvous", 0..4), loads(4));
    let mut before = BTreeSet::new();
    for tenths in 1..=10 {
        endpoints[2].set_share(WHOLE_SHARE * tenths / 10);
        let picked = |place| table.pick(&endpoints, place, SHARES, |_| false) == Some(2);
        let now: BTreeSet<u64> =
            places(8_000).filter(|place| picked(*place)).map(|p| p.0).collect();
        assert!(before.is_subset(&now));
        let expected = 200 * tenths as usize;
        assert!(now.len().abs_diff(expected) < 120, "{} at {tenths}", now.len());
        before = now;
    }
}

#[test]
fn what_is_too_much_for_one_goes_to_the_next() {
    for way in WAYS {
        let upstream = upstream(way, 0..4, ", bounded_load: 1.25");
        let table = KeyTable::build(&upstream, None).unwrap().unwrap();
        let endpoints = loads(4);
        let place = Place(mix(9));
        let mut guards = Vec::new();
        for under_way in 0..40 {
            let terms = Terms { shares: false, under_way };
            let index = table.pick(&endpoints, place, terms, |_| false).unwrap();
            guards.push(EndpointLoad::begin(endpoints[index].clone(), Tick::ZERO));
        }
        // A quarter more than the tenth of each, one that is rounded up.
        let most = endpoints.iter().map(|load| load.in_flight()).max().unwrap();
        assert_eq!(most, 13, "{way}");
        assert_eq!(endpoints[table.owner(place).unwrap()].in_flight(), 13, "{way}");
        guards.clear();
        assert_eq!(table.pick(&endpoints, place, WHOLE, |_| false), table.owner(place));
    }
}

#[test]
fn a_reload_moves_what_it_must() {
    for count in [10, 100] {
        let before = table("rendezvous", 0..count);
        // What is got ready decides nothing.
        assert_eq!(before.prepares(), count > 64);
        while before.prepare() {}
        // Another order, one gone, one new.
        let next = upstream("rendezvous", (1..=count).rev(), "");
        let after = KeyTable::build(&next, Some(&before)).unwrap().unwrap();
        let afresh = KeyTable::build(&next, None).unwrap().unwrap();
        let same = KeyTable::build(&next, Some(&after)).unwrap().unwrap();
        assert!(Arc::ptr_eq(&after, &same));
        let newcomer = format!("node-{count}");
        for place in places(5_000) {
            let name = |table: &KeyTable| table.name(table.owner(place).unwrap()).to_owned();
            let (old, new) = (name(&before), name(&after));
            assert!(old == new || old == "node-0" || new == newcomer, "{old} to {new}");
            assert_eq!(new, name(&afresh));
        }
    }
}

#[test]
fn parts_of_the_request_decide() {
    let with = |key: &str, way: &str| {
        let text = format!(
            "listeners: [\":80\"]\nupstreams: {{ a: {{ endpoints: [\"a:1\"], balance: {{ {way}: {{ \
             key: {key} }} }} }} }}\n"
        );
        let mut config = weir_config::load_str("weir.yaml", &text, &|_| None).unwrap().config;
        KeyTable::build(&config.upstreams.remove(0), None).unwrap().unwrap()
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-user", "ada".parse().unwrap());
    headers.insert("cookie", "a=b; sid=7".parse().unwrap());
    let client = Some("192.0.2.7".parse().unwrap());
    let query = Some("q=ada&r=%61da");
    let subject = Subject {
        client,
        headers: &headers,
        path: "/p",
        query,
        route: "r",
        identity: None,
        lua: None,
    };
    let ada = Some(Place(xxh64(b"ada", 0)));
    for key in ["\"header:x-user\"", "query:q", "query:r"] {
        assert_eq!(with(key, "rendezvous").place(&subject), ada, "{key}");
    }
    assert_eq!(with("cookie:sid", "maglev").place(&subject), Some(Place(xxh64(b"7", 0))));
    assert_eq!(with("client_ip", "maglev").place(&subject), Some(Place(xxh64(&[192, 0, 2, 7], 0))));
    let both = with("[path, query:q]", "rendezvous").place(&subject);
    assert_eq!(both, Some(Place(xxh64(b"ada", xxh64(b"/p", 0)))));
    assert_eq!(with("[path, query:none]", "rendezvous").place(&subject), None);
    // MD5 of "ada", its first four bytes.
    let position = Place(ring::position(b"ada").into());
    assert_eq!(with("query:q", "ring").place(&subject), Some(position));
}

#[test]
fn impossible_tables_are_refused() {
    let error = |way, keys| KeyTable::build(&upstream(way, 0..8, keys), None).err().unwrap();
    assert!(error("maglev", ", entries: 65536").contains("65536 is no prime"));
    assert!(error("maglev", ", entries: 7").contains("7 are fewer than endpoints"));
    let mut heavy = upstream("ring", 0..200, ", points: 40000");
    assert!(KeyTable::build(&heavy, None).is_err_and(|error| error.contains("lower weights")));
    (heavy.balance, heavy.hash) = (Balance::P2c, None);
    assert!(KeyTable::build(&heavy, None).is_ok_and(|table| table.is_none()));
}
