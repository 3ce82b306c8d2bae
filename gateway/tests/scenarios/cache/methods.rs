//! Methods beside GET: what a POST leaves behind, and QUERY, whose content is part of the key.

use super::{ask, caching, counting, get, status};
use crate::support::{
    gateway::Gateway,
    origin::{Exchange, Origin},
};

/// Sends content with these field lines, and gives what comes back and what the cache says.
fn send(gateway: &Gateway, method: &str, target: &str, fields: &str, content: &str) -> [String; 2] {
    let mut client = gateway.client();
    let length = content.len();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: weir.test\r\n{fields}");
    client.send(format!("{head}Content-Length: {length}\r\n\r\n{content}").as_bytes());
    let answer = client.answer(method).unwrap();
    let status = status(&answer).to_owned();
    // The connection is whole: nothing of the content is left to be taken for a request.
    assert_eq!(client.get("/next").unwrap().status, 200);
    [answer.text(), status]
}

#[test]
fn what_a_post_brings_is_kept_where_it_says_that_it_is_the_resource() {
    let origin = counting("Cache-Control: max-age=60\r\nContent-Location: /x\r\n");
    let gateway = caching(origin.address, "true");
    let posted = send(&gateway, "POST", "/x", "", "new");
    assert_eq!(posted, ["0", "weir; fwd=method; stored; detail=method"]);
    let hit = || status(&get(&gateway, "/x")).starts_with("weir; hit");
    assert!(crate::support::eventually(hit));
    assert_eq!(get(&gateway, "/x").text(), "0");
    // Another change is another answer.
    let [text, _] = send(&gateway, "POST", "/x", "", "newer");
    assert!(crate::support::eventually(hit));
    assert_eq!(get(&gateway, "/x").text(), text);
}

#[test]
fn what_a_post_brings_is_not_kept_otherwise() {
    for fields in [
        "Cache-Control: max-age=60\r\n",
        "Cache-Control: max-age=60\r\nContent-Location: /other\r\n",
        "Cache-Control: max-age=60\r\nContent-Location: http://else.test/x\r\n",
        "Cache-Control: public\r\nETag: \"a\"\r\nContent-Location: /x\r\n",
        "Cache-Control: private, max-age=60\r\nContent-Location: /x\r\n",
        "Cache-Control: max-age=60\r\nSet-Cookie: a=b\r\nContent-Location: /x\r\n",
    ] {
        let origin = counting(fields);
        let gateway = caching(origin.address, "60s");
        let posted = send(&gateway, "POST", "/x", "", "new");
        assert_eq!(posted, ["0", "weir; fwd=method; detail=method"], "{fields}");
        assert!(!status(&get(&gateway, "/x")).contains("hit"), "{fields}");
    }
    let origin = counting("Cache-Control: max-age=60\r\nContent-Location: /x\r\n");
    let gateway = caching(origin.address, "true");
    for fields in ["X-Http-Method-Override: PUT\r\n", "Authorization: Basic x\r\n"] {
        let [_, said] = send(&gateway, "POST", "/x", fields, "new");
        assert_eq!(said, "weir; fwd=method; detail=method", "{fields}");
    }
}

/// Answers with the content that came.
fn mirror() -> Origin {
    Origin::start(|x: &mut Exchange| {
        x.read_body()?;
        let text = String::from_utf8_lossy(&x.seen.body).into_owned();
        x.reply(200, "Cache-Control: max-age=60\r\nETag: \"a\"\r\n", &text)
    })
}

#[test]
fn a_query_is_answered_by_its_content() {
    let origin = mirror();
    let gateway = caching(origin.address, "true");
    let query = |fields: &str, content: &str| send(&gateway, "QUERY", "/x", fields, content);
    let kind = "Content-Type: text/plain\r\n";
    let missed = |content: &str| [content.to_owned(), "weir; fwd=uri-miss; stored".to_owned()];
    assert_eq!(query(kind, "one"), missed("one"));
    assert_eq!(query(kind, "two"), missed("two"));
    assert_eq!(query("Content-Type: text/html\r\n", "one"), missed("one"));
    for content in ["one", "two"] {
        let hit = || query(kind, content)[1].starts_with("weir; hit");
        assert!(crate::support::eventually(hit));
        assert_eq!(query(kind, content)[0], content);
    }
    assert_eq!(origin.seen_at("/x").len(), 3);
    // It is another thing than a GET, and goes with it when the URL is changed.
    assert!(status(&get(&gateway, "/x")).contains("uri-miss"));
    send(&gateway, "POST", "/x", "", "change");
    assert_eq!(query(kind, "one"), missed("one"));
}

#[test]
fn content_does_not_pass_for_another_part_of_the_key() {
    let origin = mirror();
    let gateway = super::caching_behind(1, origin.address, "true");
    send(&gateway, "QUERY", "/x", "", "a\0x-forwarded-port\08080");
    let [text, said] = send(&gateway, "QUERY", "/x", "X-Forwarded-Port: 8080\r\n", "a");
    assert_eq!([text.as_str(), said.as_str()], ["a", "weir; fwd=uri-miss; stored"]);
}

#[test]
fn a_query_too_long_for_a_key_goes_by() {
    let origin = mirror();
    let gateway = caching(origin.address, "true");
    let long = "x".repeat(17 * 1024);
    for _ in 0..2 {
        let [text, said] = send(&gateway, "QUERY", "/x", "", &long);
        assert_eq!((text.len(), said.as_str()), (long.len(), "weir; fwd=bypass; detail=content"));
    }
    let long = "x".repeat(16 * 1024);
    let [text, said] = send(&gateway, "QUERY", "/x", "", &long);
    assert_eq!((text.len(), said.as_str()), (long.len(), "weir; fwd=bypass; detail=key"));
    // Without a length nobody knows whether it fits.
    let chunked = ask(&gateway, "QUERY", "/x", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n");
    assert_eq!(status(&chunked), "weir; fwd=bypass; detail=content");
}

#[test]
fn what_the_route_drops_is_dropped_for_a_query_and_no_post_is_kept_under_the_rest() {
    let origin = counting("Cache-Control: max-age=60\r\nContent-Location: /x?a=1\r\n");
    let gateway = caching(origin.address, "{ key: { query: { drop: [b] } } }");
    let [_, said] = send(&gateway, "POST", "/x?a=1&b=2", "", "new");
    assert_eq!(said, "weir; fwd=method; detail=method");
    assert_eq!(origin.seen()[0].target, "/x?a=1&b=2");
    let rewriting = crate::support::gateway::Setup::yaml(&format!(
        "admin: {{ bind: \"$ADMIN\" }}\nlisteners: [{{ bind: \"$LISTEN\" }}]\n\
         upstreams:\n  main: {{ endpoints: [\"{}\"] }}\nroutes:\n\
         - {{ match: {{ path: \"/**\" }}, to: main, cache: on, rewrite: \"/sub/{{**}}\" }}\n",
        origin.address
    ))
    .start();
    let [_, said] = send(&rewriting, "POST", "/x?a=1", "", "new");
    assert_eq!(said, "weir; fwd=method; detail=method", "the upstream's URL is another");
    let query = |target: &str| send(&gateway, "QUERY", target, "", "what?");
    let [first, _] = query("/x?a=1&b=3");
    assert!(origin.seen().iter().any(|seen| seen.method == "QUERY" && seen.target == "/x?a=1"));
    assert!(crate::support::eventually(|| query("/x?b=9&a=1")[1].contains("hit")));
    assert_eq!(query("/x?a=1")[0], first);
}
