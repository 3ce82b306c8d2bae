#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use http::HeaderName;

use super::*;
use crate::{
    Diagnostics, Loaded, load_str,
    model::{AbsentKey, KeyPart},
};

fn load(shared: &str, route: &str) -> Result<Loaded, Diagnostics> {
    let file = format!(
        "listeners: [\":80\"]\nrate_limits: {{ {shared} }}\n\
         upstreams: {{ a: {{ endpoints: [\"127.0.0.1:1\"] }} }}\n\
         routes: [{{ to: a, rate_limit: {route} }}]"
    );
    load_str("weir.yaml", &file, &|_| None)
}

fn limits(shared: &str, route: &str) -> Vec<RateLimit> {
    let loaded = load(shared, route).unwrap_or_else(|wrong| panic!("{route}: {wrong}"));
    loaded.config.routes.into_iter().next().unwrap().rate_limits
}

fn limit(route: &str) -> RateLimit {
    limits("", route).remove(0)
}

fn refused(route: &str) -> String {
    load("u: { rate: 1/s }", route).unwrap_err().render()
}

fn warned(route: &str) -> String {
    load("", route).unwrap_or_else(|wrong| panic!("{route}: {wrong}")).warnings.render()
}

/// What `100/s` stands for.
fn short() -> RateLimit {
    RateLimit {
        at: crate::model::At::default(),
        name: "default".to_owned(),
        shared: false,
        key: vec![KeyPart::ClientIp],
        absent: AbsentKey::Share,
        count: 100,
        per: Duration::from_secs(1),
        burst: 100,
        algorithm: RateAlgorithm::TokenBucket,
        max_delay: Duration::from_secs(1),
        cost: Cost { fixed: 1, request_header: None, response_header: None, response_json: None },
        dry_run: false,
        store: RateStore::Local,
    }
}

#[test]
fn a_rate_stands_for_a_limit() {
    for same in ["100/s", "[100/s]", "{ rate: 100/s }", "[{ rate: 100/s, key: client_ip }]"] {
        assert_eq!(limits("", same), [short()], "{same}");
    }
    for off in ["off", "false"] {
        assert!(limits("", off).is_empty());
    }
    assert_eq!(limit("5/m").per, Duration::from_secs(60));
}

#[test]
fn everything_can_be_said() {
    let text = "{ name: per-ip, key: [header:X-Key, query:k], absent: skip, rate: 10/m, burst: 4, \
                algorithm: leaky_bucket, max_delay: 1m, cost: { fixed: 2, request_header: X-Cost, \
                response_header: x-actual }, dry_run: true, store: local, mode: exact, \
                on_store_failure: local }";
    let header = |name| Some(HeaderName::from_static(name));
    let expected = RateLimit {
        name: "per-ip".to_owned(),
        key: vec![
            KeyPart::Header(HeaderName::from_static("x-key")),
            KeyPart::Query("k".to_owned()),
        ],
        absent: AbsentKey::Skip,
        count: 10,
        per: Duration::from_secs(60),
        burst: 4,
        algorithm: RateAlgorithm::LeakyBucket,
        max_delay: Duration::from_secs(60),
        cost: Cost {
            fixed: 2,
            request_header: header("x-cost"),
            response_header: header("x-actual"),
            response_json: None,
        },
        dry_run: true,
        ..short()
    };
    assert_eq!(limits("", text), [expected]);
    assert_eq!(warned(text), "");
}

#[test]
fn several_limits_have_names() {
    let names = |shared: &str, route: &str| -> Vec<String> {
        limits(shared, route).into_iter().map(|limit| limit.name).collect()
    };
    assert_eq!(names("", "[{ rate: 1/s }]"), ["default"]);
    assert_eq!(
        names("u: { rate: 1/s }", "[u, 5/m, { name: x, rate: 1/h }, 9/d]"),
        ["u", "default-2", "x", "default-4"]
    );
    for twice in [
        "[{ name: u, rate: 1/s }, u]",
        "[u, u]",
        "[{ name: u, rate: 1/s }, { name: u, rate: 2/s }]",
        "[{ name: default-2, rate: 1/s }, 5/m]",
    ] {
        let said = refused(twice);
        assert!(said.contains("the route has a limit with the name"), "{said}");
        assert!(said.contains("first on line 4"), "{said}");
    }
    assert!(refused("[]").contains("write `rate_limit: off` for none"));
    assert!(refused("[1/s, 1/s, 1/s, 1/s, 1/s, 1/s, 1/s, 1/s, 1/s]").contains("at most 8"));
}

#[test]
fn routes_share_limits_by_name() {
    let shared = "per-user: { key: header:x-user, rate: 100/m, burst: 7 }";
    for text in ["per-user", "[per-user]"] {
        let limit = limits(shared, text).remove(0);
        assert!(limit.shared);
        assert_eq!((limit.name.as_str(), limit.count, limit.burst), ("per-user", 100, 7));
        assert_eq!(limit.at.line, 2);
    }
    let loaded = load(shared, "per-user").unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.config.rate_limits, loaded.config.routes[0].rate_limits);

    let said = load(shared, "per-usr").unwrap_err().render();
    assert!(said.contains("unknown rate limit `per-usr`"), "{said}");
    assert!(said.contains("did you mean `per-user`?"), "{said}");
    let said = load("", "per-user").unwrap_err().render();
    assert!(said.contains("write a rate such as `100/s`, or the name of one"), "{said}");
    let unused = load(shared, "off").unwrap().warnings.render();
    assert!(unused.contains("no route uses the rate limit `per-user`"), "{unused}");
}

#[test]
fn a_broken_shared_limit_is_blamed_once() {
    for (shared, expected) in [
        ("u: { rate: 1 }", "did you mean `1/s`?"),
        ("u: {}", "`rate` is missing in `rate_limits.u`"),
        ("u: 1/s", "expected a mapping"),
        ("u: { name: u, rate: 1/s }", "unknown key `name` in `rate_limits.u`"),
    ] {
        let said = load(shared, "u").unwrap_err().render();
        assert!(said.contains(expected) && said.trim_end().ends_with("\n1 error"), "{said}");
    }
    let said = load("10/s: { rate: 1/s }", "10/s").unwrap_err().render();
    assert!(said.contains("the name of a limit begins with a letter"), "{said}");
}

#[test]
fn rates_are_checked() {
    for (rate, hint) in [
        ("-5/s", "a rate is not negative"),
        ("NaN/s", "expected a rate such as"),
        ("1.5/s", "only whole numbers"),
        ("99999999999/s", "at most 4294967295"),
        ("100", "did you mean `100/s`?"),
        ("5/ms", "whole seconds"),
    ] {
        assert!(refused(rate).contains(hint), "{}", refused(rate));
        let long = format!("{{ rate: {rate} }}");
        assert!(refused(&long).contains(hint), "{}", refused(&long));
    }
    assert!(refused("{ key: route }").contains("`rate` is missing in `routes[0].rate_limit`"));
    assert!(refused("on").contains("unknown rate limit `on`"));
    for zero in ["0/s", "{ rate: 0/m, burst: 5 }", "{ rate: 0/m, algorithm: sliding_window }"] {
        assert_eq!(limit(zero).count, 0);
        assert!(warned(zero).contains("a rate of 0 admits nothing"), "{zero}");
    }
}

#[test]
fn a_burst_fits_its_algorithm() {
    assert_eq!(limit("{ rate: 10/s, burst: 1 }").burst, 1);
    assert!(refused("{ rate: 1/s, burst: 0 }").contains("a whole number from 1"));
    let leaky = refused("{ rate: 1/s, burst: 0, algorithm: leaky_bucket }");
    assert!(leaky.contains("`burst: 1` paces and lets nothing wait"), "{leaky}");
    assert!(refused("{ rate: 1/s, burst: -1 }").contains("a whole number from 1"));
    assert!(refused("{ rate: 1/366d, burst: 11 }").contains("takes over 10 years to earn"));
    assert_eq!(limit("{ rate: 1/366d, burst: 10 }").burst, 10);

    let window = |burst| format!("{{ rate: 10/m, algorithm: sliding_window{burst} }}");
    assert_eq!(limit(&window("")).burst, 10);
    assert_eq!(limit(&window(", burst: 10")).burst, 10);
    let said = refused(&window(", burst: 20"));
    assert!(said.contains("10 in any 60s is all that it admits"), "{said}");
}

#[test]
fn only_a_leaky_bucket_delays() {
    let leaky = |keys: &str| format!("{{ rate: 10/s, algorithm: leaky_bucket{keys} }}");
    assert_eq!(warned(&leaky("")), "");
    assert_eq!(limit(&leaky(", max_delay: 2s")).max_delay, Duration::from_secs(2));
    for other in ["token_bucket", "sliding_window"] {
        let said = refused(&format!("{{ rate: 1/s, algorithm: {other}, max_delay: 2s }}"));
        assert!(said.contains("only a `leaky_bucket` delays"), "{said}");
    }
    let said = warned(&leaky(", burst: 20"));
    assert!(said.contains("at 10/s only 10 of the 20 can wait: `max_delay` is 1s"), "{said}");
    assert!(warned(&leaky(", max_delay: 50ms")).contains("only 0 of the 10"));
    let slow = warned("{ rate: 5/m, algorithm: leaky_bucket }");
    assert!(slow.contains("at 5/m only 0 of the 5 can wait"), "{slow}");
    assert!(
        refused("{ rate: 1/s, algorithm: tokenbucket }").contains("did you mean `token_bucket`?")
    );
}

#[test]
fn costs_are_numbers_or_headers() {
    let cost = |text: &str| limit(&format!("{{ rate: 10/s, cost: {text} }}")).cost;
    let plain =
        |fixed| Cost { fixed, request_header: None, response_header: None, response_json: None };
    let asked = HeaderName::from_static("x-cost");
    assert_eq!(cost("3"), plain(3));
    assert_eq!(cost("{ fixed: 3 }"), plain(3));
    assert_eq!(cost("header:X-Cost"), Cost { request_header: Some(asked.clone()), ..plain(1) });
    assert_eq!(cost("{ response_header: x-cost }").response_header, Some(asked));
    let refused = |text: &str| refused(&format!("{{ rate: 10/s, cost: {text} }}"));
    assert!(refused("x-cost").contains("is `cost: header:x-cost`"));
    assert!(refused("-1").contains("a whole number from 0"));
    assert!(refused("\"header:x cost\"").contains("`x cost` is no header name"));
    assert!(refused("\"header:\"").contains("is no header name"));
    assert!(refused("{ request_header: \"a b\" }").contains("`a b` is no header name"));
    let said = warned("{ rate: 10/s, cost: 11 }");
    assert!(said.contains("a cost of 11 never passes: 10 is the most at once"), "{said}");
    // One goes at once, ten wait.
    assert_eq!(warned("{ rate: 10/s, algorithm: leaky_bucket, cost: 11 }"), "");
    assert!(warned("{ rate: 10/s, algorithm: leaky_bucket, cost: 12 }").contains("11 is the most"));
    assert!(warned("{ rate: 10/s, cost: 0 }").contains("never denied"));
    assert_eq!(warned("{ rate: 10/s, cost: { fixed: 0, response_header: x-cost } }"), "");
}

#[test]
fn counts_are_kept_here_or_where_gateways_share_them() {
    for place in ["{ rate: 1/s, mode: leased }", "v"] {
        let said = load("v: { rate: 1/s, mode: leased }", place).unwrap_err().render();
        assert!(said.contains("only what is kept elsewhere is leased"), "{said}");
    }
    assert!(refused("{ rate: 1/s, store: rediss }").contains("did you mean `redis`?"));
    assert!(refused("{ rate: 1/s, store: redis }").contains("needs servers"));
    let said = warned("{ rate: 1/s, on_store_failure: allow }");
    assert!(said.contains("`on_store_failure` has no effect"), "{said}");

    let load = |limit: &str| {
        let file = format!(
            "listeners: [\":80\"]\nredis: \"redis://a\"\n\
             rate_limits: {{ v: {{ rate: 1/s, store: redis, on_store_failure: deny }} }}\n\
             routes: [{{ respond: 200, rate_limit: {limit} }}]"
        );
        load_str("weir.yaml", &file, &|_| None)
    };
    let store = |limit: &str| {
        let loaded = load(limit).unwrap_or_else(|wrong| panic!("{limit}: {wrong}"));
        loaded.config.routes[0].rate_limits[0].store
    };
    let redis = |on_failure| RateStore::Redis { mode: StoreMode::Exact, on_failure };
    assert_eq!(store("{ rate: 1/s, store: redis }"), redis(OnStoreFailure::Local));
    let allow = "{ rate: 1/s, store: redis, mode: exact, on_store_failure: allow }";
    assert_eq!(store(allow), redis(OnStoreFailure::Allow));
    let leased = RateStore::Redis { mode: StoreMode::Leased, on_failure: OnStoreFailure::Local };
    assert_eq!(store("{ rate: 1/s, store: redis, mode: leased }"), leased);
    assert_eq!(store("v"), redis(OnStoreFailure::Deny));
    assert_eq!(
        store("{ rate: 1/s, store: redis, algorithm: leaky_bucket }"),
        redis(OnStoreFailure::Local)
    );
    let said = load("{ rate: 9/s, store: redis, mode: leased, algorithm: sliding_window }");
    let said = said.unwrap_err().render();
    assert!(said.contains("only tokens of a `token_bucket`"), "{said}");
}

#[test]
fn a_cost_may_be_in_the_response() {
    let cost = |text: &str| limit(&format!("{{ rate: 10/s, cost: {text} }}")).cost;
    let path = cost("{ response_json: usage.total_tokens }").response_json.unwrap();
    assert_eq!(path, ["usage", "total_tokens"]);
    assert_eq!(cost("{ response_json: tokens }").response_json.unwrap(), ["tokens"]);
    let refused = |text: &str| refused(&format!("{{ rate: 10/s, cost: {{ {text} }} }}"));
    for (path, why) in [
        ("\"\"", "a name is empty"),
        ("a..b", "a name is empty"),
        ("\"$.a\"", "without quotes or brackets"),
        ("\"a[0]\"", "without quotes or brackets"),
        ("a.b.c.d.e.f.g.h.i", "more than 8 names"),
    ] {
        let said = refused(&format!("response_json: {path}"));
        assert!(said.contains(why), "{path}: {said}");
    }
    assert!(refused("response_json: a, response_header: b").contains("either"));
}

#[test]
fn routes_that_answer_themselves_have_limits() {
    for action in ["respond: 200", "redirect: /b"] {
        let file =
            format!("listeners: [\":80\"]\nroutes: [{{ match: /a, {action}, rate_limit: 5/s }}]");
        let loaded = load_str("weir.yaml", &file, &|_| None).unwrap();
        assert_eq!(loaded.config.routes[0].rate_limits.len(), 1, "{action}");
    }
}
