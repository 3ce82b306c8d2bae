//! Active checks turn endpoints off and on.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Moody, await_states, endpoints, failures, metric, states};
use crate::{
    operations::rewrite,
    support::{
        certificates::Authority,
        eventually,
        gateway::{Gateway, Setup, free_port},
        h2_origin::H2Origin,
        h3_origin::H3Origin,
        origin::Origin,
    },
};

const QUICK: &str = "interval: 200ms, timeout: 1s, healthy: 2, unhealthy: 2";

/// An origin that serves everything, and is asked for `/healthz`, which answers as it is set.
fn checked(moody: &Moody) -> Origin {
    let status = moody.status.clone();
    Origin::start(move |x| match x.target() {
        "/healthz" => x.reply(status.load(std::sync::atomic::Ordering::Acquire), "", "health"),
        _ => x.echo(),
    })
}

fn start(endpoints: &[SocketAddr]) -> Gateway {
    Setup::to(endpoints).upstream(&format!("health: {{ path: /healthz, {QUICK} }}")).start()
}

#[test]
fn a_check_turns_an_endpoint_off_and_on_again() {
    let (mood, good) = (Moody::start(200), Moody::start(200));
    let origin = checked(&mood);
    let gateway = start(&[good.origin.address, origin.address]);
    assert!(eventually(|| !origin.seen_at("/healthz").is_empty()), "asked at once");
    assert_eq!(states(&gateway), ["healthy", "healthy"]);
    mood.set(503);
    await_states(&gateway, ["healthy", "unhealthy"]);
    let health = endpoints(&gateway)[1]["health"].clone();
    assert_eq!((&health["reason"], &health["share"]), (&"status 503".into(), &0.0.into()));
    assert!(health["checks"]["failed"].as_u64().unwrap() >= 2, "{health}");
    assert!(eventually(|| gateway.log().contains("unhealthy")), "{}", gateway.log());
    let before = origin.seen_at("/asked").len();
    for n in 0..40 {
        assert_eq!(gateway.client().get(&format!("/asked/{n}")).unwrap().status, 200);
    }
    assert_eq!(origin.seen_at("/asked").len(), before, "it gets no requests");
    let labels = format!("{{upstream=\"origin\",endpoint=\"{}\"", origin.address);
    assert_eq!(metric(&gateway, &format!("weir_endpoint_healthy{labels}}}")), 0.0);
    let failed = format!("weir_health_checks_total{labels},outcome=\"failure\"}}");
    assert!(metric(&gateway, &failed) >= 2.0);
    mood.set(204);
    await_states(&gateway, ["healthy", "healthy"]);
    assert!(eventually(|| gateway.log().contains("healthy again")), "{}", gateway.log());
    assert!(eventually(|| {
        let _ = gateway.client().get("/asked/again");
        origin.seen_at("/asked/again").len() == 1
    }));
}

#[test]
fn a_check_is_a_request_as_others_are() {
    let (mood, origin) = (Moody::start(200), Origin::echo());
    let gateway = start(&[origin.address, mood.origin.address]);
    assert!(eventually(|| !origin.seen_at("/healthz").is_empty()));
    let seen = origin.seen_at("/healthz").remove(0);
    assert_eq!(
        (seen.method.as_str(), seen.field("host")),
        ("GET", Some(&*origin.address.to_string()))
    );
    assert!(seen.field("user-agent").is_some_and(|agent| agent.starts_with("weir/")));
    assert_eq!(metric(&gateway, "weir_requests_total{"), 0.0, "it does not count as one");
}

#[test]
fn expected_statuses_are_the_files() {
    let (mood, other) = (Moody::start(200), Origin::start(|x| x.reply(404, "", "")));
    let origin = checked(&mood);
    let keys = format!("health: {{ path: /healthz, expect: [204, 400-404], {QUICK} }}");
    let gateway = Setup::to(&[other.address, origin.address]).upstream(&keys).start();
    await_states(&gateway, ["healthy", "unhealthy"]);
    assert_eq!(endpoints(&gateway)[1]["health"]["reason"], "status 200");
}

#[test]
fn nobody_there_and_nobody_who_answers_are_unhealthy() {
    let silent = Origin::start(|x| {
        x.closed();
        Ok(crate::support::origin::Next::Close)
    });
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let keys = "health: { path: /, interval: 200ms, timeout: 300ms, unhealthy: 2 }";
    let gateway = Setup::to(&[nobody, silent.address]).upstream(keys).start();
    await_states(&gateway, ["unhealthy", "unhealthy"]);
    let reason = |index: usize| endpoints(&gateway)[index]["health"]["reason"].to_string();
    assert!(reason(0).contains("refused"), "{}", reason(0));
    assert!(reason(1).contains("in time"), "{}", reason(1));
    assert_eq!(metric(&gateway, "weir_upstream_panic{upstream=\"origin\"}"), 1.0);
}

#[test]
fn with_all_unhealthy_all_are_used() {
    let (a, b) = (Moody::start(500), Moody::start(500));
    let (first, second) = (checked(&a), checked(&b));
    let gateway = start(&[first.address, second.address]);
    await_states(&gateway, ["unhealthy", "unhealthy"]);
    assert_eq!(failures(&gateway, 40), 0, "better than to turn all away");
    a.set(200);
    await_states(&gateway, ["healthy", "unhealthy"]);
    assert!(eventually(|| gateway.log().contains("enough endpoints are well again")));
    let before = second.seen_at("/").len() - second.seen_at("/healthz").len();
    assert_eq!(failures(&gateway, 40), 0);
    let after = second.seen_at("/").len() - second.seen_at("/healthz").len();
    assert_eq!(after, before, "the one that is well serves alone");
}

#[test]
fn a_connection_is_check_enough_for_tcp() {
    let good = Moody::start(500);
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let keys = format!("outlier: off, health: {{ tcp: true, {QUICK} }}");
    let gateway = Setup::to(&[good.origin.address, nobody]).upstream(&keys).start();
    await_states(&gateway, ["healthy", "unhealthy"]);
    assert!(good.origin.seen().is_empty(), "nothing is asked");
}

#[test]
fn http2_endpoints_are_asked_over_http2() {
    let good = H2Origin::start(100);
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let keys = format!("protocol: h2, health: {{ path: \"/healthz?x=1\", {QUICK} }}");
    let gateway = Setup::to(&[good.address, nobody]).upstream(&keys).start();
    await_states(&gateway, ["healthy", "unhealthy"]);
    assert!(passed(&gateway, 0) > 0);
    let head = &good.seen("/healthz")[0].head;
    assert_eq!(head.uri().path_and_query().unwrap(), "/healthz?x=1");
    assert_eq!(head.uri().authority().unwrap().as_str(), good.address.to_string());
}

/// Checks of an endpoint that passed.
fn passed(gateway: &Gateway, index: usize) -> u64 {
    endpoints(gateway)[index]["health"]["checks"]["passed"].as_u64().unwrap()
}

/// An upstream whose first endpoint has the right certificate, and whose second one has not.
fn over_tls(addresses: [SocketAddr; 2], authority: &Authority, protocol: &str) -> Gateway {
    let dir = TempDir::new().unwrap();
    authority.write(&dir.path().join("ca.pem"));
    let tls = "tls: { server_name: origin.test, ca: $DIR/ca.pem }";
    let keys = format!("protocol: {protocol}, {tls}, health: {{ path: /healthz, {QUICK} }}");
    Setup::to(&addresses).upstream(&keys).within(dir).start()
}

#[test]
fn checks_use_the_upstreams_tls() {
    let authority = Authority::new();
    let good = H2Origin::start_tls(authority.issue(&["origin.test"]).server(&[b"h2"]));
    let bad = H2Origin::start_tls(authority.issue(&["other.test"]).server(&[b"h2"]));
    let gateway = over_tls([good.address, bad.address], &authority, "auto");
    await_states(&gateway, ["healthy", "unhealthy"]);
    assert!(passed(&gateway, 0) > 0 && !good.seen("/healthz").is_empty());
    assert!(bad.seen("/healthz").is_empty());
    let reason = endpoints(&gateway)[1]["health"]["reason"].to_string();
    assert!(reason.contains("certificate"), "{reason}");
}

#[test]
fn http3_endpoints_are_asked_over_http3() {
    let authority = Authority::new();
    let good = H3Origin::start(authority.issue(&["origin.test"]).server(&[b"h3"]));
    let bad = H3Origin::start(authority.issue(&["other.test"]).server(&[b"h3"]));
    let gateway = over_tls([good.address, bad.address], &authority, "h3");
    await_states(&gateway, ["healthy", "unhealthy"]);
    assert!(eventually(|| passed(&gateway, 0) > 1), "{}", gateway.log());
    assert_eq!(gateway.client().get("/x").unwrap().status, 200);
}

#[test]
fn a_reload_keeps_what_the_checks_said() {
    let (mood, good) = (Moody::start(503), Moody::start(200));
    let origin = checked(&mood);
    let gateway = Setup::to(&[good.origin.address, origin.address])
        .upstream("health: { path: /healthz, interval: 1s, unhealthy: 2 }")
        .start();
    await_states(&gateway, ["healthy", "unhealthy"]);
    let (before, began) = (passed(&gateway, 0), Instant::now());
    rewrite(&gateway, "routes:\n", "routes:\n  - { match: /other, respond: 204 }\n");
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    assert_eq!(states(&gateway), ["healthy", "unhealthy"]);
    let after = passed(&gateway, 0);
    // One a second, or a little more often.
    let most = before + 1 + 2 * began.elapsed().as_secs();
    assert!(after <= most, "those that go on are not begun anew: {before} {after}");
    rewrite(&gateway, "health: { path: /healthz, interval: 1s, unhealthy: 2 }", "health: off");
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    await_states(&gateway, ["healthy", "healthy"]);
    let asked = origin.seen_at("/healthz").len();
    thread::sleep(Duration::from_millis(600));
    assert!(origin.seen_at("/healthz").len() <= asked + 1, "nobody asks any more");
}
