#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use crate::{Diagnostics, Loaded, diff, explain, load_str, model::Secret};

fn load(redis: &str) -> Result<Loaded, Diagnostics> {
    load_with(redis, "{ rate: 1/s, store: redis }")
}

fn load_with(redis: &str, limit: &str) -> Result<Loaded, Diagnostics> {
    let file = format!(
        "listeners: [\":80\"]\nredis: {redis}\nroutes: [{{ name: api, respond: 200, rate_limit: \
         {limit} }}]"
    );
    load_str("weir.yaml", &file, &|_| None)
}

fn refused(redis: &str) -> String {
    load(redis).unwrap_err().render()
}

#[test]
fn short_and_long() {
    let urls = |redis: &str| {
        let loaded = load(redis).unwrap_or_else(|wrong| panic!("{redis}: {wrong}"));
        loaded.config.redis.unwrap().urls.into_iter().map(|url| url.0).collect::<Vec<_>>()
    };
    assert_eq!(urls("\"redis://127.0.0.1:6379\""), ["redis://127.0.0.1:6379"]);
    assert_eq!(urls("{ url: \"redis://[::1]:6379/3\" }"), ["redis://[::1]:6379/3"]);
    assert_eq!(urls("{ urls: [\"redis://a\", \"rediss://b:1/\"] }").len(), 2);
    assert_eq!(urls("{ url: \"unix:///run/redis.sock?db=1\" }").len(), 1);
    let cluster = load("{ cluster: [\"redis://a\", \"redis://b\"] }").unwrap();
    assert!(cluster.config.redis.is_some_and(|redis| redis.cluster && redis.urls.len() == 2));
    assert!(explain(&load("{ cluster: \"redis://a\" }").unwrap().config).contains("cluster:"));
    let redis = load("{ url: \"redis://a\" }").unwrap().config.redis.unwrap();
    assert_eq!((redis.timeout, redis.connections), (Duration::from_millis(20), 1));
    assert_eq!((redis.username, redis.password, redis.secret), (None, None, None));
    let redis = "{ url: \"redis://a\", username: u, password: p, secret: s, timeout: 5ms }";
    let redis = load(redis).unwrap().config.redis.unwrap();
    assert_eq!(redis.username.as_deref(), Some("u"));
    assert_eq!([redis.password, redis.secret], ["p", "s"].map(|text| Some(Secret(text.into()))));
}

#[test]
fn a_wrong_address_is_told_without_its_password() {
    for (url, why) in [
        ("127.0.0.1:6379", "write `redis://127.0.0.1:6379`"),
        ("http://a", "the scheme is"),
        ("rediss://b:1/#insecure", "certificates are always verified"),
        ("redis://", "the host is missing"),
        ("redis://:6379", "the host is missing"),
        ("redis://u:hunter2@a:port", "a port is a number"),
        ("redis://u:hunter2@a:0", "a port is a number"),
        ("redis://u:hunter2@a/name", "the number of a database"),
        ("redis://u:hunter2@x@a", "`%40`"),
        ("unix://run/redis.sock", "a path begins"),
    ] {
        for redis in [format!("{{ url: \"{url}\" }}"), format!("{{ urls: [\"{url}\"] }}")] {
            let said = refused(&redis);
            assert!(said.contains(why), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
    assert!(refused("{ timeout: 20ms }").contains("`url` is missing in `redis`"));
    assert!(refused("{ urls: [] }").contains("`urls` is empty"));
    assert!(refused("{ urls: [\"redis://a\", \"redis://a\"] }").contains("twice"));
    assert!(refused("{ url: \"redis://a\", urls: [\"redis://b\"] }").contains("either"));
    assert!(refused("{ url: \"redis://a\", username: u }").contains("without a `password`"));
    assert!(refused("{ cluster: [] }").contains("`cluster` is empty"));
    assert!(refused("{ cluster: [\"redis://a\"], urls: [\"redis://b\"] }").contains("either"));
}

#[test]
fn what_is_secret_does_not_show() {
    let file = |password: &str| {
        let url = format!("redis://u:{password}@a:1/2");
        load(&format!("{{ urls: [\"{url}\", \"redis://b\"], password: {password}, secret: s3 }}"))
            .unwrap()
            .config
    };
    let (old, new) = (file("hunter2"), file("hunter3"));
    let shown = format!("{} {old:?} {:?}", explain(&old), diff(&old, &new));
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(!shown.contains("s3"), "{shown}");
    let paths: Vec<_> = diff(&old, &new).into_iter().map(|change| change.path).collect();
    assert_eq!(paths, ["redis.urls", "redis.password"]);
}

#[test]
fn who_shares_needs_servers() {
    let limit = "{ rate: 1/s, store: redis }";
    let said = load_with("off", limit).unwrap_err().render();
    assert!(said.contains("`store: redis` needs servers"), "{said}");
    assert!(said.contains("redis: { url:"), "{said}");
    assert!(load_with("off", "{ rate: 1/s }").is_ok());
    // What is wrong with the servers is said once.
    assert_eq!(load_with("{ url: a }", limit).unwrap_err().iter().count(), 1);
}

#[test]
fn keys_that_clients_choose_want_a_secret() {
    let warned = |redis: &str, key: &str| {
        let limit = format!("{{ rate: 1/s, store: redis, key: {key} }}");
        load_with(redis, &limit).unwrap().warnings.render()
    };
    let open = "\"redis://a\"";
    for key in ["\"header:x-user\"", "[client_ip, \"cookie:s\"]", "\"query:k\"", "path"] {
        assert!(warned(open, key).contains("`redis.secret`"), "{key}");
    }
    for key in ["client_ip", "route"] {
        assert_eq!(warned(open, key), "", "{key}");
    }
    assert_eq!(warned("{ url: \"redis://a\", secret: s }", "\"header:x-user\""), "");
}

#[test]
fn what_is_shared_by_a_route_wants_a_name() {
    let warned = |routes: &str| {
        let file = format!(
            "listeners: [\":80\"]\nredis: {{ url: \"redis://a\", secret: s }}\n\
             rate_limits: {{ all: {{ rate: 1/s, store: redis }} }}\nroutes: [{routes}]"
        );
        load_str("weir.yaml", &file, &|_| None).unwrap().warnings.render()
    };
    let named = "{ match: /a, name: a, respond: 200, rate_limit: all }";
    let warning = "by its route's name, which is just its place";
    for (unnamed, expect) in [
        ("{ respond: 200, rate_limit: { rate: 1/s, store: redis } }", true),
        ("{ respond: 200, rate_limit: { rate: 1/s } }", false),
        ("{ respond: 200, rate_limit: all }", false),
    ] {
        let said = warned(&format!("{named}, {unnamed}"));
        assert_eq!(said.contains(warning), expect, "{unnamed}: {said}");
    }
}
