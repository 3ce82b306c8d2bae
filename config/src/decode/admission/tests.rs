#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::{
    Diagnostics, Loaded, load_str,
    model::{OnStoreFailure, Route},
};

fn load(limits: &str, route: &str) -> Result<Loaded, Diagnostics> {
    let file = format!(
        "listeners: [\":80\"]\nlimits: {{ {limits} }}\n\
         upstreams: {{ a: {{ endpoints: [\"127.0.0.1:1\"] }} }}\n\
         routes: [{{ to: a{route} }}]"
    );
    load_str("weir.yaml", &file, &|_| None)
}

fn route(keys: &str) -> Route {
    load("", keys).unwrap_or_else(|wrong| panic!("{keys}: {wrong}")).config.routes.remove(0)
}

fn refused(limits: &str, route: &str) -> String {
    load(limits, route).unwrap_err().render()
}

#[test]
fn memory_is_found_out_or_given() {
    let memory = |keys: &str| load(keys, "").unwrap().config.limits.memory;
    for auto in ["", "memory: auto"] {
        assert_eq!(memory(auto), MemoryLimit::Auto);
    }
    assert_eq!(memory("memory: 512MiB"), MemoryLimit::Bytes(512 << 20));
    for off in ["memory: off", "memory: false"] {
        assert_eq!(memory(off), MemoryLimit::Off);
    }
    let said = refused("memory: 5", "");
    assert!(said.contains("expected `auto` or a size such as"), "{said}");
    assert!(said.contains("did you mean `5B`?"), "{said}");
    assert!(refused("memory: 1KiB", "").contains("`memory` is from 1MiB to"));
    assert!(refused("memory: [1MiB]", "").contains("expected `auto` or a size"));
}

#[test]
fn lag_is_a_time_or_off() {
    let lag = |keys: &str| load(keys, "").unwrap().config.limits.lag;
    assert_eq!(lag(""), Some(Duration::from_millis(100)));
    assert_eq!(lag("lag: 1s"), Some(Duration::from_secs(1)));
    assert_eq!(lag("lag: off"), None);
    assert!(refused("lag: 0ms", "").contains("write `lag: off` for none"));
}

/// Of all requests of the route, here.
fn whole() -> Concurrency {
    let (absent, store) = (AbsentKey::Share, PlaceStore::Local);
    Concurrency { max: 0, key: Vec::new(), absent, store }
}

#[test]
fn concurrency_is_a_number() {
    for off in ["", ", concurrency: off"] {
        assert_eq!(route(off).concurrency, None);
    }
    for some in [", concurrency: 64", ", concurrency: { max: 64 }"] {
        let whole = Concurrency { max: 64, ..whole() };
        assert_eq!(route(some).concurrency, Some(whole));
    }
    for none in [", concurrency: {}", ", concurrency: { key: client_ip }"] {
        assert!(refused("", none).contains("`max` is missing"), "{none}");
    }
    assert!(refused("", ", concurrency: 0").contains("a whole number from 1"));
}

#[test]
fn concurrency_may_be_for_each_key() {
    let read = |keys: &str| route(&format!(", concurrency: {{ {keys}, max: 4 }}")).concurrency;
    let each = |key, absent| Some(Concurrency { max: 4, key, absent, ..whole() });
    let ip = || vec![KeyPart::ClientIp];
    assert_eq!(read("key: client_ip"), each(ip(), AbsentKey::Share));
    assert_eq!(read("key: [client_ip], absent: deny"), each(ip(), AbsentKey::Deny));
    let user = KeyPart::Header(HeaderName::from_static("x-user"));
    let parts = vec![user, KeyPart::Cookie("Sid".to_owned()), KeyPart::Path];
    let several = "key: [header:X-User, cookie:Sid, path], absent: skip";
    assert_eq!(read(several), each(parts, AbsentKey::Skip));
    // All requests of the route have this key.
    assert_eq!(read("key: route"), each(Vec::new(), AbsentKey::Share));
    let loaded = load("", ", concurrency: { absent: deny, max: 4 }").unwrap();
    assert!(loaded.warnings.render().contains("`absent` has no effect"));
    assert_eq!(loaded.config.routes[0].concurrency, each(Vec::new(), AbsentKey::Share));
    let loaded = load("", ", concurrency: { key: path, max: 4 }").unwrap();
    assert!(loaded.warnings.render().contains("there is a count for each `path`"));
    assert!(refused("", ", concurrency: { key: ip, max: 4 }").contains("mean `client_ip`?"));
}

#[test]
fn concurrency_may_be_that_of_all_gateways() {
    let top = "redis: \"redis://a\"\n";
    let load = |keys: &str| {
        let file = format!(
            "listeners: [\":80\"]\n{top}upstreams: {{ a: {{ endpoints: [\"127.0.0.1:1\"] }} }}\n\
             routes: [{{ name: api, to: a, concurrency: {{ max: 4, {keys} }} }}]"
        );
        load_str("weir.yaml", &file, &|_| None)
    };
    let read = |keys: &str| {
        let loaded = load(keys).unwrap_or_else(|wrong| panic!("{keys}: {wrong}"));
        loaded.config.routes[0].concurrency.clone().unwrap()
    };
    let redis =
        |seconds, on_failure| PlaceStore::Redis { lease: Duration::from_secs(seconds), on_failure };
    let one = read("store: redis");
    assert_eq!(one.store, redis(10, OnStoreFailure::Local));
    assert_eq!(one.key, [KeyPart::Route], "all of the route have one key");
    let other = read("key: client_ip, store: redis, lease: 3s, on_store_failure: deny");
    assert_eq!(other.store, redis(3, OnStoreFailure::Deny));
    assert_eq!(other.key, [KeyPart::ClientIp]);
    assert_eq!(read("key: route").key, []);
    let wrong = |keys: &str| load(keys).unwrap_err().render();
    assert!(wrong("lease: 3s").contains("only places on servers have a lease"));
    assert!(wrong("store: redis, lease: 3ms").contains("1s"));
    let alone = refused("", ", concurrency: { max: 4, store: redis }");
    assert!(alone.contains("needs servers"), "{alone}");
    let said = load("on_store_failure: allow").unwrap().warnings.render();
    assert!(said.contains("`on_store_failure` has no effect"), "{said}");
    let said = load("key: path, store: redis").unwrap().warnings.render();
    assert!(said.contains("under the `concurrency` of `api`"), "{said}");
}

#[test]
fn priority_has_three_levels() {
    let read = |keys: &str| route(keys).priority;
    assert_eq!(read(""), RoutePriority::default());
    assert_eq!(read(", priority: low").level, Priority::Low);
    assert_eq!(read(", priority: { level: high }").level, Priority::High);
    let both = read(", priority: { header: X-Priority }");
    assert_eq!((both.level, both.header.unwrap().as_str()), (Priority::Normal, "x-priority"));
    assert!(refused("", ", priority: hihg").contains("did you mean `high`?"));
    for name in ["Connection", "te", "keep-alive", "content-length"] {
        let said = refused("", &format!(", priority: {{ header: {name} }}"));
        assert!(said.contains("no priority comes in it"), "{said}");
    }
    let loaded = load("", ", priority: { level: low, header: x-priority }").unwrap();
    assert!(loaded.warnings.render().contains("`level` is `low` already"));
}
