//! An endpoint is given up for a while by the share of its requests that fail, or are slow.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{Moody, endpoints, failures, metric, statuses};
use crate::{
    operations::rewrite,
    support::{
        answer::Answer,
        client::get,
        eventually,
        gateway::{Gateway, Setup, free_port},
        origin::Origin,
    },
};

/// A gateway whose breakers are seen alone.
fn start(endpoints: &[SocketAddr], breaker: &str) -> Gateway {
    Setup::to(endpoints)
        .upstream(&format!("balance: round_robin, outlier: off, breaker: {breaker}"))
        .route("retry: off")
        .start()
}

fn breaker(gateway: &Gateway, index: usize) -> Value {
    endpoints(gateway)[index]["breaker"].clone()
}

fn await_state(gateway: &Gateway, state: &str) {
    let there = eventually(|| breaker(gateway, 0)["state"] == state);
    assert!(there, "{}, not {state}\n{}", breaker(gateway, 0), gateway.log());
}

fn lines(gateway: &Gateway, what: &str) -> usize {
    gateway.log().lines().filter(|line| line.contains(what)).count()
}

fn retry_after(answer: &Answer) -> u64 {
    answer.field("retry-after").expect("Retry-After").parse().unwrap()
}

#[test]
fn at_the_rate_it_opens_and_fails_fast() {
    let bad = Moody::start(500);
    let gateway = start(&[bad.origin.address], "{ min_requests: 10, open: 60s }");
    let labels = format!("{{upstream=\"origin\",endpoint=\"{}\"}}", bad.origin.address);
    let state = format!("weir_endpoint_breaker_state{labels}");
    bad.set(200);
    assert_eq!(statuses(&gateway, 5), [200; 5]);
    bad.set(500);
    assert_eq!(statuses(&gateway, 4), [500; 4]);
    assert_eq!(
        (breaker(&gateway, 0)["state"].clone(), metric(&gateway, &state)),
        ("closed".into(), 0.0)
    );
    assert_eq!(statuses(&gateway, 1), [500], "the fifth of ten");
    let (asked, connections) = (bad.origin.seen().len(), bad.origin.connections());
    for n in 0..20 {
        let answer = gateway.client().get(&format!("/fast/{n}")).unwrap();
        assert_eq!(answer.status, 503);
        // Sixty seconds, and a tenth at most; less what this took so far.
        assert!((30..=66).contains(&retry_after(&answer)), "{answer:?}");
        assert_eq!(answer.field("proxy-status"), Some("weir; error=connection_limit_reached"));
        assert_eq!(answer.text(), "503 the upstream failed too often of late (UO)\n");
    }
    assert_eq!((bad.origin.seen().len(), bad.origin.connections()), (asked, connections));
    let seen = breaker(&gateway, 0);
    assert_eq!((&seen["state"], &seen["opened"]), (&"open".into(), &1.into()), "{seen}");
    assert_eq!(seen["reason"], "5 of 10 requests failed (50 %)");
    let length = seen["until"].as_f64().unwrap() - seen["since"].as_f64().unwrap();
    assert!((60.0..66.1).contains(&length), "{seen}");
    assert_eq!(metric(&gateway, &state), 2.0);
    assert_eq!(metric(&gateway, &format!("weir_endpoint_breaker_opened_total{labels}")), 1.0);
    assert!(eventually(|| lines(&gateway, "breaker open") == 1), "{}", gateway.log());
    assert!(gateway.log().contains("5 of 10 requests failed"), "{}", gateway.log());
}

#[test]
fn the_others_are_asked_meanwhile() {
    let (good, bad) = (Origin::echo(), Moody::start(503));
    let gateway = start(&[bad.origin.address, good.address], "{ min_requests: 10, open: 60s }");
    let failed = failures(&gateway, 60);
    assert!((10..=12).contains(&failed), "{failed} of 60");
    assert_eq!(failures(&gateway, 60), 0);
    assert_eq!(breaker(&gateway, 0)["state"], "open");
    assert_eq!(breaker(&gateway, 1)["state"], "closed");
}

#[test]
fn nobody_dials_where_nobody_answers() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let gateway = start(&[nobody], "{ min_requests: 5, open: 60s }");
    assert_eq!(statuses(&gateway, 8), [502, 502, 502, 502, 502, 503, 503, 503]);
    let labels = format!("{{upstream=\"origin\",endpoint=\"{nobody}\"}}");
    let dialled = metric(&gateway, &format!("weir_endpoint_connect_failures_total{labels}"));
    assert_eq!(dialled, 5.0);
}

/// An origin that answers 500 at first, and then holds its answers back until it is let go.
fn held() -> (Origin, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let flag = well.clone();
    let origin = Origin::start(move |x| {
        if x.target().starts_with("/held") {
            eventually(|| flag.load(Ordering::Acquire));
            return x.reply(200, "", "well");
        }
        x.reply(500, "", "ill")
    });
    (origin, well)
}

#[test]
fn half_open_it_lets_exactly_the_probes_through() {
    let (origin, well) = held();
    let gateway = start(&[origin.address], "{ min_requests: 5, open: 3s, probes: 3 }");
    assert_eq!(statuses(&gateway, 6), [500, 500, 500, 500, 500, 503]);
    await_state(&gateway, "half_open");
    let answers: Vec<Answer> = thread::scope(|scope| {
        let ask = |n: usize| gateway.client().get(&format!("/held/{n}")).unwrap();
        let threads: Vec<_> = (0..24).map(|n| scope.spawn(move || ask(n))).collect();
        assert!(eventually(|| threads.iter().filter(|thread| thread.is_finished()).count() == 21));
        assert_eq!(origin.seen_at("/held").len(), 3);
        well.store(true, Ordering::Release);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!((answer.status, retry_after(answer)), (503, 1), "{answer:?}");
    }
    let seen = breaker(&gateway, 0);
    assert_eq!((&seen["state"], &seen["reason"]), (&"closed".into(), &Value::Null), "{seen}");
    assert_eq!((&seen["requests"], &seen["opened"]), (&0.into(), &1.into()), "{seen}");
    let told = ["breaker open", "breaker half open", "breaker closed"];
    let all_told = || told.map(|what| lines(&gateway, what)) == [1; 3];
    assert!(eventually(all_told), "{}", gateway.log());
    for n in 0..4 {
        assert_eq!(gateway.client().get(&format!("/held/on/{n}")).unwrap().status, 200);
    }
}

#[test]
fn a_failing_probe_opens_it_for_longer() {
    let bad = Moody::start(500);
    let gateway = start(&[bad.origin.address], "{ min_requests: 5, open: 700ms }");
    failures(&gateway, 5);
    await_state(&gateway, "half_open");
    assert_eq!(statuses(&gateway, 3), [500, 503, 503]);
    let seen = breaker(&gateway, 0);
    assert_eq!((&seen["reason"], &seen["opened"]), (&"a probe failed".into(), &2.into()), "{seen}");
    let length = seen["until"].as_f64().unwrap() - seen["since"].as_f64().unwrap();
    assert!((1.39..1.6).contains(&length), "twice as long: {seen}");
    bad.set(200);
    await_state(&gateway, "half_open");
    assert_eq!(failures(&gateway, 20), 0);
    assert_eq!(breaker(&gateway, 0)["state"], "closed");
}

#[test]
fn a_client_that_goes_away_gives_its_probe_back() {
    let (origin, well) = held();
    let gateway = start(&[origin.address], "{ min_requests: 5, open: 3s, probes: 1 }");
    failures(&gateway, 5);
    await_state(&gateway, "half_open");
    let mut client = gateway.client();
    client.send(get("/held/alone").as_bytes());
    assert!(eventually(|| origin.seen_at("/held").len() == 1));
    assert_eq!(gateway.client().get("/held/second").unwrap().status, 503);
    client.reset();
    well.store(true, Ordering::Release);
    assert!(eventually(|| gateway.client().get("/held/third").unwrap().status == 200));
    assert_eq!(breaker(&gateway, 0)["state"], "closed");
}

#[test]
fn slow_answers_open_it() {
    let origin = Origin::start(|x| {
        if x.target().starts_with("/slow") {
            thread::sleep(Duration::from_millis(900));
        }
        x.echo()
    });
    let slow = "{ min_requests: 5, open: 60s, slow: { over: 800ms, rate: 50% } }";
    let gateway = start(&[origin.address], slow);
    // A client that takes its time is not the endpoint's fault.
    for n in 0..3 {
        let mut client = gateway.client();
        client.send(
            format!("POST /upload/{n} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1")
                .as_bytes(),
        );
        thread::sleep(Duration::from_millis(900));
        assert_eq!(client.send(b"2").answer("POST").unwrap().status, 200);
    }
    let seen = breaker(&gateway, 0);
    assert_eq!((&seen["requests"], &seen["slow"]), (&3.into(), &0.into()), "{seen}");
    let mut asked = 0;
    while breaker(&gateway, 0)["state"] == "closed" && asked < 30 {
        assert_eq!(gateway.client().get("/slow").unwrap().status, 200);
        asked += 1;
    }
    assert_eq!(asked, 3, "3 of 6 are 50 %");
    let seen = breaker(&gateway, 0);
    assert_eq!(seen["reason"], "3 of 6 requests were slow (50 %)", "{seen}");
    assert_eq!(gateway.client().get("/quick").unwrap().status, 503);
}

#[test]
fn what_the_endpoint_asks_for_is_heeded() {
    let origin = Origin::start(|x| x.reply(503, "Retry-After: 120\r\n", ""));
    let gateway = start(&[origin.address], "{ min_requests: 5, open: 1s }");
    failures(&gateway, 5);
    let answer = gateway.client().get("/").unwrap();
    assert_eq!(answer.status, 503);
    assert!((100..=120).contains(&retry_after(&answer)), "{answer:?}");
}

#[test]
fn what_a_client_can_bring_about_opens_nothing() {
    let origin = Origin::start(|x| x.reply(429, "Retry-After: 120\r\n", ""));
    let gateway = start(&[origin.address], "{ min_requests: 5 }");
    assert_eq!(statuses(&gateway, 20), [429; 20]);
    let seen = breaker(&gateway, 0);
    assert_eq!((&seen["state"], &seen["requests"]), (&"closed".into(), &20.into()), "{seen}");
}

#[test]
fn a_reload_keeps_it_and_off_is_off() {
    let bad = Moody::start(500);
    let gateway = start(&[bad.origin.address], "{ min_requests: 5, open: 60s }");
    failures(&gateway, 5);
    let before = breaker(&gateway, 0);
    assert_eq!(before["state"], "open", "{before}");
    rewrite(&gateway, "routes:\n", "routes:\n  - { match: /other, respond: 204 }\n");
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    let after = breaker(&gateway, 0);
    let until = |breaker: &Value| breaker["until"].as_f64().unwrap();
    assert!((until(&after) - until(&before)).abs() < 1.0, "{before} {after}");
    assert_eq!(statuses(&gateway, 3), [503; 3]);
    rewrite(&gateway, "breaker: { min_requests: 5, open: 60s }", "breaker: off");
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    assert!(eventually(|| breaker(&gateway, 0).is_null()));
    assert!(eventually(|| lines(&gateway, "it was turned off") == 1), "{}", gateway.log());
    bad.set(200);
    assert_eq!(failures(&gateway, 20), 0);
}

#[test]
fn a_retry_counts_and_never_goes_where_nobody_is_let_through() {
    let bad = Moody::start(503);
    let gateway = Setup::to(&[bad.origin.address])
        .upstream("outlier: off, breaker: { min_requests: 5, open: 60s }")
        .route("retry: 2")
        .start();
    assert_eq!(statuses(&gateway, 10), [503; 10]);
    assert_eq!(bad.origin.seen().len(), 5, "twice, twice, and once");
    let line = gateway.access_line("/2");
    assert_eq!((&line["attempts"], &line["flag"]), (&1.into(), &Value::Null), "{line}");
    let line = gateway.access_line("/3");
    assert_eq!((&line["attempts"], &line["flag"]), (&0.into(), &"UO".into()), "{line}");
}

#[test]
fn a_fallback_stands_in_at_once() {
    let bad = Moody::start(500);
    let gateway = Setup::to(&[bad.origin.address])
        .upstream("outlier: off, breaker: { min_requests: 5, open: 60s }")
        .route("retry: off, fallback: { respond: { status: 200, body: spare } }")
        .start();
    failures(&gateway, 5);
    let answer = gateway.client().get("/").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "spare"));
    assert_eq!(answer.field("retry-after"), None);
    assert_eq!(answer.field("proxy-status"), Some("weir; error=connection_limit_reached"));
    assert_eq!(bad.origin.seen().len(), 5);
}

#[test]
fn without_one_nothing_is_told() {
    let bad = Moody::start(500);
    let gateway = Setup::to(&[bad.origin.address]).route("retry: off").start();
    assert_eq!(statuses(&gateway, 60), [500; 60]);
    assert!(breaker(&gateway, 0).is_null());
    let text = gateway.admin("GET", "/metrics").text();
    assert!(!text.contains("\nweir_endpoint_breaker_state{"), "{text}");
}
