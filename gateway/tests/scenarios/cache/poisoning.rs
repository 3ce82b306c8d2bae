//! What one client sends must not choose what others get.

use super::{ask, caching, caching_behind, counting, get, status};
use crate::support::origin::Origin;

/// CVE-2025-4366: a hit whose request has a body must not leave the body on the connection, to be
/// taken for the next request.
#[test]
fn a_body_is_no_request() {
    let origin = counting("Cache-Control: max-age=60\r\n");
    let gateway = caching(origin.address, "true");
    get(&gateway, "/x");
    let inner = "GET /evil HTTP/1.1\r\nHost: weir.test\r\n\r\n";
    for framing in [
        format!("Content-Length: {}\r\n\r\n{inner}", inner.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()),
    ] {
        let mut client = gateway.client();
        client.send(format!("GET /x HTTP/1.1\r\nHost: weir.test\r\n{framing}").as_bytes());
        let answer = client.answer("GET").unwrap();
        assert_eq!(status(&answer), "weir; fwd=bypass; detail=content");
        client.send(b"GET /next HTTP/1.1\r\nHost: weir.test\r\n\r\n");
        client.answer("GET").unwrap();
    }
    assert!(origin.seen_at("/evil").is_empty(), "it came as a body");
    assert_eq!(origin.seen_at("/next").len(), 1, "the second one was a hit");
    assert!(origin.faults().is_empty(), "{:?}", origin.faults());
}

/// CVE-2026-2836 and its kin: what chooses the answer but not the key.
#[test]
fn what_is_no_part_of_the_key_does_not_reach_the_origin() {
    let origin = Origin::start(|x| {
        let names = [
            "x-forwarded-host",
            "x-forwarded-scheme",
            "x-forwarded-prefix",
            "x-host",
            "x-http-host-override",
            "x-original-url",
            "x-rewrite-url",
            "x-http-method-override",
            "forwarded",
        ];
        let evil = names.iter().any(|name| x.seen.field(name).is_some_and(|v| v.contains("evil")));
        x.reply(200, "Cache-Control: max-age=60\r\n", if evil { "evil" } else { "good" })
    });
    let gateway = caching(origin.address, "true");
    let fields = "X-Forwarded-Host: evil\r\nX-Forwarded-Scheme: evil\r\nX-Host: evil\r\n\
                  X-Forwarded-Prefix: evil\r\nX-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\n\
                  X-HTTP-Host-Override: evil\r\n\
                  X-HTTP-Method-Override: evil\r\nForwarded: host=evil\r\n";
    assert_eq!(ask(&gateway, "GET", "/x", fields).text(), "good");
    assert_eq!(get(&gateway, "/x").text(), "good");
    assert_eq!(origin.seen().len(), 1);
}

/// CVE-2026-2836: a key without the host gives one site's answer to another.
#[test]
fn hosts_and_paths_are_told_apart() {
    let origin = Origin::start(|x| {
        let host = x.seen.field("host").unwrap_or_default().to_owned();
        let text = format!("{host} {}", x.target());
        x.reply(200, "Cache-Control: max-age=60\r\n", &text)
    });
    let gateway = caching(origin.address, "true");
    let on = |host: &str, path: &str| {
        let mut client = gateway.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        client.answer("GET").unwrap().text()
    };
    for _ in 0..2 {
        assert_eq!(on("a.test", "/x"), "a.test /x");
        assert_eq!(on("b.test", "/x"), "b.test /x");
        assert_eq!(on("a.test", "/x?y"), "a.test /x?y");
    }
    assert_eq!(on("a.test", "/z/../x"), "a.test /x", "it is asked for as it is kept");
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn errors_are_not_kept_unless_they_say_so() {
    let origin = Origin::start(|x| x.reply(500, "", "no"));
    let gateway = caching(origin.address, "60s");
    for _ in 0..2 {
        assert_eq!(get(&gateway, "/x").status, 500);
    }
    assert_eq!(origin.seen().len(), 2);
}

/// Behind a proxy that ends TLS, what the origin is told of the client's URL tells answers apart.
#[test]
fn what_a_proxy_of_ours_vouches_for_is_part_of_the_key() {
    let origin = Origin::start(|x| {
        let told = |name| x.seen.field(name).unwrap_or_default().to_owned();
        let text = format!("{} {}", told("x-forwarded-proto"), told("x-forwarded-host"));
        x.reply(200, "Cache-Control: max-age=60\r\n", &text)
    });
    let gateway = caching_behind(1, origin.address, "true");
    for _ in 0..2 {
        for (proto, host) in [("http", "a.test"), ("https", "a.test"), ("https", "b.test")] {
            let fields = format!(
                "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: {proto}\r\n\
                 X-Forwarded-Host: {host}\r\n"
            );
            assert_eq!(ask(&gateway, "GET", "/x", &fields).text(), format!("{proto} {host}"));
        }
    }
    assert_eq!(origin.seen().len(), 3);
}
