//! What is admitted by gateways that share a server, to the request.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use weir_ratelimit::{
    Algorithm, Local,
    redis::{Correction, Fault, OnFailure, Source},
};

use crate::{Gateway, SECOND, limit, patient, run, server::Server};

/// A request that was admitted: at some moment between the two.
#[derive(Clone, Copy)]
pub(crate) struct Admitted {
    pub(crate) sent: Duration,
    pub(crate) answered: Duration,
}

/// By how much the requests that were certainly admitted within some interval exceed what may be,
/// at worst.
pub(crate) fn worst_violation(admitted: &[Admitted], rate: f64, burst: f64) -> f64 {
    let mut by_answer = admitted.to_vec();
    by_answer.sort_by_key(|one| one.answered);
    let mut worst = f64::MIN;
    for first in admitted {
        let mut count = 0.0;
        for last in by_answer.iter().filter(|last| last.sent >= first.sent) {
            count += 1.0;
            let length = (last.answered - first.sent).as_secs_f64();
            worst = f64::max(worst, count - (burst + rate * length).floor());
        }
    }
    worst
}

#[test]
fn three_gateways_admit_what_one_would() {
    const RATE: u64 = 400;
    const BURST: u64 = 50;
    let Some(server) = Server::start(&[]) else { return };
    let (began, admitted) = (Instant::now(), Mutex::new(Vec::new()));
    let length = 2 * SECOND;
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let limits = vec![limit("shared", RATE, BURST, OnFailure::Deny)];
                let gateway = Gateway::new(patient(&[server.url()]), limits, began);
                run(async {
                    let client = || async {
                        while began.elapsed() < length {
                            let sent = began.elapsed();
                            let outcome = gateway.ask("client").await;
                            assert_ne!(outcome.source, Source::Fallback);
                            if outcome.verdict.allowed() {
                                let answered = began.elapsed();
                                admitted.lock().unwrap().push(Admitted { sent, answered });
                            }
                            tokio::time::sleep(Duration::from_micros(1_500)).await;
                        }
                    };
                    futures_util::future::join_all((0..8).map(|_| client())).await;
                });
            });
        }
    });
    let admitted = admitted.into_inner().unwrap();
    let worst = worst_violation(&admitted, RATE as f64, BURST as f64);
    let ideal = RATE as f64 * length.as_secs_f64() + BURST as f64;
    println!("admitted {} of {ideal}, worst violation {worst}", admitted.len());
    assert!(worst <= 0.0, "{worst} too many in some interval");
    assert!(admitted.len() as f64 > 0.9 * ideal, "{} of {ideal}", admitted.len());
}

#[test]
fn all_limits_are_charged_or_none() {
    let Some(server) = Server::start(&[]) else { return };
    let limits =
        vec![limit("wide", 1, 10, OnFailure::Deny), limit("narrow", 1, 3, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    run(async {
        for left in (0..3).rev() {
            let verdict = gateway.ask("a").await.verdict;
            assert!(verdict.allowed());
            assert_eq!(verdict.rulings()[1].decision.remaining, left);
        }
        let denied = gateway.ask("a").await;
        assert_eq!(denied.source, Source::Server);
        assert_eq!(denied.verdict.tightest().unwrap().0, 1);
        assert_eq!(denied.verdict.rulings()[0].decision.remaining, 7, "nothing was charged");
        let again = gateway.ask("a").await;
        assert_eq!(again.source, Source::Memory);
        assert!(!again.verdict.allowed());
        assert_eq!(again.verdict.rulings()[0].decision.remaining, 7);
        assert_eq!(gateway.servers.counters().answered(), 4);
        assert_eq!(gateway.servers.counters().remembered(), 1);
        assert!(gateway.ask("b").await.verdict.allowed());
    });
}

#[test]
fn keys_on_several_servers_are_given_back() {
    let (Some(one), Some(two)) = (Server::start(&[]), Server::start(&[])) else { return };
    let limits =
        vec![limit("wide", 1, 10, OnFailure::Deny), limit("narrow", 1, 3, OnFailure::Deny)];
    let urls = [one.url(), two.url()];
    let gateway = Gateway::new(patient(&urls), limits.clone(), Instant::now());
    let mut turned = urls.to_vec();
    turned.reverse();
    let other = Gateway::new(patient(&turned), limits, Instant::now());
    run(async {
        for i in 0..20 {
            let client = format!("client {i}");
            for _ in 0..3 {
                assert!(gateway.ask(&client).await.verdict.allowed());
            }
            let denied = gateway.ask(&client).await;
            assert!(!denied.verdict.allowed());
            assert_eq!(denied.source, Source::Server);
            let wide = denied.verdict.rulings()[0].decision.remaining;
            assert!((7..=8).contains(&wide), "{wide}");
            // Another gateway with another order of the servers finds the same.
            let denied = other.ask(&client).await;
            assert!(!denied.verdict.allowed());
            let wide = denied.verdict.rulings()[0].decision.remaining;
            assert!((7..=8).contains(&wide), "what was charged was given back: {wide}");
        }
    });
    for server in [&one, &two] {
        let size = server.ask("DBSIZE");
        let keys: usize = size.trim_start_matches(':').trim().parse().unwrap();
        assert!((8..=32).contains(&keys), "40 keys are spread: {keys}");
    }
}

#[test]
fn scripts_are_sent_again_when_the_server_forgot_them() {
    let Some(server) = Server::start(&[]) else { return };
    let limits = vec![limit("shared", 1, 5, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    run(async {
        assert!(gateway.ask("a").await.verdict.allowed());
        assert_eq!(server.ask("SCRIPT FLUSH").trim(), "+OK");
        let outcome = gateway.ask("a").await;
        assert_eq!(outcome.source, Source::Server);
        assert_eq!(outcome.verdict.rulings()[0].decision.remaining, 3, "charged once");
        assert!(gateway.ask("a").await.verdict.allowed());
        assert_eq!(gateway.servers.counters().reloads(), 1);
        assert_eq!(gateway.servers.counters().connections(), 1);
    });
}

#[test]
fn charges_are_settled_as_in_the_local_store() {
    let Some(server) = Server::start(&[]) else { return };
    let limits = vec![limit("shared", 1, 100, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    let local = Arc::new(Local::new(100));
    let Algorithm::TokenBucket(bucket) = *gateway.limits[0].limit().algorithm() else { return };
    let algorithm = Algorithm::TokenBucket(bucket);
    let key = gateway.keys("a")[0];
    let mut rng = fastrand::Rng::with_seed(3);
    run(async {
        for _ in 0..50 {
            let (cost, actual, now) = (rng.u64(0..30), rng.u64(0..40), gateway.now());
            let limit = &gateway.limits[0];
            let said = gateway.shared.check(&[limit.ask(key, Some(cost))], 1, now).await;
            let verdict = said.verdict;
            let ask = weir_ratelimit::Ask { algorithm: &algorithm, key, cost, dry_run: false };
            let expected = local.check_one(&ask, now);
            let (said, expected) = (verdict.rulings()[0].decision, expected);
            // A second may end between the two clocks.
            assert!(said.remaining.abs_diff(expected.remaining) <= 1, "{said:?} {expected:?}");
            if said.allowed() != expected.allowed() {
                assert!(said.retry_after().unwrap().max(expected.retry_after().unwrap()) < SECOND);
                return;
            }
            if said.allowed() {
                let correction = Correction { limit, key, charged: cost, actual };
                gateway.shared.settle(&[correction], Source::Server, 1, now).await;
                if actual > cost {
                    local.charge(&algorithm, key, actual - cost, now);
                } else {
                    local.refund(&algorithm, key, cost - actual, now, now);
                }
            }
        }
        let faults: u64 = gateway.servers.counters().faults().map(|(_, count)| count).sum();
        assert_eq!(faults, 0);
    });
}

#[test]
fn broken_connections_mix_nothing_up() {
    const BURST: u64 = 500;
    let Some(server) = Server::start(&[]) else { return };
    let limits = vec![limit("shared", 1, BURST, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    let seen = Mutex::new(Vec::new());
    run(async {
        let client = |i: usize| {
            let (gateway, seen, server) = (&gateway, &seen, &server);
            async move {
                for turn in 0..10 {
                    if i == 0 {
                        server.ask("CLIENT KILL TYPE normal SKIPME yes");
                    }
                    let name = format!("client {i}");
                    let outcome = gateway.ask(&name).await;
                    if outcome.source == Source::Server {
                        let remaining = outcome.verdict.rulings()[0].decision.remaining;
                        // Nobody else has this bucket: at most a repetition may be missing.
                        let most = BURST - turn - 1 + 10;
                        assert!(remaining <= most && remaining + 40 >= BURST, "{remaining}");
                        seen.lock().unwrap().push(remaining);
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        futures_util::future::join_all((0..30).map(client)).await;
    });
    let other = gateway.servers.counters().faults().filter(|(fault, _)| *fault != Fault::Down);
    assert_eq!(other.map(|(_, count)| count).sum::<u64>(), 0, "no reply was misunderstood");
    assert!(seen.into_inner().unwrap().len() > 200);
    assert!(gateway.servers.counters().connections() > 1);
}

#[test]
fn what_one_server_charged_is_given_back_when_the_other_is_gone() {
    let (Some(one), Some(two)) = (Server::start(&[]), Server::start(&[])) else { return };
    let limits =
        vec![limit("wide", 1, 10, OnFailure::Local), limit("narrow", 1, 10, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[one.url(), two.url()]), limits, Instant::now());
    run(async {
        assert!(gateway.ask("warm").await.verdict.allowed());
        drop(two);
        let (mut denied, mut allowed) = (0, 0);
        for i in 0..40 {
            let outcome = gateway.ask(&format!("client {i}")).await;
            let wide = outcome.verdict.rulings()[0].decision.remaining;
            if outcome.verdict.allowed() {
                assert_eq!(wide, 9);
                allowed += 1;
            } else {
                assert_eq!((wide, outcome.source), (10, Source::Fallback), "nothing is charged");
                denied += 1;
            }
        }
        println!("{allowed} allowed, {denied} denied with one server of two");
        assert!(allowed > 8 && denied > 8);
        let keys: usize = one.ask("DBSIZE").trim_start_matches(':').trim().parse().unwrap();
        assert!(keys <= 2 * allowed + 2, "{keys}");
    });
}
