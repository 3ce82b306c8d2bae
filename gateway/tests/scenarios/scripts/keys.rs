//! Keys that are expressions in Lua: of limits, of the cache, of endpoints.

use std::fs;

use super::ask;
use crate::support::{
    answer::Answer,
    eventually,
    gateway::{Gateway, Setup},
    origin::Origin,
};

/// A gateway of origins, chosen by `hash` where that is a key, and a route with these keys.
fn keyed(origins: &[Origin], hash: &str, keys: &str) -> Gateway {
    let balance = match hash {
        "" => String::new(),
        key => format!(", balance: {{ rendezvous: {{ key: '{key}' }} }}"),
    };
    let endpoints: Vec<_> = origins.iter().map(|one| format!("\"{}\"", one.address)).collect();
    let endpoints = endpoints.join(", ");
    Setup::yaml(&format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         upstreams:\n  a: {{ endpoints: [{endpoints}], outlier: off{balance} }}\n\
         routes:\n  - {{ name: api, match: \"/**\", to: a{keys} }}\n"
    ))
    .start()
}

fn tenant(gateway: &Gateway, target: &str, tenant: &str) -> Answer {
    let fields = match tenant {
        "" => String::new(),
        name => format!("X-Tenant: {name}\r\n"),
    };
    ask(&mut gateway.client(), "GET", target, &fields)
}

fn statuses(gateway: &Gateway, tenants: &[&str]) -> Vec<u16> {
    tenants.iter().map(|name| tenant(gateway, "/", name).status).collect()
}

#[test]
fn a_limit_counts_by_what_an_expression_makes() {
    let origins = [Origin::echo()];
    let limit = |absent: &str| {
        let key = "lua:req.headers[\"x-tenant\"] and req.headers[\"x-tenant\"]:lower()";
        let keys = format!(", rate_limit: {{ key: '{key}', rate: 1/h, absent: {absent} }}");
        keyed(&origins, "", &keys)
    };
    let tenants = ["acme", "ACME", "other", "", ""];
    assert_eq!(statuses(&limit("share"), &tenants), [200, 429, 200, 200, 429]);
    assert_eq!(statuses(&limit("skip"), &tenants), [200, 429, 200, 200, 200]);
    assert_eq!(statuses(&limit("deny"), &tenants), [200, 429, 200, 429, 429]);
}

#[test]
fn a_key_that_fails_is_absent_and_told() {
    let origins = [Origin::echo()];
    for (expression, what, outcome) in [
        ("req.headers[\"x-tenant\"]:lower()", "lua:1: attempt to index nil", "error"),
        ("(function() while true do end end)()", "it takes more steps than it may", "timeout"),
        ("weir.http({ upstream = \"a\" })", "a key waits for nothing", "error"),
    ] {
        let keys = format!(", rate_limit: {{ key: 'lua:{expression}', rate: 1/h, absent: deny }}");
        let gateway = keyed(&origins, "", &keys);
        assert_eq!(statuses(&gateway, &["", ""]), [429, 429], "{expression}");
        assert!(eventually(|| gateway.log().contains(what)), "{what}\n{}", gateway.log());
        assert_eq!(gateway.access_line("\"/\"")["script"], outcome);
        let metrics = gateway.admin("GET", "/metrics").text();
        let line = metrics
            .lines()
            .find(|line| line.starts_with("weir_scripts_total") && line.contains(outcome));
        assert!(line.is_some_and(|line| line.ends_with(" 2")), "{line:?}");
    }
}

#[test]
fn others_are_served_while_keys_loop() {
    let origins = [Origin::echo()];
    let expression = "if req.path == \"/loop\" then (function() while true do end end)() else 1";
    let keys = format!(", rate_limit: {{ key: 'lua:{expression}', rate: 100/s, absent: skip }}");
    let gateway = keyed(&origins, "", &keys);
    for _ in 0..20 {
        assert_eq!(tenant(&gateway, "/loop", "").status, 200);
        assert_eq!(tenant(&gateway, "/fast", "").status, 200);
    }
}

#[test]
fn the_cache_tells_answers_apart_and_keeps_none_without_a_key() {
    let origins = [Origin::start(|x| {
        let tenant = x.seen.field("x-tenant").unwrap_or("nobody").to_owned();
        x.reply(200, "Cache-Control: max-age=60\r\n", &tenant)
    })];
    let keys = ", cache: { key: { lua: 'req.headers[\"x-tenant\"]:lower()' } }";
    let gateway = keyed(&origins, "", keys);
    let said = |name: &str| {
        let answer = tenant(&gateway, "/a", name);
        (answer.text(), answer.field("cache-status").unwrap_or_default().contains("hit"))
    };
    assert_eq!(said("acme"), ("acme".to_owned(), false));
    assert_eq!(said("Acme"), ("acme".to_owned(), true));
    assert_eq!(said("other"), ("other".to_owned(), false));
    assert_eq!(said("acme"), ("acme".to_owned(), true));
    // The expression throws.
    for _ in 0..2 {
        assert_eq!(said(""), ("nobody".to_owned(), false));
    }
    let bypassed = tenant(&gateway, "/a", "");
    let status = bypassed.field("cache-status").unwrap();
    assert!(status.contains("fwd=bypass") && status.contains("key"), "{status}");
    assert!(eventually(|| gateway.log().contains("attempt to index nil")));
}

#[test]
fn an_endpoint_has_the_keys_that_an_expression_makes() {
    let origins = [Origin::echo(), Origin::echo()];
    let gateway = keyed(&origins, "lua:req.headers[\"x-tenant\"]:lower()", "");
    let owner = |name: &str| {
        let before = origins[0].seen().len();
        assert_eq!(tenant(&gateway, "/", name).status, 200);
        origins[0].seen().len() > before
    };
    let mut first = 0;
    for number in 0..40 {
        let (lower, upper) = (format!("tenant{number}"), format!("TENANT{number}"));
        let owned = owner(&lower);
        assert_eq!([owner(&upper), owner(&lower)], [owned; 2], "{lower}");
        first += usize::from(owned);
    }
    assert!((5..=35).contains(&first), "{first} of 40");
    // The expression throws: any endpoint will do.
    assert!((0..3).all(|_| tenant(&gateway, "/", "").status == 200));
}

#[test]
fn the_example_does_what_it_says() {
    let origins = [Origin::echo(), Origin::echo()];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/lua-keys.yaml");
    let text = fs::read_to_string(path)
        .unwrap()
        .replace(":8080", "$LISTEN")
        .replace("127.0.0.1:9001", &origins[0].address.to_string())
        .replace("127.0.0.1:9002", &origins[1].address.to_string());
    let gateway = Setup::yaml(&format!("admin: {{ bind: \"$ADMIN\" }}\n{text}")).start();
    let mut client = gateway.client();
    for (method, tenant, status) in [
        ("GET", "Acme", 200),
        ("GET", "acme", 200),
        ("GET", "ACME", 200),
        ("GET", "acme", 429),
        ("DELETE", "acme", 200),
        ("GET", "other", 200),
    ] {
        let fields = format!("X-Tenant: {tenant}\r\n");
        assert_eq!(ask(&mut client, method, "/api/a", &fields).status, status, "{method} {tenant}");
    }
    assert_eq!(ask(&mut client, "GET", "/api/a", "").status, 429);
    let seen = origins.each_ref().map(|origin| {
        let all = origin.seen_at("/api");
        all.iter().filter(|seen| seen.field("x-tenant") != Some("other")).count()
    });
    assert!(seen.contains(&4) && seen.contains(&0), "{seen:?}");
    for (language, hit) in [("de-AT", false), ("de", true), ("fr", false), ("en-GB", true)] {
        let answer = ask(&mut client, "GET", "/page", &format!("Accept-Language: {language}\r\n"));
        let status = answer.field("cache-status").unwrap_or_default();
        assert_eq!(status.contains("hit"), hit, "{language}: {status}");
    }
}
