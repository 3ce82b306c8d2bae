//! Copies of requests: who gets them, and that nobody waits for them.

use std::time::{Duration, Instant};

use super::{ask, gateway, get, metric, named};
use crate::support::{
    client::Client,
    eventually,
    gateway::{Gateway, Setup},
    origin::{Next, Origin},
};

fn mirrored(origin: &Origin, shadow: &Origin, mirror: &str, more: &str) -> Gateway {
    gateway(
        &[("api", origin.address), ("shadow", shadow.address)],
        &format!("routes:\n  - {{ name: r, to: api, mirror: {mirror}{more} }}"),
    )
}

fn outcome(gateway: &Gateway, outcome: &str) -> f64 {
    let label = format!("outcome=\"{outcome}\"");
    metric(gateway, "weir_mirrors_total", &["route=\"r\"", "upstream=\"api\"", &label])
}

/// Waits until so many copies have come to this.
fn came(gateway: &Gateway, name: &str, count: f64) {
    assert!(eventually(|| outcome(gateway, name) == count), "{name}: {}", outcome(gateway, name));
}

#[test]
fn a_copy_is_the_same_request_and_says_what_it_is() {
    let (origin, shadow) = (named("api"), named("shadow"));
    let gateway =
        mirrored(&origin, &shadow, "shadow", ", headers: { request: { set: { x-a: b } } }");
    let client = &mut gateway.client();
    assert_eq!(get(client, "/a?b=c", "x-one: 1\r\n").text(), "api ");
    assert_eq!(ask(client, "POST", "/post", "", "a body").text(), "api a body");
    let chunked = "POST /chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                   4\r\nfour\r\n3\r\nsix\r\n0\r\n\r\n";
    client.send(chunked.as_bytes());
    assert_eq!(client.answer("POST").unwrap().text(), "api foursix");
    came(&gateway, "answered", 3.0);
    for (target, body) in [("/a?b=c", ""), ("/post", "a body"), ("/chunked", "foursix")] {
        let (own, copy) = (origin.completed(target), shadow.completed(target));
        assert_eq!((&copy.method, copy.body.as_slice()), (&own.method, body.as_bytes()));
        for name in ["x-one", "x-a", "x-request-id", "host"] {
            assert_eq!(own.field(name), copy.field(name), "{name}");
        }
        assert_eq!((own.field("x-weir-mirror"), copy.field("x-weir-mirror")), (None, Some("1")));
    }
    // A copy is copied no more, or two gateways would send it round for ever.
    get(client, "/copy", "x-weir-mirror: 1\r\n");
    assert_eq!((origin.seen_at("/copy").len(), shadow.seen_at("/copy").len()), (1, 0));
}

#[test]
fn nobody_waits_for_a_mirror_that_answers_nothing() {
    let origin = named("api");
    let shadow = Origin::start(|x| {
        x.read_body()?;
        while !x.closed() {}
        Ok(Next::Close)
    });
    let gateway = mirrored(&origin, &shadow, "shadow", ", timeout: { headers: 1s }");
    let client = &mut gateway.client();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(get(client, "/", "").status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(1) * 15, "one second each if they waited");
    came(&gateway, "timed_out", 20.0);
}

#[test]
fn a_copy_has_a_time_of_its_own() {
    let origin = named("api");
    let shadow = Origin::start(|x| {
        while !x.closed() {}
        Ok(Next::Close)
    });
    let gateway = mirrored(&origin, &shadow, "{ to: shadow, timeout: 50ms }", "");
    let client = &mut gateway.client();
    for round in 1..=4 {
        // More than there are places for, were they held for as long as the route waits.
        for _ in 0..60 {
            assert_eq!(get(client, "/", "").status, 200);
        }
        came(&gateway, "timed_out", 60.0 * f64::from(round));
    }
    assert_eq!(outcome(&gateway, "busy"), 0.0);
}

#[test]
fn what_becomes_of_copies_is_no_sign_of_health() {
    let origin = named("api");
    let shadow = Origin::start(|x| {
        x.read_body()?;
        match x.seen.field("x-weir-mirror") {
            Some(_) => x.reply(500, "", ""),
            None => x.reply(200, "", "live"),
        }
    });
    let gateway = Setup::yaml(&format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         upstreams:\n  api: {{ endpoints: [\"{}\"] }}\n  shadow: {{ endpoints: [\"{}\"], \
         breaker: {{ min_requests: 5 }}, outlier: {{ max_ejected: 100% }} }}\n\
         routes:\n  - {{ match: /live, to: shadow, retry: off }}\n  - {{ name: r, to: api, \
         mirror: shadow }}\n",
        origin.address, shadow.address
    ))
    .start();
    let client = &mut gateway.client();
    for _ in 0..40 {
        assert_eq!(get(client, "/", "").status, 200);
    }
    came(&gateway, "failed", 40.0);
    assert_eq!(get(client, "/live", "").text(), "live");
    for name in ["weir_endpoint_ejections_total", "weir_endpoint_breaker_opened_total"] {
        assert_eq!(metric(&gateway, name, &["upstream=\"shadow\""]), 0.0, "{name}");
    }
}

#[test]
fn a_mirror_that_is_down_fails_nothing() {
    let (origin, shadow) = (named("api"), named("shadow"));
    let gateway = mirrored(&origin, &shadow, "shadow", ", retry: 3");
    drop(shadow);
    let client = &mut gateway.client();
    for _ in 0..5 {
        assert_eq!(ask(client, "POST", "/", "", "x").text(), "api x");
    }
    came(&gateway, "failed", 5.0);
    let retries = metric(&gateway, "weir_retries_total", &["route=\"r\"", "failure"]);
    assert_eq!(retries, 0.0, "copies are tried once");
}

#[test]
fn a_body_that_is_too_long_has_no_copy() {
    let (origin, shadow) = (named("api"), named("shadow"));
    let gateway = mirrored(&origin, &shadow, "{ to: shadow, max_body: 1KiB }", "");
    let client = &mut gateway.client();
    let (short, long) = ("s".repeat(1024), "l".repeat(1025));
    assert_eq!(ask(client, "POST", "/short", "", &short).text(), format!("api {short}"));
    assert_eq!(ask(client, "POST", "/long", "", &long).text(), format!("api {long}"));
    let head = "POST /long HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head.as_bytes());
    for _ in 0..40 {
        client.send(format!("40\r\n{}\r\n", "c".repeat(64)).as_bytes());
    }
    client.send(b"0\r\n\r\n");
    assert_eq!(client.answer("POST").unwrap().status, 200);
    came(&gateway, "too_large", 2.0);
    came(&gateway, "answered", 1.0);
    assert_eq!(shadow.seen_at("/long").len(), 0);
}

#[test]
fn a_client_that_goes_away_has_no_copy() {
    let (origin, shadow) = (named("api"), named("shadow"));
    let gateway = mirrored(&origin, &shadow, "shadow", "");
    let mut client = gateway.client();
    client.send(b"POST /cut HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf");
    assert!(eventually(|| !origin.seen_at("/cut").is_empty()));
    drop(client);
    came(&gateway, "aborted", 1.0);
    assert_eq!(shadow.seen().len(), 0);
}

#[test]
fn copies_are_bounded() {
    let origin = named("api");
    let shadow = Origin::start(|x| {
        while !x.closed() {}
        Ok(Next::Close)
    });
    let gateway = mirrored(&origin, &shadow, "shadow", ", timeout: { headers: 20s }");
    let client = &mut gateway.client();
    for _ in 0..150 {
        assert_eq!(get(client, "/", "").status, 200);
    }
    came(&gateway, "busy", 22.0);
}

#[test]
fn only_a_sample_is_copied() {
    let (origin, shadow) = (named("api"), named("shadow"));
    let gateway = mirrored(&origin, &shadow, "{ to: shadow, sample: 25% }", "");
    let client = &mut gateway.client();
    for _ in 0..400 {
        assert_eq!(get(client, "/", "").status, 200);
    }
    let copies = || outcome(&gateway, "answered") as usize;
    assert!(eventually(|| copies() == shadow.seen().len()));
    assert!((55..=150).contains(&copies()), "{} of 400 where 100 are expected", copies());
}

#[test]
fn what_memory_answers_has_no_copy() {
    let origin = Origin::start(|x| x.reply(200, "cache-control: max-age=60\r\n", "kept"));
    let shadow = named("shadow");
    let gateway = mirrored(&origin, &shadow, "shadow", ", cache: true");
    let client = &mut gateway.client();
    for _ in 0..5 {
        assert_eq!(get(client, "/kept", "").text(), "kept");
    }
    came(&gateway, "answered", 1.0);
    assert_eq!((origin.seen().len(), shadow.seen().len()), (1, 1));
}

#[test]
fn a_request_that_is_tried_again_has_one_copy() {
    let origin = Origin::start(|x| {
        x.read_body()?;
        match x.seen.field("x-weir-attempts") {
            _ if x.seen.connection % 2 == 0 => x.reply(503, "connection: close\r\n", ""),
            _ => x.echo(),
        }
    });
    let (shadow, spare) = (named("shadow"), named("spare"));
    let gateway = gateway(
        &[("api", origin.address), ("shadow", shadow.address), ("spare", spare.address)],
        "routes:\n  - { name: r, to: api, mirror: shadow, retry: { attempts: 3, on: [503] }, \
         fallback: spare }",
    );
    let client = &mut gateway.client();
    let answer = ask(client, "PUT", "/again", "", "body");
    assert_eq!(answer.status, 200);
    assert!(origin.seen_at("/again").len() > 1, "it was tried again");
    came(&gateway, "answered", 1.0);
    assert_eq!(shadow.completed("/again").body, b"body");
    assert_eq!(shadow.seen().len(), 1);
}

#[test]
fn a_request_that_runs_once_has_one_copy() {
    let (origin, shadow) = (named("api"), named("shadow"));
    let more = ", idempotency: { scope: none }";
    let gateway = mirrored(&origin, &shadow, "shadow", more);
    let client = &mut gateway.client();
    for _ in 0..3 {
        let answer = ask(client, "POST", "/once", "idempotency-key: k\r\n", "pay");
        assert_eq!(answer.text(), "api pay");
    }
    came(&gateway, "answered", 1.0);
    assert_eq!(shadow.completed("/once").body, b"pay");
    assert_eq!((origin.seen().len(), shadow.seen().len()), (1, 1));
}

#[test]
fn tunnels_have_no_copy() {
    let origin = Origin::start(|x| {
        x.switch("")?;
        Ok(Next::Close)
    });
    let shadow = named("shadow");
    let gateway = mirrored(&origin, &shadow, "shadow", "");
    let mut client: Client = gateway.client();
    client.send(
        b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(eventually(|| !origin.seen().is_empty()));
    drop(client);
    assert_eq!(shadow.seen().len(), 0);
}
