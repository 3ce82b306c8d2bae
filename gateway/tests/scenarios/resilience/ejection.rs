//! An endpoint that keeps failing is left alone for a while.

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{Moody, await_states, endpoints, failures, metric, states};
use crate::{
    operations::rewrite,
    support::{
        eventually,
        gateway::{Gateway, Setup, free_port},
        origin::Origin,
    },
};

/// A balance that does not look at failures: what keeps requests away from an endpoint is ejection.
const BLIND: &str = "balance: round_robin";
/// Requests of which one endpoint fails its half.
const MANY: usize = 300;

/// The measured trap: with one of two endpoints failing at once, some gateways' defaults let half
/// of all requests fail since one of two is more than they may eject.
#[test]
fn one_of_two_failing_endpoints_costs_a_handful_of_requests() {
    for balance in ["p2c", "peak_ewma", "least_request", "round_robin", "random"] {
        let (good, bad) = (Origin::echo(), Moody::start(500));
        let gateway = Setup::to(&[good.address, bad.origin.address])
            .upstream(&format!("balance: {balance}"))
            .start();
        let failed = failures(&gateway, MANY);
        // Each worker may have one more under way when the fifth comes back. By chance the first
        // five may all fail: then nothing speaks for the other one before the tenth.
        let first = if balance == "random" { 10 } else { 5 };
        assert!(failed <= first + 3, "{balance}: {failed} of {MANY} failed");
        // The others have stopped asking it before its fifth.
        if ["round_robin", "random"].contains(&balance) {
            assert!(failed >= 5, "{balance}: {failed} is too few to have been ejected for");
            assert_eq!(states(&gateway), ["healthy", "ejected"], "{balance}");
        }
    }
}

#[test]
fn an_ejection_is_told_everywhere() {
    let (good, bad) = (Origin::echo(), Moody::start(503));
    let gateway = Setup::to(&[good.address, bad.origin.address]).upstream(BLIND).start();
    let labels = format!("{{upstream=\"origin\",endpoint=\"{}\"}}", bad.origin.address);
    assert_eq!(metric(&gateway, &format!("weir_endpoint_healthy{labels}")), 1.0);
    failures(&gateway, 60);
    assert_eq!(metric(&gateway, &format!("weir_endpoint_healthy{labels}")), 0.0);
    assert_eq!(metric(&gateway, &format!("weir_endpoint_ejections_total{labels}")), 1.0);
    assert_eq!(metric(&gateway, "weir_upstream_panic{upstream=\"origin\"}"), 0.0);
    let health = endpoints(&gateway)[1]["health"].clone();
    assert_eq!(health["reason"], "5 failures in a row", "{health}");
    let length = health["until"].as_f64().unwrap() - health["since"].as_f64().unwrap();
    assert!((29.9..30.1).contains(&length), "{health}");
    assert_eq!((&health["share"], &health["ejections"]), (&0.0.into(), &1.into()));
    let lines = |log: &str| log.lines().filter(|line| line.contains("endpoint ejected")).count();
    assert!(eventually(|| lines(&gateway.log()) > 0));
    assert_eq!(lines(&gateway.log()), 1, "{}", gateway.log());
}

#[test]
fn an_ejected_endpoint_comes_back_and_stays_away_longer_the_next_time() {
    let (good, bad) = (Origin::echo(), Moody::start(500));
    let gateway = Setup::to(&[good.address, bad.origin.address])
        .upstream("balance: round_robin, outlier: { consecutive_failures: 2, ejection: 700ms }")
        .start();
    assert!(failures(&gateway, 40) >= 2);
    await_states(&gateway, ["healthy", "ejected"]);
    await_states(&gateway, ["healthy", "healthy"]);
    assert!(
        eventually(|| gateway.log().contains("endpoint back from ejection")),
        "{}",
        gateway.log()
    );
    assert!(failures(&gateway, 40) >= 2, "it is asked again");
    let health = endpoints(&gateway)[1]["health"].clone();
    let length = health["until"].as_f64().unwrap() - health["since"].as_f64().unwrap();
    assert!(length > 1.3, "twice as long: {health}");
    bad.set(200);
    await_states(&gateway, ["healthy", "healthy"]);
    let before = bad.origin.seen().len();
    assert_eq!(failures(&gateway, 40), 0);
    assert!(bad.origin.seen().len() > before, "well again, it takes its part");
}

#[test]
fn an_endpoint_that_refuses_connections_is_ejected_and_found_again() {
    let good = Origin::echo();
    let port = free_port();
    let gateway = Setup::to(&[good.address, ([127, 0, 0, 1], port).into()])
        .upstream("balance: round_robin, outlier: { ejection: 2s }")
        .start();
    assert_eq!(failures(&gateway, 40), 0, "nothing was sent, so that another takes it");
    await_states(&gateway, ["healthy", "ejected"]);
    let tried = endpoints(&gateway)[1]["failures"].as_u64().unwrap();
    assert!((5..=8).contains(&tried), "{tried} attempts at nobody");
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let taken = thread::spawn(move || listener.accept().unwrap());
    await_states(&gateway, ["healthy", "healthy"]);
    let end = Instant::now() + Duration::from_secs(10);
    while !taken.is_finished() && Instant::now() < end {
        let mut client = gateway.client();
        client.patience(Duration::from_millis(200));
        let _ = client.get("/again");
    }
    assert!(taken.is_finished(), "nobody comes back");
}

#[test]
fn off_is_off() {
    let (good, bad) = (Origin::echo(), Moody::start(500));
    let gateway = Setup::to(&[good.address, bad.origin.address])
        .upstream("balance: round_robin, outlier: off")
        .start();
    let failed = failures(&gateway, 100);
    // Each of the two workers takes turns on its own.
    assert!((49..=51).contains(&failed), "{failed} of 100");
    assert_eq!(states(&gateway), ["healthy", "healthy"]);
}

#[test]
fn what_a_client_can_bring_about_ejects_nobody() {
    let (a, b) = (Origin::start(|x| x.reply(404, "", "")), Origin::start(|x| x.reply(429, "", "")));
    let gateway = Setup::to(&[a.address, b.address]).upstream(BLIND).start();
    assert_eq!(failures(&gateway, 60), 60);
    assert_eq!(states(&gateway), ["healthy", "healthy"]);
}

/// Where nobody answers there is no better place for a request, and the first that is well again
/// serves at once.
#[test]
fn while_all_fail_none_is_ejected() {
    let (a, b) = (Moody::start(500), Moody::start(500));
    let gateway = Setup::to(&[a.origin.address, b.origin.address])
        .upstream("balance: round_robin, outlier: { max_ejected: 100% }")
        .start();
    assert_eq!(failures(&gateway, 60), 60);
    assert_eq!(states(&gateway), ["healthy", "healthy"]);
    let lines = || gateway.log().lines().filter(|l| l.contains("none is left out")).count();
    assert!(eventually(|| lines() > 0));
    assert_eq!(lines(), 1, "{}", gateway.log());
    let (before_a, before_b) = (a.origin.seen().len(), b.origin.seen().len());
    a.set(200);
    b.set(200);
    assert_eq!(failures(&gateway, 40), 0);
    let (a, b) = (a.origin.seen().len() - before_a, b.origin.seen().len() - before_b);
    assert!(a >= 10 && b >= 10, "{a} and {b} of 40");
}

#[test]
fn with_one_of_three_left_all_are_used() {
    let (good, bad) = (Origin::echo(), [Moody::start(500), Moody::start(500)]);
    let addresses = [good.address, bad[0].origin.address, bad[1].origin.address];
    let gateway = Setup::to(&addresses)
        .upstream("balance: round_robin, outlier: { max_ejected: 100% }")
        .start();
    failures(&gateway, 60);
    let failed = failures(&gateway, 60);
    assert!((30..=50).contains(&failed), "{failed} of 60: two of three are asked again");
}

#[test]
fn a_failing_worker_warns_the_others() {
    let (good, bad) = (Origin::echo(), Moody::start(500));
    let gateway =
        Setup::to(&[good.address, bad.origin.address]).upstream("balance: round_robin").start();
    // One connection is one worker: it alone sees the failures.
    let mut client = gateway.client();
    for n in 0..12 {
        client.get(&format!("/alone/{n}")).unwrap();
    }
    assert_eq!(states(&gateway), ["healthy", "ejected"]);
    assert_eq!(failures(&gateway, 60), 0, "over connections that spread over all workers");
}

/// Adds a route that changes nothing and waits for it to hold.
fn reload(gateway: &Gateway) {
    rewrite(gateway, "routes:\n", "routes:\n  - { match: /other, respond: 204 }\n");
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
}

#[test]
fn a_reload_keeps_ejections() {
    let (good, bad) = (Origin::echo(), Moody::start(500));
    let gateway = Setup::to(&[good.address, bad.origin.address]).upstream(BLIND).start();
    failures(&gateway, 60);
    let before = endpoints(&gateway)[1]["health"].clone();
    assert_eq!(before["state"], "ejected");
    reload(&gateway);
    let after = endpoints(&gateway)[1]["health"].clone();
    assert_eq!((&after["state"], &after["ejections"]), (&before["state"], &before["ejections"]));
    let until = |health: &serde_json::Value| health["until"].as_f64().unwrap();
    assert!((until(&after) - until(&before)).abs() < 0.1, "{before} {after}");
    assert_eq!(failures(&gateway, 60), 0);
    let text = std::fs::read_to_string(&gateway.file).unwrap();
    assert!(text.contains("to: origin"));
    rewrite(&gateway, "upstreams:\n  origin: { ", "upstreams:\n  origin: { outlier: off, ");
    gateway.signal(Signal::HUP);
    assert!(eventually(|| states(&gateway) == ["healthy", "healthy"]), "turned off, it is over");
}

#[test]
fn an_ejection_outlives_the_reload_and_still_ends() {
    let (good, bad) = (Origin::echo(), Moody::start(500));
    let gateway = Setup::to(&[good.address, bad.origin.address])
        .upstream("balance: round_robin, outlier: { ejection: 2s }")
        .start();
    failures(&gateway, 60);
    assert_eq!(states(&gateway), ["healthy", "ejected"]);
    reload(&gateway);
    assert_eq!(states(&gateway), ["healthy", "ejected"]);
    await_states(&gateway, ["healthy", "healthy"]);
}

#[test]
fn whoever_is_back_begins_with_a_small_share() {
    let (good, bad) = (Origin::echo(), Moody::start(500));
    let gateway = Setup::to(&[good.address, bad.origin.address])
        .upstream("balance: round_robin, outlier: { ejection: 300ms }, slow_start: 60s")
        .start();
    failures(&gateway, 60);
    bad.set(200);
    await_states(&gateway, ["healthy", "healthy"]);
    let before = bad.origin.seen().len();
    assert_eq!(failures(&gateway, 200), 0);
    let taken = bad.origin.seen().len() - before;
    assert!((1..60).contains(&taken), "{taken} of 200, in the beginning a tenth of the half");
    let share = endpoints(&gateway)[1]["health"]["share"].as_f64().unwrap();
    assert!((0.1..0.5).contains(&share), "{share}");
}
