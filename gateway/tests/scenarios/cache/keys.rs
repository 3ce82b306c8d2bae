//! What a route makes of the key: it must stay one that nobody can choose for others.

use super::{ask, caching, get, status};
use crate::support::{client::post, origin::Origin};

/// Answers with the target and these fields of the request.
fn telling(names: &'static [&'static str]) -> Origin {
    Origin::start(move |x| {
        x.read_body()?;
        let values = names.iter().map(|name| x.seen.field(name).unwrap_or("-"));
        let text = [x.target()].into_iter().chain(values).collect::<Vec<_>>().join(" ");
        x.reply(200, "Cache-Control: max-age=60\r\n", &text)
    })
}

/// A parameter that is no part of the key never reaches the origin: an answer that shows it could
/// otherwise be what others get.
#[test]
fn what_is_dropped_from_the_key_is_not_asked_for() {
    let origin = telling(&[]);
    let gateway = caching(origin.address, "{ key: { query: { drop: [utm_*], sort: true } } }");
    assert_eq!(get(&gateway, "/x?utm_source=evil&b=2&a=1").text(), "/x?a=1&b=2");
    for same in ["/x?a=1&b=2", "/x?b=2&a=1&utm_x=", "/x?&b=2&utm%5Fx=3&a=1"] {
        assert!(status(&get(&gateway, same)).starts_with("weir; hit"), "{same}");
    }
    assert_eq!(get(&gateway, "/x?utm_source=evil").text(), "/x");
    assert!(status(&ask(&gateway, "HEAD", "/x", "")).starts_with("weir; hit"));
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn what_is_kept_is_all_that_is_asked_for() {
    let origin = telling(&[]);
    let gateway = caching(origin.address, "{ key: { query: { keep: [q] } } }");
    for evil in ["/x?q=1&callback=evil", "/x?q=1;callback=evil"] {
        let answer = get(&gateway, evil).text();
        assert_eq!(answer.contains("evil"), evil.contains(';'), "one parameter or two: {answer}");
    }
    assert_eq!(get(&gateway, "/x?q=1").text(), "/x?q=1");
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn other_methods_ask_as_they_like_and_invalidate_what_is_kept() {
    let origin = telling(&[]);
    let gateway = caching(origin.address, "{ key: { query: { drop: [utm_*] } } }");
    get(&gateway, "/x?a=1&utm_a=1");
    let mut client = gateway.client();
    client.send(post("/x?a=1&utm_b=2", "hello").as_bytes());
    assert_eq!(client.answer("POST").unwrap().text(), "/x?a=1&utm_b=2");
    assert!(status(&get(&gateway, "/x?a=1")).contains("uri-miss"));
}

#[test]
fn named_fields_and_cookies_tell_answers_apart() {
    let origin = telling(&["x-tenant", "x-host", "cookie"]);
    let cache = "{ key: { headers: [x-tenant, x-host], cookies: [currency] } }";
    let gateway = caching(origin.address, cache);
    let all = [
        "",
        "X-Tenant: a\r\n",
        "X-Tenant: b\r\n",
        "X-Host: a\r\n",
        "Cookie: currency=EUR\r\n",
        "Cookie: currency=USD\r\n",
        // Some take it for a cookie of that name and some do not.
        "Cookie: sid=1,currency=USD\r\n",
        "Cookie: currency=EUR; currency=USD\r\n",
    ];
    let first: Vec<_> = all.iter().map(|fields| ask(&gateway, "GET", "/x", fields)).collect();
    assert!(first.iter().all(|answer| status(answer).contains("uri-miss")));
    assert!(first[3].text().contains(" a "), "what is keyed goes upstream: {}", first[3].text());
    for (fields, first) in all.iter().zip(&first) {
        let again = ask(&gateway, "GET", "/x", fields);
        assert_eq!((again.text(), status(&again).contains("hit")), (first.text(), true));
    }
    // Other cookies do not count.
    let other = ask(&gateway, "GET", "/x", "Cookie: sid=2; currency=EUR\r\n");
    assert_eq!(other.text(), first[4].text());
    assert_eq!(origin.seen().len(), all.len());
}
