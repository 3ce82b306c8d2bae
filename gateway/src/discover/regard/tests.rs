use std::{net::SocketAddr, time::Duration};

use weir_discovery::{swim::Record, view::Serving};

use super::*;
use crate::{
    discover::{
        Found,
        found::{Question, Said},
    },
    snapshot::compile,
};

/// A view of members with these silences; a negative one is of a suspect.
fn view(members: &[(&str, f64)]) -> View {
    let members = members.iter().map(|(name, phi)| {
        let address = SocketAddr::from(([127, 0, 0, 1], 7946));
        let state = if *phi < 0.0 { State::Suspect } else { State::Alive };
        let phi = Some(*phi).filter(|phi| *phi >= 0.0);
        let record = Arc::new(Record::new(name, 1, address, &[]).unwrap());
        Member { record, state, incarnation: 0, phi, round_trip: None }
    });
    View { members: members.collect(), ..View::default() }
}

fn part(regards: &Regards, name: &str) -> f64 {
    regards.0.get(name).copied().unwrap_or(1.0)
}

#[test]
fn silence_takes_and_an_answer_gives_back() {
    let mut regards = Regards::default();
    let mut hear = |phi: f64| {
        let changed = regards.take(&view(&[("a", phi), ("b", 0.0), ("c", 0.0)]), "b");
        (changed, (1e3 * part(&regards, "a")).round() / 1e3)
    };
    assert_eq!(hear(0.4), (false, 1.0));
    assert_eq!(hear(1.5), (false, 1.0), "noise");
    assert_eq!(hear(4.5), (true, 0.5));
    assert_eq!(hear(5.0), (false, 0.5), "noise");
    assert_eq!(hear(300.0), (true, 0.1));
    assert_eq!(hear(-1.0), (false, 0.1));
    assert_eq!(hear(0.2), (true, 1.0));
    assert!(regards.is_empty());
}

#[test]
fn when_most_are_silent_nobody_is_blamed() {
    let mut regards = Regards::default();
    assert!(regards.take(&view(&[("a", 9.0), ("b", 0.0), ("c", 0.0)]), "b"));
    assert!(regards.take(&view(&[("a", 9.0), ("b", 0.0), ("c", 4.0)]), "b"));
    assert!(regards.is_empty());
    assert!(!regards.take(&view(&[("a", -1.0), ("b", 0.0), ("c", -1.0)]), "b"));
    // The only other one: there is nobody to compare it with.
    assert!(!regards.take(&view(&[("a", 9.0), ("b", 0.0)]), "b"));
}

#[test]
fn shares_are_those_of_the_members_endpoints() {
    let text = "listeners: [\":1\"]\nmembership: { bind: \"127.0.0.1:7946\" }\nupstreams:\n  \
                found: { discovery: { members: api } }\n  \
                keyed: { discovery: { members: api }, balance: { ring: { key: path } } }\n  \
                written: { endpoints: [{ address: \"127.0.0.1:1\", name: a }] }\n";
    let loaded = weir_config::load_str("weir.yaml", text, &|_| None).unwrap();
    let found = Found::default();
    let serving = |name: &str, port: u16| Serving {
        name: name.into(),
        address: format!("127.0.0.1:{port}").into(),
        weight: 1,
        zone: None,
    };
    let now = Tick::ZERO + Duration::from_secs(1);
    for upstream in &loaded.config.upstreams[..2] {
        let question = Question::of(&loaded.config, upstream).unwrap();
        found.expect(&question);
        found.hear(&question, Said::Surely(vec![serving("a", 1), serving("c", 3)]), 0, now);
    }
    let compiled = compile(&loaded, &found, None, now, Duration::ZERO).unwrap();
    for upstream in &compiled.snapshot.upstreams {
        upstream.adjust(now);
    }
    let mut regards = Regards::default();
    let shares = |index: usize| -> Vec<u32> {
        let endpoints = &compiled.snapshot.upstreams[index].endpoints;
        endpoints.iter().map(|endpoint| endpoint.load.share()).collect()
    };
    regards.take(&view(&[("a", 4.5), ("b", 0.0), ("c", 0.0)]), "b");
    regards.apply(&compiled.snapshot, now);
    assert_eq!((shares(0), shares(2)), (vec![WHOLE_SHARE / 2, WHOLE_SHARE], vec![WHOLE_SHARE]));
    assert_eq!(shares(1), [WHOLE_SHARE; 2], "by key all gateways choose alike");
    assert!(regards.clear());
    regards.apply(&compiled.snapshot, now);
    assert_eq!(shares(0), [WHOLE_SHARE; 2]);
}
