//! What goes wrong on purpose.

use std::time::{Duration, Instant};

use super::{ask, gateway, get, metric, named};
use crate::support::{gateway::Gateway, origin::Origin};

fn faulty(origin: &Origin, fault: &str, more: &str) -> Gateway {
    gateway(
        &[("api", origin.address)],
        &format!("routes:\n  - {{ name: r, to: api, fault: {{ {fault} }}{more} }}"),
    )
}

fn counted(gateway: &Gateway, kind: &str) -> f64 {
    metric(gateway, "weir_faults_total", &["route=\"r\"", &format!("kind=\"{kind}\"")])
}

#[test]
fn an_error_is_made_and_says_so() {
    let origin = named("api");
    let gateway = faulty(&origin, "abort: { status: 418, header: x-fail }", "");
    let client = &mut gateway.client();
    assert_eq!(get(client, "/good", "").status, 200);
    // Whose body nobody reads has its connection closed.
    let failed = ask(&mut gateway.client(), "POST", "/bad", "x-fail: on\r\n", "body");
    assert_eq!(failed.status, 418);
    assert_eq!(failed.field("proxy-status"), Some("weir; error=proxy_internal_response"));
    assert_eq!(failed.text(), "418 this error was made on purpose (FI)\n");
    assert_eq!(get(client, "/worse", "x-fail: 502\r\n").status, 502);
    assert_eq!(get(client, "/odd", "x-fail: 200\r\n").status, 418);
    assert_eq!(gateway.access_line("/bad")["flag"], "FI");
    assert_eq!(origin.seen().len(), 1, "the upstream saw the good one alone");
    assert_eq!(counted(&gateway, "abort"), 3.0);
    let errors = metric(&gateway, "weir_request_errors_total", &["fault_injected"]);
    assert_eq!(errors, 3.0);
}

#[test]
fn a_share_fails() {
    let origin = named("api");
    let gateway = faulty(&origin, "abort: { status: 503, percent: 30% }", "");
    let client = &mut gateway.client();
    let failed = (0..400).filter(|_| get(client, "/", "").status == 503).count();
    assert!((75..=170).contains(&failed), "{failed} of 400 where 120 are expected");
    assert_eq!(counted(&gateway, "abort"), failed as f64);
}

#[test]
fn a_delay_holds_back_and_then_all_is_well() {
    let origin = named("api");
    let gateway = faulty(&origin, "delay: { time: 1s, header: x-slow }", "");
    let client = &mut gateway.client();
    let began = Instant::now();
    assert_eq!(get(client, "/slow", "x-slow: 900ms\r\n").text(), "api ");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
    let line = gateway.access_line("/slow");
    assert_eq!((&line["flag"], &line["status"]), (&"DI".into(), &200.into()));
    assert!(line["upstream_ms"].as_f64().unwrap() < 850.0, "it is no endpoint's time: {line}");
    assert_eq!(get(client, "/quick", "").status, 200);
    assert_eq!(gateway.access_line("/quick")["flag"], serde_json::Value::Null);
    assert_eq!(counted(&gateway, "delay"), 1.0);
    // At most what is configured.
    let began = Instant::now();
    assert_eq!(get(client, "/slow", "x-slow: 1h\r\n").status, 200);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_delay_ends_with_the_time_that_there_is() {
    let origin = named("api");
    let gateway = faulty(&origin, "delay: 1m", ", timeout: 500ms");
    let began = Instant::now();
    let answer = get(&mut gateway.client(), "/late", "");
    assert_eq!(answer.status, 504);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(gateway.access_line("/late")["flag"], "UT");
    assert_eq!(origin.seen().len(), 0);
}

#[test]
fn a_delay_and_an_error_come_one_after_the_other() {
    let origin = named("api");
    let gateway = faulty(&origin, "delay: 200ms, abort: 500", "");
    let began = Instant::now();
    assert_eq!(get(&mut gateway.client(), "/both", "").status, 500);
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(gateway.access_line("/both")["flag"], "FI");
}

#[test]
fn what_memory_answers_does_not_fail() {
    let origin = Origin::start(|x| x.reply(200, "cache-control: max-age=60\r\n", "kept"));
    let gateway = faulty(&origin, "abort: { status: 503, header: x-fail }", ", cache: true");
    let client = &mut gateway.client();
    assert_eq!(get(client, "/kept", "").text(), "kept");
    assert_eq!(get(client, "/kept", "x-fail: 1\r\n").text(), "kept");
    assert_eq!(get(client, "/other", "x-fail: 1\r\n").status, 503);
}

#[test]
fn a_request_that_runs_once_fails_before_it_does() {
    let origin = named("api");
    let more = ", idempotency: { scope: none }";
    let gateway = faulty(&origin, "abort: { status: 503, header: x-fail }", more);
    let client = &mut gateway.client();
    let key = "idempotency-key: k\r\n";
    let failing = &mut gateway.client();
    let failed = ask(failing, "POST", "/", &format!("{key}x-fail: 1\r\n"), "pay");
    assert_eq!(failed.status, 503);
    assert_eq!(ask(client, "POST", "/", key, "pay").text(), "api pay", "the key is as good as new");
}
