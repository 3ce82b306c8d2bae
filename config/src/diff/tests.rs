#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::load_str;

fn changes(old: &str, new: &str) -> Vec<String> {
    let read = |text| load_str("f.yaml", text, &|_| None).unwrap_or_else(|e| panic!("{e}")).config;
    diff(&read(old), &read(new)).iter().map(ToString::to_string).collect()
}

const BASE: &str = r#"
listeners: [":8080"]
admin: { token: old }
upstreams:
  api: { endpoints: ["127.0.0.1:9001", "127.0.0.1:9002"] }
routes:
  - { name: a, match: /a, to: api }
  - { name: b, match: /b, to: api }
"#;

#[test]
fn the_same_meaning_is_no_change() {
    let moved = format!("# another line\nworkers: auto\n\n{BASE}\ntimeouts: {{ drain: 30s }}\n");
    assert!(changes(BASE, &moved).is_empty());
}

#[test]
fn what_changed_is_named_by_its_path() {
    let new = r#"
workers: 2
listeners: [{ bind: ":8443", tls: { cert: a.pem, key: a.key } }]
admin: { token: new }
upstreams:
  api:
    endpoints: [{ address: "127.0.0.1:9001", weight: 3 }, "127.0.0.1:9003"]
    connect_timeout: 5s
routes:
  - { name: b, match: /b, to: api, timeout: 5s }
  - { name: a, match: /a, to: api }
"#;
    assert_eq!(
        changes(BASE, new),
        [
            "~ workers: auto -> 2  (takes a restart)",
            "~ admin.token: <redacted> -> <redacted>",
            "- listeners[:8080]: { bind: \":8080\", tls: off, protocols: [h1, h2], early_data: \
             ...  (the listener drains)",
            "+ listeners[:8443]: { bind: \":8443\", tls: { certificates: [{ cert: a.pem, key: a\
             ...  (the listener opens)",
            "~ upstreams.api.endpoints[127.0.0.1:9001].weight: 1 -> 3",
            "- upstreams.api.endpoints[127.0.0.1:9002]: { address: \"127.0.0.1:9002\", \
             weight: 1 }  (no new requests; those under way end in peace)",
            "+ upstreams.api.endpoints[127.0.0.1:9003]: { address: \"127.0.0.1:9003\", \
             weight: 1 }",
            "~ upstreams.api.connect_timeout: 1s -> 5s",
            "~ routes[b].timeout.headers: 15s -> 5s",
            "~ routes[b].timeout.total: 60s -> 5s",
            "~ routes: `a` before `b` -> `b` before `a`  \
             (among equally specific ones the first in the file wins)",
        ]
    );
}

#[test]
fn switching_off_is_a_change() {
    let off = BASE.replace("admin: { token: old }", "admin: off");
    let seen = changes(BASE, &off);
    assert_eq!(seen, ["~ admin: { bind: \"127.0.0.1:9901\" } -> off"]);
    assert!(!seen.concat().contains("old"));
}

#[test]
fn limits_are_the_same_by_name() {
    let file = |shared: &str, limits: &str| {
        let a = format!("{{ name: a, match: /a, to: api, rate_limit: [{limits}] }}");
        BASE.replace("{ name: a, match: /a, to: api }", &a)
            + &format!("rate_limits: {{ {shared} }}\n")
    };
    let old = file("u: { key: client_ip, rate: 5/s }", "u, { name: x, rate: 1/s }, 10/m");
    let new = file(
        "u: { key: route, rate: 6/s }",
        "{ name: x, rate: 1/s, algorithm: sliding_window }, { name: default-3, rate: 10/m }, u, 7/d",
    );
    assert_eq!(changes(&old, &old), [""; 0]);
    assert_eq!(
        changes(&old, &new),
        [
            "~ rate_limits.u.key: client_ip -> route  (its counts begin anew)",
            "~ rate_limits.u.rate: 5/s -> 6/s",
            "~ rate_limits.u.burst: 5 -> 6",
            "- routes[a].rate_limit[x].burst: 1",
            "~ routes[a].rate_limit[x].algorithm: token_bucket -> sliding_window  \
             (its counts begin anew)",
            "+ routes[a].rate_limit[default-4]: { name: default-4, key: client_ip, absent: \
             share, rate: 7/d,...",
        ]
    );
}
