//! Pages of other origins read what they may, and errors as well.

use super::{ask, example, text};
use crate::support::{
    gateway::{Gateway, Setup},
    origin::{Exchange, Origin},
};

const PREFLIGHT: &str = "Access-Control-Request-Method: PUT\r\n";

fn origin() -> Origin {
    Origin::start(|x: &mut Exchange| {
        x.read_body()?;
        let own = "Access-Control-Allow-Origin: https://own\r\nAccess-Control-Max-Age: 1\r\n\
                   Content-Type: text/html\r\nVary: Accept\r\n";
        x.reply(200, own, &text(2_000))
    })
}

#[test]
fn preflights_are_answered_before_anybody_counts() {
    let origin = origin();
    let gateway = example(origin.address, origin.address);
    for _ in 0..10 {
        let fields = format!("Origin: https://app.example.com\r\n{PREFLIGHT}");
        let answer = ask(&gateway, "OPTIONS", "/api/x", &fields);
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        let field = |name| answer.field(name).unwrap_or_default();
        assert_eq!(field("access-control-allow-origin"), "https://app.example.com");
        assert_eq!(field("access-control-allow-credentials"), "true");
        assert!(field("access-control-allow-methods").contains("PUT"));
        assert_eq!(field("access-control-max-age"), "600");
        assert!(answer.field("x-request-id").is_some() && answer.field("vary").is_some());
    }
    let stranger = format!("Origin: https://evil.example\r\n{PREFLIGHT}");
    let answer = ask(&gateway, "OPTIONS", "/api/x", &stranger);
    assert_eq!((answer.status, answer.field("access-control-allow-origin")), (204, None));
    assert_eq!(origin.seen().len(), 0, "none of them goes further");
    let plain = ask(&gateway, "OPTIONS", "/api/x", "");
    assert_eq!((plain.status, origin.seen().len()), (200, 1), "no preflight: another route's");
    let metrics = gateway.admin("GET", "/metrics").text();
    let of = |outcome| {
        let labels = format!("route=\"api\",upstream=\"app\",outcome=\"{outcome}\"");
        format!("weir_cors_requests_total{{{labels}}}")
    };
    assert!(metrics.contains(&format!("{} 10", of("preflight"))), "{metrics}");
    assert!(metrics.contains(&format!("{} 1", of("refused"))), "{metrics}");
}

#[test]
fn a_page_can_read_that_it_came_too_often() {
    let origin = origin();
    let gateway = example(origin.address, origin.address);
    let mut statuses = Vec::new();
    for _ in 0..7 {
        let answer = ask(&gateway, "GET", "/api/x", "Origin: https://a.preview.example.com\r\n");
        let field = |name| answer.field(name);
        let allowed = Some("https://a.preview.example.com");
        assert_eq!(field("access-control-allow-origin"), allowed);
        assert_eq!(field("access-control-expose-headers"), Some("retry-after, ratelimit"));
        assert_eq!(field("access-control-max-age"), None, "the upstream's");
        let vary = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("vary"));
        assert!(vary.clone().any(|(_, value)| value == "origin"), "{:?}", vary.collect::<Vec<_>>());
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429]);
    drop(origin);
    let gateway = example(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 1).into());
    let answer = ask(&gateway, "GET", "/api/x", "Origin: https://app.example.com\r\n");
    let allowed = answer.field("access-control-allow-origin");
    assert_eq!((answer.status, allowed), (502, Some("https://app.example.com")));
}

#[test]
fn a_page_can_read_that_its_body_is_too_large() {
    let origin = origin();
    let gateway = example(origin.address, origin.address);
    let fields = "Origin: https://app.example.com\r\nContent-Length: 99999999999\r\n";
    let answer = ask(&gateway, "PUT", "/api/x", fields);
    let allowed = answer.field("access-control-allow-origin");
    assert_eq!((answer.status, allowed), (413, Some("https://app.example.com")));
}

#[test]
fn each_page_is_told_of_its_own_origin_out_of_one_cache() {
    let origin = Origin::start(|x: &mut Exchange| {
        x.read_body()?;
        x.reply(200, "Cache-Control: max-age=60\r\n", "same")
    });
    let gateway = Setup::to(&[origin.address])
        .route("cache: true, cors: [\"https://a.com\", \"https://b.com\"]")
        .start();
    for page in ["https://a.com", "https://b.com", "https://a.com"] {
        let answer = ask(&gateway, "GET", "/", &format!("Origin: {page}\r\n"));
        assert_eq!(answer.field("access-control-allow-origin"), Some(page));
    }
    let stranger = ask(&gateway, "GET", "/", "Origin: https://c.com\r\n");
    assert_eq!((stranger.status, stranger.field("access-control-allow-origin")), (200, None));
    assert_eq!(ask(&gateway, "GET", "/", "").field("vary"), Some("origin"));
    assert_eq!(origin.seen().len(), 1);
}

/// A gateway of these routes before an origin.
fn routes(origin: &Origin, routes: &str) -> Gateway {
    Setup::yaml(&format!(
        "admin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\nupstreams: {{ app: {{ \
         endpoints: [\"{}\"] }} }}\nroutes:\n{routes}\n",
        origin.address
    ))
    .start()
}

#[test]
fn a_page_can_read_that_a_route_is_closed() {
    let origin = origin();
    let gateway = routes(
        &origin,
        "  - { match: /a, to: app, cors: [\"https://a.test\"], maintenance: { retry_after: 1m }, \
         max_body: 1KiB, deny: [127.0.0.0/8] }",
    );
    let preflight = format!("Origin: https://a.test\r\n{PREFLIGHT}");
    let preflight = ask(&gateway, "OPTIONS", "/a", &preflight);
    let allowed = preflight.field("access-control-allow-origin");
    assert_eq!((preflight.status, allowed), (204, Some("https://a.test")));
    let fields = "Origin: https://a.test\r\nContent-Length: 9999\r\n";
    let closed = ask(&gateway, "PUT", "/a", fields);
    let allowed = closed.field("access-control-allow-origin");
    assert_eq!((closed.status, allowed), (503, Some("https://a.test")), "not 413, nor 403");
    assert_eq!(closed.field("retry-after"), Some("60"));
    assert_eq!(origin.seen().len(), 0);
}

#[test]
fn a_preflight_finds_a_route_by_fields_that_its_request_will_have() {
    let origin = origin();
    let gateway = routes(
        &origin,
        "  - { match: { path: /a, headers: { x-version: \"2\" } }, to: app, cors: \
         [\"https://two.test\"] }\n  - { match: /a, to: app, cors: [\"https://one.test\"] }",
    );
    let of = |site: &str, names: &str| {
        let names = format!("Access-Control-Request-Headers: {names}\r\n");
        let fields = format!("Origin: https://{site}.test\r\n{PREFLIGHT}{names}");
        let answer = ask(&gateway, "OPTIONS", "/a", &fields);
        assert_eq!(answer.status, 204);
        answer.field("access-control-allow-origin").is_some()
    };
    assert_eq!((of("two", "x-version"), of("one", "x-version")), (true, false));
    assert_eq!((of("two", "x-other"), of("one", "x-other")), (false, true));
    assert_eq!(origin.seen().len(), 0);
}
