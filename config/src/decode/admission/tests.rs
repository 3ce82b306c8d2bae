#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::{Diagnostics, Loaded, load_str, model::Route};

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

#[test]
fn concurrency_is_a_number() {
    for off in ["", ", concurrency: off"] {
        assert_eq!(route(off).concurrency, None);
    }
    for some in [", concurrency: 64", ", concurrency: { max: 64 }"] {
        let whole = Concurrency { max: 64, key: Vec::new(), absent: AbsentKey::Share };
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
    let each = |key, absent| Some(Concurrency { max: 4, key, absent });
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
