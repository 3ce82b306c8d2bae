#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::load_str;

fn load(top: &str, route: &str) -> Result<Traffic, String> {
    let file = format!(
        "listeners: [\":80\"]\n{top}\n\
         upstreams: {{ a: {{ endpoints: [\"a:1\"] }}, b: {{ endpoints: [\"b:1\"] }}, \
         c: {{ endpoints: [\"c:1\"] }} }}\n\
         routes: [{{ {route} }}]"
    );
    let loaded = load_str("weir.yaml", &file, &|_| None).map_err(|error| error.render())?;
    Ok(loaded.config.routes[0].traffic.clone())
}

fn good(route: &str) -> Traffic {
    load("", route).unwrap()
}

#[test]
fn nothing_is_said_and_nothing_is() {
    assert_eq!(good("to: a"), Traffic::default());
    assert_eq!(good("to: a, mirror: off, fault: off, maintenance: off"), Traffic::default());
}

#[test]
fn a_split_may_be_sticky() {
    let sticky = |text: &str| good(&format!("split: {{ a: 9, b: 1 }}, sticky: {text}")).sticky;
    assert_eq!(sticky("{ key: client_ip }"), Some(Sticky::Key(vec![KeyPart::ClientIp])));
    let name = "side".to_owned();
    let age = Duration::from_secs(7 * 24 * 3600);
    assert_eq!(sticky("{ cookie: side }"), Some(Sticky::Cookie { name: name.clone(), age }));
    let age = Duration::from_secs(3600);
    assert_eq!(sticky("{ cookie: side, age: 1h }"), Some(Sticky::Cookie { name, age }));
    for (route, wanted) in [
        ("to: a, sticky: { key: path }", "no effect"),
        ("split: { a: 1, b: 0 }, sticky: { key: path }", "no effect"),
        ("split: { a: 1, b: 1 }, sticky: { age: 1h }", "`key` is missing"),
        ("split: { a: 1, b: 1 }, sticky: { key: path, age: 1h }", "`age` is that"),
        ("split: { a: 1, b: 1 }, sticky: { key: path, cookie: a }", "exclude"),
        ("split: { a: 1, b: 1 }, sticky: { key: route }", "tells no clients apart"),
        ("split: { a: 1, b: 1 }, sticky: { cookie: 'a b' }", "no name of a cookie"),
    ] {
        let error = load("", route).unwrap_err();
        assert!(error.contains(wanted), "{route}: {error}");
    }
}

#[test]
fn a_mirror_is_another_upstream() {
    assert_eq!(
        good("to: a, mirror: b").mirror,
        Some(Mirror { to: 1, sample: 1.0, max_body: 64 << 10, timeout: Duration::from_secs(5) })
    );
    assert_eq!(
        good("to: a, mirror: { to: c, sample: 5%, max_body: 1KiB, timeout: 1s }").mirror,
        Some(Mirror { to: 2, sample: 0.05, max_body: 1 << 10, timeout: Duration::from_secs(1) })
    );
    for (route, wanted) in [
        ("to: a, mirror: a", "an upstream of the route itself"),
        ("to: a, mirror: x", "unknown upstream `x`"),
        ("to: a, mirror: { sample: 5% }", "`to` is missing"),
        ("to: a, mirror: { to: b, max_body: 2MiB }", "max_body"),
        ("respond: 204, mirror: b", "no effect"),
    ] {
        let error = load("", route).unwrap_err();
        assert!(error.contains(wanted), "{route}: {error}");
    }
}

#[test]
fn faults_have_a_share_and_a_header() {
    let fault = good("to: a, fault: { delay: 200ms, abort: 503 }").fault;
    let delay = fault.delay.unwrap();
    assert_eq!((delay.time, delay.percent, delay.header), (Duration::from_millis(200), 1.0, None));
    let abort = fault.abort.unwrap();
    assert_eq!((abort.status, abort.percent), (StatusCode::SERVICE_UNAVAILABLE, 1.0));
    let fault =
        good("to: a, fault: { delay: { time: 1s, percent: 0.1%, header: x-slow }, abort: off }");
    let delay = fault.fault.delay.unwrap();
    assert_eq!((delay.percent, delay.header.unwrap().as_str()), (0.001, "x-slow"));
    for (route, wanted) in [
        ("to: a, fault: {}", "needs a `delay` or an `abort`"),
        ("to: a, fault: { delay: { percent: 1% } }", "`time` is missing"),
        ("to: a, fault: { abort: { percent: 1% } }", "`status` is missing"),
        ("to: a, fault: { abort: 200 }", "400"),
        ("to: a, fault: { delay: 2h }", "1h"),
        ("to: a, fault: { delay: { time: 1s, header: connection } }", "belongs to the connection"),
    ] {
        let error = load("", route).unwrap_err();
        assert!(error.contains(wanted), "{route}: {error}");
    }
}

#[test]
fn a_route_is_closed_by_itself_or_with_all() {
    let own = good("to: a, maintenance: on").maintenance.unwrap();
    assert_eq!(
        (own.status, own.body.as_str(), own.retry_after),
        (503.try_into().unwrap(), "", None)
    );
    assert_eq!(own.content_type, "text/plain; charset=utf-8");
    let all = load("maintenance: { retry_after: 5m, allow: [10.0.0.0/8] }", "to: a").unwrap();
    let all = all.maintenance.unwrap();
    assert_eq!(all.retry_after, Some(Duration::from_secs(300)));
    assert_eq!(all.allow, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(load("maintenance: on", "to: a, maintenance: off").unwrap().maintenance, None);
    let own = load("maintenance: on", "to: a, maintenance: 502").unwrap().maintenance.unwrap();
    assert_eq!(own.status, StatusCode::BAD_GATEWAY);
    assert_eq!(good("to: a, max_body: 2GiB").max_body, Some(2 << 30));
}
