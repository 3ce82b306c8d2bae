//! Pages of other origins read what they may, and errors as well.

use super::{ask, example, text};
use crate::support::origin::{Exchange, Origin};

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
fn a_page_can_read_that_it_sent_too_much() {
    let origin = origin();
    let gateway = crate::support::gateway::Setup::to(&[origin.address])
        .route("max_body: 1KiB, cors: [\"https://a.com\"]")
        .start();
    let answer = super::send(&gateway, "/x", "Origin: https://a.com\r\n", &[b'x'; 2_000]);
    let allowed = answer.field("access-control-allow-origin");
    assert_eq!((answer.status, allowed), (413, Some("https://a.com")));
}

#[test]
fn each_page_is_told_of_its_own_origin_out_of_one_cache() {
    let origin = Origin::start(|x: &mut Exchange| {
        x.read_body()?;
        x.reply(200, "Cache-Control: max-age=60\r\n", "same")
    });
    let gateway = crate::support::gateway::Setup::to(&[origin.address])
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
