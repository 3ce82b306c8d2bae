//! What the gateway vouches for (X-Forwarded-*, Via, x-request-id) counts wherever it is asked for,
//! though a request that memory answers never gets it.

use super::{ask, caching, get, status};
use crate::support::{
    gateway::Setup,
    origin::{Exchange, Origin},
};

/// Answers with what it is told of the client, kept by what `vary` names.
fn varying(vary: &'static str) -> Origin {
    Origin::start(move |x: &mut Exchange| {
        x.read_body()?;
        let names = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via"];
        let told = names.map(|name| x.seen.field(name).unwrap_or("-").to_owned()).join(" ");
        let told = format!("{told} {}", x.seen.field("x-request-id").is_some());
        x.reply(200, &format!("Cache-Control: max-age=60\r\n{vary}"), &told)
    })
}

const TOLD: &str = "127.0.0.1 weir.test http 1.1 weir true";

#[test]
fn a_variant_is_chosen_by_it() {
    // No two requests have the same id, and all of them the same address.
    for (vary, kept) in [
        ("", true),
        ("Vary: Accept\r\n", true),
        ("Vary: X-Forwarded-For\r\n", true),
        ("Vary: Via, X-Forwarded-Proto\r\n", true),
        ("Vary: X-Request-Id\r\n", false),
    ] {
        let origin = varying(vary);
        let gateway = caching(origin.address, "on");
        let first = get(&gateway, "/x");
        assert_eq!((first.text().as_str(), status(&first).contains("uri-miss")), (TOLD, true));
        let lies = "X-Forwarded-For: 6.6.6.6\r\nVia: 1.1 other\r\nX-Forwarded-Proto: https\r\n";
        for (fields, same) in [("", kept), (lies, kept && !vary.contains("Via"))] {
            let again = ask(&gateway, "GET", "/x", fields);
            assert_eq!(status(&again).contains("hit"), same, "{vary:?}: {}", status(&again));
            assert!(again.field("x-request-id").is_some());
            assert_eq!(again.fields.iter().filter(|(name, _)| name == "via").count(), 1);
        }
    }
}

#[test]
fn a_key_may_name_it() {
    let origin = varying("");
    let gateway = caching(origin.address, "{ key: { headers: [x-forwarded-for, x-request-id] } }");
    for _ in 0..2 {
        let answer = get(&gateway, "/x");
        assert_eq!((answer.text().as_str(), status(&answer).contains("uri-miss")), (TOLD, true));
    }
}

/// What leads past the cache is told as ever.
#[test]
fn whoever_asks_the_origin_tells_it() {
    let origin = varying("");
    let gateway = caching(origin.address, "on");
    let aside = ["", "If-Match: \"a\"\r\n", "Cache-Control: no-cache\r\n", "Range: bytes=0-99\r\n"];
    for (n, fields) in aside.into_iter().enumerate() {
        let answer = ask(&gateway, "GET", &format!("/{n}"), fields);
        assert_eq!(answer.text(), TOLD, "{fields:?}");
    }
    assert_eq!(ask(&gateway, "DELETE", "/x", "").text(), TOLD);
}

#[test]
fn routes_and_limits_may_go_by_it() {
    let origin = varying("");
    let gateway = Setup::yaml(&format!(
        "workers: 1\nlisteners: [\"$LISTEN\"]\n\
         upstreams:\n  main: {{ endpoints: [\"{}\"] }}\n\
         routes:\n\
         - {{ match: {{ path: /via, headers: {{ via: \"1.1 weir\" }} }}, to: main }}\n\
         - {{ match: {{ path: /id, headers: {{ x-forwarded-for: 6.6.6.6 }} }}, to: main }}\n\
         - {{ match: {{ path: /limit }}, to: main, \
         rate_limit: {{ key: header:x-forwarded-for, rate: 1/h, burst: 1 }} }}\n",
        origin.address
    ))
    .start();
    assert_eq!(get(&gateway, "/via").text(), TOLD);
    assert_eq!(ask(&gateway, "GET", "/id", "X-Forwarded-For: 6.6.6.6\r\n").status, 404);
    assert_eq!(get(&gateway, "/limit").text(), TOLD);
    let lie = "X-Forwarded-For: 6.6.6.6\r\n";
    assert_eq!(ask(&gateway, "GET", "/limit", lie).status, 429, "who asks does not choose the key");
}
