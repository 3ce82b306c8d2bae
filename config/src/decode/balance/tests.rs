#![allow(clippy::unwrap_used, reason = "tests")]

use http::HeaderName;

use super::*;
use crate::{Diagnostics, Loaded, load_str, model::Upstream};

fn load(keys: &str) -> Result<Loaded, Diagnostics> {
    let file = format!(
        "listeners: [\":80\"]\n\
         upstreams:\n  a: {{ endpoints: [\"127.0.0.1:1\"]{keys} }}\n\
         routes: [{{ to: a }}]"
    );
    load_str("weir.yaml", &file, &|_| None)
}

fn upstream(balance: &str) -> Upstream {
    let keys = format!(", balance: {balance}");
    load(&keys).unwrap_or_else(|wrong| panic!("{keys}: {wrong}")).config.upstreams.remove(0)
}

fn refused(balance: &str) -> String {
    load(&format!(", balance: {balance}")).unwrap_err().render()
}

#[test]
fn a_word_is_a_way_with_its_defaults() {
    for (word, balance) in [("p2c", Balance::P2c), ("prequal", Balance::Prequal)] {
        let upstream = upstream(word);
        assert_eq!((upstream.balance, upstream.hash), (balance, None));
    }
    for (way, _) in BY_KEY {
        let hash = HashBalance {
            key: vec![KeyPart::ClientIp],
            bounded_load: None,
            points: if way == Balance::Ring { 160 } else { 0 },
            entries: if way == Balance::Maglev { 65_537 } else { 0 },
        };
        let word = way.word();
        for balance in [word, &format!("{{ {word}: on }}"), &format!("{{ {word}: {{}} }}")] {
            let upstream = upstream(balance);
            assert_eq!((upstream.balance, upstream.hash), (way, Some(hash.clone())), "{balance}");
        }
    }
}

#[test]
fn a_key_and_a_bound_are_read() {
    let hash = |balance: &str| upstream(balance).hash.unwrap();
    let header = || KeyPart::Header(HeaderName::from_static("x-user-id"));
    let read = hash("{ rendezvous: { key: \"header:X-User-Id\", bounded_load: 1.25 } }");
    assert_eq!((read.key, read.bounded_load), (vec![header()], Some(1.25)));
    assert_eq!(hash("{ ring: header:x-user-id }").key, [header()]);
    let both = hash("{ maglev: { key: [path, cookie:sid], entries: 131071, bounded_load: off } }");
    assert_eq!(both.key, [KeyPart::Path, KeyPart::Cookie("sid".into())]);
    assert_eq!((both.entries, both.bounded_load), (131_071, None));
    assert_eq!(hash("{ ring: { points: 400 } }").points, 400);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for bound in ["0.9", "11", "none", "1e1"] {
        let said = refused(&format!("{{ ring: {{ bounded_load: {bound} }} }}"));
        assert!(said.contains("expected a number from 1.0 to 10.0"), "{said}");
    }
    assert!(refused("{ ring: on, maglev: on }").contains("exclude each other"));
    assert!(refused("{ ring: route }").contains("would go to one endpoint"));
    assert!(refused("{ ring: { entries: 5 } }").contains("unknown key `entries`"));
    assert!(refused("{ rng: on }").contains("did you mean `ring`?"));
    assert!(refused("rendevous").contains("did you mean `rendezvous`?"));
    assert!(refused("{}").contains("expected one of `rendezvous`, `ring` and `maglev`"));
    let twice = "listeners: [\":80\"]\nupstreams: { a: { endpoints: [{ address: \"a:1\", name: x }, \
                 { address: \"a:2\", name: x }] } }\nroutes: [{ to: a }]";
    let said = load_str("weir.yaml", twice, &|_| None).unwrap_err().render();
    assert!(said.contains("an endpoint of the name `x` already"), "{said}");
}
