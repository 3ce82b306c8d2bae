//! `examples/traffic.yaml`, as it stands there.

use std::time::{Duration, Instant};

use super::{ask, get, named};
use crate::support::{
    eventually,
    gateway::{Setup, weir},
};

#[test]
fn the_command_line_says_what_it_would_do() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/traffic.yaml");
    let route = |method: &str, url: &str, field: &str| {
        let output = weir(&["route", example, method, url, "-H", field]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for (method, url, field, lines) in [
        (
            "GET",
            "http://h/api/a",
            "x-user: 7",
            &["stays with        `api`, by header:x-user", "mirror            100% to `shadow`"][..],
        ),
        ("GET", "http://h/api/a", "x-other: 7", &["stays with        any, for the request has no"]),
        ("GET", "http://h/shop/", "a: b", &["stays with        any, which a new cookie:side"]),
        (
            "GET",
            "http://h/drill/",
            "a: b",
            &[
                "fault             delay 2s for 100% of requests with `x-fault-delay`",
                "fault             503 for 100% of requests with `x-fault-abort`",
            ],
        ),
        ("PUT", "http://h/uploads/a", "a: b", &["body              at most 1GiB"]),
        (
            "GET",
            "http://h/orders/1",
            "a: b",
            &["maintenance       503, again in 10m, but for 192."],
        ),
    ] {
        let said = route(method, url, field);
        for line in lines {
            assert!(said.contains(line), "{line}: {said}");
        }
    }
}

#[test]
fn the_example_does_what_it_says() {
    let (api, canary, shadow) = (named("api"), named("canary"), named("shadow"));
    let text = include_str!("../../../../examples/traffic.yaml")
        .replace("\":8080\"", "\"$LISTEN\"")
        .replace("127.0.0.1:9001", &api.address.to_string())
        .replace("127.0.0.1:9002", &canary.address.to_string())
        .replace("127.0.0.1:9003", &shadow.address.to_string());
    let gateway =
        Setup::yaml(&format!("workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\n{text}")).start();
    let client = &mut gateway.client();
    let users: Vec<_> = (0..60).map(|user| format!("x-user: {user}\r\n")).collect();
    let first: Vec<_> = users.iter().map(|user| get(client, "/api/a", user).text()).collect();
    let again: Vec<_> = users.iter().map(|user| get(client, "/api/a", user).text()).collect();
    assert_eq!(first, again);
    assert!(eventually(|| shadow.seen().len() == 120));
    let shop = get(client, "/shop/", "");
    assert!(shop.field("set-cookie").is_some_and(|cookie| cookie.starts_with("side=")));
    assert_eq!(get(client, "/drill/", "").status, 200);
    assert_eq!(get(client, "/drill/", "x-fault-abort: 1\r\n").status, 503);
    let began = Instant::now();
    assert_eq!(get(client, "/drill/", "x-fault-delay: 100ms\r\n").status, 200);
    assert!(began.elapsed() >= Duration::from_millis(100));
    let large = "x".repeat(11 << 20);
    let body = ask(client, "PUT", "/uploads/a", "", &large);
    assert_eq!((body.status, body.body.len()), (200, large.len() + "api ".len()));
    assert_eq!(ask(client, "DELETE", "/uploads/a", "", "").status, 405);
    let closed = get(client, "/orders/1", "");
    assert_eq!((closed.status, closed.field("retry-after")), (503, Some("600")));
    assert_eq!(closed.text(), "<h1>We are back in a minute</h1>");
}
