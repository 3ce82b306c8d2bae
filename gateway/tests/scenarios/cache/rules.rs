//! Hits, misses and what is asked about: RFC 9111 over real sockets.

use std::{thread::sleep, time::Duration};

use super::{ask, caching, counting, get, status, tagged};
use crate::support::{
    client::post,
    h2_client,
    origin::{Next, Origin},
};

#[test]
fn what_is_fresh_is_answered_from_memory() {
    let origin = counting("Cache-Control: max-age=60\r\nX-Mine: yes\r\n");
    let gateway = caching(origin.address, "true");
    let first = get(&gateway, "/x");
    assert_eq!((first.status, first.text().as_str()), (200, "0"));
    assert_eq!((status(&first), first.field("age")), ("weir; fwd=uri-miss; stored", None));
    for _ in 0..8 {
        let again = get(&gateway, "/x");
        assert_eq!((again.status, again.text().as_str()), (200, "0"));
        assert!(status(&again).starts_with("weir; hit; ttl="), "{}", status(&again));
        assert!(again.field("age").is_some() && again.field("via").is_some());
        assert_eq!(again.field("x-mine"), Some("yes"));
        assert_ne!(again.field("x-request-id"), first.field("x-request-id"));
    }
    assert_eq!(get(&gateway, "/x?").text(), "1", "another URL");
    assert_eq!(origin.seen().len(), 2);
    assert_eq!(gateway.access_line("\"cache\":\"hit\"")["status"], 200);
}

#[test]
fn a_head_a_part_and_a_condition_are_met_from_memory() {
    let origin = tagged("Cache-Control: max-age=60\r\n");
    let gateway = caching(origin.address, "true");
    get(&gateway, "/x");
    let head = ask(&gateway, "HEAD", "/x", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.field("content-length"), Some("10"));
    let part = ask(&gateway, "GET", "/x", "Range: bytes=2-4\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    assert_eq!(part.field("content-range"), Some("bytes 2-4/10"));
    let beyond = ask(&gateway, "GET", "/x", "Range: bytes=20-\r\n");
    assert_eq!(beyond.status, 416);
    let same = ask(&gateway, "GET", "/x", "If-None-Match: \"a\"\r\n");
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn conditions_and_ranges_of_a_miss() {
    let origin = tagged("Cache-Control: max-age=60\r\n");
    let gateway = caching(origin.address, "true");
    let same = ask(&gateway, "GET", "/x", "If-None-Match: \"a\"\r\n");
    assert_eq!((same.status, status(&same)), (304, "weir; fwd=uri-miss; stored"));
    assert_eq!(origin.seen()[0].field("if-none-match"), None, "the whole was asked for");
    assert!(crate::support::eventually(|| status(&get(&gateway, "/x")).contains("hit")));
    let part = ask(&gateway, "GET", "/y", "Range: bytes=2-4\r\n");
    assert_eq!((part.status, status(&part)), (200, "weir; fwd=uri-miss"));
    assert_eq!(origin.seen_at("/y")[0].field("range"), Some("bytes=2-4"));
}

#[test]
fn what_is_stale_is_asked_about() {
    let origin = Origin::start(|x| {
        if x.seen.field("if-none-match") == Some("\"a\"") {
            // Fresh again for as long as this test takes.
            x.send("HTTP/1.1 304 No\r\nETag: \"a\"\r\nCache-Control: max-age=60\r\n\r\n")?;
            return Ok(Next::Keep);
        }
        x.reply(200, "ETag: \"a\"\r\nCache-Control: max-age=1\r\n", "0123456789")
    });
    let gateway = caching(origin.address, "true");
    get(&gateway, "/x");
    sleep(Duration::from_millis(2100));
    let again = get(&gateway, "/x");
    assert_eq!((again.status, again.text().as_str()), (200, "0123456789"));
    assert_eq!(status(&again), "weir; fwd=stale; fwd-status=304");
    assert_eq!(origin.seen()[1].field("if-none-match"), Some("\"a\""));
    assert!(status(&get(&gateway, "/x")).contains("hit"), "it is fresh once more");
    let forced = ask(&gateway, "GET", "/x", "Cache-Control: no-cache\r\n");
    assert_eq!(status(&forced), "weir; fwd=request; fwd-status=304");
    let only = ask(&gateway, "GET", "/none", "Cache-Control: only-if-cached\r\n");
    assert_eq!((only.status, status(&only)), (504, "weir; detail=only-if-cached"));
}

#[test]
fn variants_are_kept_apart() {
    let origin = Origin::start(|x| {
        let language = x.seen.field("accept-language").unwrap_or("-").to_owned();
        x.reply(200, "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n", &language)
    });
    let gateway = caching(origin.address, "true");
    for round in 0..2 {
        for language in ["fr", "de"] {
            let field = format!("Accept-Language: {language}\r\n");
            let answer = ask(&gateway, "GET", "/x", &field);
            assert_eq!(answer.text(), language);
            assert_eq!(status(&answer).contains("hit"), round == 1);
        }
    }
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn what_is_for_one_user_is_not_kept() {
    for fields in ["no-store", "private", "max-age=60\r\nSet-Cookie: a=1"] {
        let fields = format!("Cache-Control: {fields}\r\n").leak();
        let origin = counting(fields);
        let gateway = caching(origin.address, "60s");
        assert_eq!(get(&gateway, "/x").text(), "0", "{fields}");
        let again = get(&gateway, "/x");
        assert_eq!(again.text(), "1", "{fields}");
        assert!(status(&again).starts_with("weir; fwd=uri-miss; detail="), "{}", status(&again));
    }
    let origin = counting("Cache-Control: max-age=60\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n");
    let gateway = caching(origin.address, "{ set_cookie: true }");
    for _ in 0..2 {
        let answer = get(&gateway, "/x");
        assert_eq!(answer.text(), "0", "the route says that it may be kept");
        assert_eq!(answer.fields.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
    }
    let origin = counting("Cache-Control: max-age=60\r\n");
    let gateway = caching(origin.address, "true");
    for n in ["0", "1"] {
        assert_eq!(ask(&gateway, "GET", "/x", "Authorization: Basic a\r\n").text(), n);
    }
    assert_eq!(get(&gateway, "/x").text(), "2");
    assert_eq!(get(&gateway, "/x").text(), "2");
    assert_eq!(ask(&gateway, "GET", "/x", "Authorization: Basic a\r\n").text(), "3");
    let shared = counting("Cache-Control: s-maxage=60\r\n");
    let gateway = caching(shared.address, "true");
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "GET", "/x", "Authorization: Basic a\r\n").text(), "0");
    }
}

#[test]
fn a_lifetime_of_the_route_is_for_what_says_nothing() {
    let origin = counting("");
    let gateway = caching(origin.address, "true");
    assert_eq!((get(&gateway, "/x").text(), get(&gateway, "/x").text()), ("0".into(), "1".into()));
    let gateway = caching(origin.address, "60s");
    assert_eq!((get(&gateway, "/x").text(), get(&gateway, "/x").text()), ("2".into(), "2".into()));
}

#[test]
fn a_change_forgets_what_was_kept() {
    let origin = counting("Cache-Control: max-age=60\r\n");
    let gateway = caching(origin.address, "true");
    assert_eq!(get(&gateway, "/x").text(), "0");
    let mut client = gateway.client();
    client.send(post("/x", "hello").as_bytes());
    let posted = client.answer("POST").unwrap();
    assert_eq!((posted.text().as_str(), status(&posted)), ("1", "weir; fwd=method; detail=method"));
    assert_eq!(get(&gateway, "/x").text(), "2");
}

#[tokio::test]
async fn http2_gets_the_same_from_memory() {
    let origin = counting("Cache-Control: max-age=60\r\n");
    let gateway = caching(origin.address, "true");
    let send = h2_client::connect(gateway.listen).await;
    let (first, body, _) = h2_client::get(&send, "/x").await.unwrap();
    assert_eq!(first.headers()["cache-status"], "weir; fwd=uri-miss; stored");
    assert_eq!(&body[..], b"0");
    let (again, body, _) = h2_client::get(&send, "/x").await.unwrap();
    assert!(again.headers()["cache-status"].to_str().unwrap().contains("hit"));
    assert_eq!(&body[..], b"0");
    drop(send);
    let over_h1 = move || assert_eq!(get(&gateway, "/x").text(), "0", "whatever the version");
    // Apart from the client's driver, which closes its connection meanwhile.
    tokio::task::spawn_blocking(over_h1).await.unwrap();
}
