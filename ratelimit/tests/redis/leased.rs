//! Limits that are lent out to gateways, on real servers and in real time.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use weir_ratelimit::{
    Algorithm, Bucket, Limit, Local, Nanos, Rate, Secret,
    redis::{Correction, Mode, OnFailure, Servers, Shared, SharedLimit, Source},
};

use crate::{
    Gateway, SECOND,
    exactness::{Admitted, worst_violation},
    limit, patient, run,
    server::Server,
};

fn leased(name: &str, rate: u64, burst: u64, on_failure: OnFailure) -> SharedLimit {
    let limit = limit(name, rate, burst, on_failure).with_mode(Mode::Leased);
    assert_eq!(limit.mode(), Mode::Leased);
    limit
}

/// Calls that a server has answered of three gateways, and what was admitted by them in all.
struct Played {
    calls: u64,
    admitted: Vec<Admitted>,
}

const RATE: u64 = 1_000;
const BURST: u64 = 200;

/// Three gateways, the first with most of the load, each with a clock of its own, for two seconds.
fn play(mode: Mode, on_off: bool) -> Option<Played> {
    let server = Server::start(&[])?;
    let (began, admitted) = (Instant::now(), Mutex::new(Vec::new()));
    let calls = thread::scope(|scope| {
        let gateways: Vec<_> = (0..3_u32)
            .map(|i| {
                let (server, admitted) = (&server, &admitted);
                scope.spawn(move || {
                    let limits = vec![limit("lent", RATE, BURST, OnFailure::Deny).with_mode(mode)];
                    // 100 ms apart: a gateway that came later counts from later.
                    let origin = began + Duration::from_millis(100) * i;
                    thread::sleep(Duration::from_millis(250));
                    let gateway = Gateway::new(patient(&[server.url()]), limits, origin);
                    run(async {
                        let client = || async {
                            while began.elapsed() < 2 * SECOND {
                                let sent = began.elapsed();
                                if on_off && (sent.as_millis() / 300) % 2 == 0 {
                                    tokio::time::sleep(Duration::from_millis(1)).await;
                                    continue;
                                }
                                let outcome = gateway.ask_one_of(3, "client").await;
                                assert_ne!(outcome.source, Source::Fallback);
                                if outcome.verdict.allowed() {
                                    let answered = began.elapsed();
                                    admitted.lock().unwrap().push(Admitted { sent, answered });
                                }
                                tokio::time::sleep(Duration::from_millis(3)).await;
                            }
                        };
                        let clients = if i == 0 { 12 } else { 3 };
                        let idle = async {
                            while began.elapsed() < 2 * SECOND {
                                tokio::time::sleep(SECOND / 10).await;
                                gateway.shared.give_back_idle(gateway.now()).await;
                            }
                        };
                        let clients =
                            futures_util::future::join_all((0..clients).map(|_| client()));
                        futures_util::future::join(idle, clients).await;
                    });
                    gateway.servers.counters().answered()
                })
            })
            .collect();
        gateways.into_iter().map(|gateway| gateway.join().unwrap()).sum()
    });
    Some(Played { calls, admitted: admitted.into_inner().unwrap() })
}

#[test]
fn three_gateways_admit_what_one_would_for_a_fifth_of_the_calls() {
    let Some(lent) = play(Mode::Leased, false) else { return };
    let exact = play(Mode::Exact, false).unwrap();
    let worst = worst_violation(&lent.admitted, RATE as f64, BURST as f64);
    println!(
        "admitted {} with {} calls, exact {} with {}; worst violation {worst}",
        lent.admitted.len(),
        lent.calls,
        exact.admitted.len(),
        exact.calls
    );
    assert!(worst <= 0.0, "{worst} too many in some interval");
    let share = lent.admitted.len() as f64 / exact.admitted.len() as f64;
    assert!(share > 0.85, "{share} of what is admitted request by request");
    assert!(lent.calls * 5 <= exact.calls, "{} calls instead of {}", lent.calls, exact.calls);
}

#[test]
fn bursts_at_one_moment() {
    let Some(lent) = play(Mode::Leased, true) else { return };
    let worst = worst_violation(&lent.admitted, RATE as f64, BURST as f64);
    println!("admitted {} with {} calls, worst {worst}", lent.admitted.len(), lent.calls);
    assert!(worst <= 0.0, "{worst} too many in some interval");
    assert!(lent.admitted.len() as u64 > RATE, "{}", lent.admitted.len());
}

#[test]
fn workers_share_what_is_lent() {
    let Some(server) = Server::start(&[]) else { return };
    let servers = Arc::new(Servers::new(patient(&[server.url()])).unwrap());
    let admitted = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let limits = vec![leased("lent", 1, 100, OnFailure::Deny)];
                let gateway = Gateway::beside(Arc::clone(&servers), limits, Instant::now());
                run(async {
                    let client = || async {
                        for _ in 0..20 {
                            let allowed = gateway.ask("a").await.verdict.allowed();
                            *admitted.lock().unwrap() += u64::from(allowed);
                            tokio::task::yield_now().await;
                        }
                    };
                    futures_util::future::join_all((0..10).map(|_| client())).await;
                });
            });
        }
    });
    let (admitted, calls) = (admitted.into_inner().unwrap(), servers.counters().answered());
    println!("{admitted} of 100 admitted with {calls} calls");
    assert!((97..=102).contains(&admitted), "{admitted}");
    assert!(calls < 20, "{calls}");
}

#[test]
fn leased_and_exact_limits_of_one_request() {
    let Some(server) = Server::start(&[]) else { return };
    let limits =
        vec![leased("wide", 1, 40, OnFailure::Deny), limit("narrow", 1, 5, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    run(async {
        for left in (0..5).rev() {
            let outcome = gateway.ask("a").await;
            assert!(outcome.verdict.allowed());
            assert_eq!(outcome.verdict.rulings()[1].decision.remaining, left);
        }
        // Denied by the exact one: what the leased one spent is put back.
        let denied = gateway.ask("a").await;
        assert!(!denied.verdict.allowed());
        let wide = denied.verdict.rulings()[0].decision;
        assert!((35..=36).contains(&wide.remaining), "{wide:?}");
        let again = gateway.ask("a").await;
        assert_eq!(again.source, Source::Memory);
        let wide = again.verdict.rulings()[0].decision;
        assert!(wide.allowed() && (35..=36).contains(&wide.remaining), "{wide:?}");
    });
    // Denied by the leased one: the exact one is not charged.
    let limits =
        vec![leased("small", 1, 3, OnFailure::Deny), limit("large", 1, 50, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    run(async {
        let mut admitted = 0;
        for _ in 0..10 {
            admitted += u64::from(gateway.ask("a").await.verdict.allowed());
        }
        assert_eq!(admitted, 3);
        let size = server.ask("DBSIZE");
        let other = Gateway::new(
            patient(&[server.url()]),
            vec![limit("large", 1, 50, OnFailure::Deny)],
            Instant::now(),
        );
        let large = other.ask("a").await.verdict.rulings()[0].decision.remaining;
        assert!((46..=47).contains(&large), "{large} after {size}");
    });
}

#[test]
fn who_is_denied_by_one_mode_is_told_of_the_other() {
    let Some(server) = Server::start(&[]) else { return };
    let slowly = |name: &str, burst| {
        let bucket = Bucket::new(Rate::new(1, 1_000 * SECOND).unwrap(), burst).unwrap();
        let limit =
            Limit::new(&Secret::new([7; 16]), "tests", name, Algorithm::TokenBucket(bucket));
        SharedLimit::new(limit, OnFailure::Deny).unwrap().unwrap()
    };
    for (wide, narrow) in [(Mode::Exact, Mode::Leased), (Mode::Leased, Mode::Exact)] {
        let (name, other) = (format!("wide {wide:?}"), format!("narrow {narrow:?}"));
        let limits = vec![slowly(&name, 40).with_mode(wide), slowly(&other, 3).with_mode(narrow)];
        let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
        run(async {
            for _ in 0..3 {
                assert!(gateway.ask("a").await.verdict.allowed());
            }
            let calls = gateway.servers.counters().answered();
            for _ in 0..5 {
                let denied = gateway.ask("a").await.verdict;
                let [wide, narrow] = denied.rulings() else { panic!("{denied:?}") };
                assert!(wide.decision.allowed());
                assert_eq!((wide.decision.remaining, narrow.decision.remaining), (37, 0));
                assert_eq!(denied.tightest().unwrap().0, 1);
                assert!(narrow.decision.retry_after().unwrap() > 900 * SECOND);
            }
            // For the denial, and for what else there is to say; the others were denied from
            // memory.
            let calls = gateway.servers.counters().answered() - calls;
            assert!(calls <= 3, "{wide:?}: {calls}");
        });
    }
}

#[test]
fn a_gateway_that_ends_gives_back() {
    let Some(server) = Server::start(&[]) else { return };
    let limits = || vec![leased("lent", 1, 100, OnFailure::Deny)];
    let one = Gateway::new(patient(&[server.url()]), limits(), Instant::now());
    let other = Gateway::new(patient(&[server.url()]), limits(), Instant::now());
    run(async {
        for _ in 0..30 {
            assert!(one.ask("a").await.verdict.allowed());
        }
        assert!(one.servers.counters().answered() < 12);
        let calls = one.servers.counters().answered();
        one.shared.give_back_idle(one.now()).await;
        assert_eq!(one.servers.counters().answered(), calls, "it is not idle yet");
        one.shared.give_back_all(one.now()).await;
        let mut admitted = 0;
        for _ in 0..100 {
            admitted += u64::from(other.ask("a").await.verdict.allowed());
        }
        assert!((70..=72).contains(&admitted), "{admitted}");
        assert_eq!(server.ask("DBSIZE").trim(), ":1");
    });
}

#[test]
fn without_its_server_a_lease_lasts_and_then_the_policy_decides() {
    let Some(server) = Server::start(&[]) else { return };
    let limits = vec![leased("lent", 1, 100, OnFailure::Local)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    run(async {
        for _ in 0..20 {
            assert!(gateway.ask("a").await.verdict.allowed());
        }
        drop(server);
        let mut sources = [0, 0];
        let mut admitted = 20;
        for _ in 0..120 {
            let outcome = gateway.ask("a").await;
            admitted += u64::from(outcome.verdict.allowed());
            sources[usize::from(outcome.source == Source::Fallback)] += 1;
        }
        println!("{sources:?} from the lease and the fallback");
        assert!(sources[0] > 0 && sources[1] > 0);
        assert!((99..=103).contains(&admitted), "{admitted}: this gateway is the only one");
    });
}

#[test]
fn leased_charges_are_settled() {
    let Some(server) = Server::start(&[]) else { return };
    let limits = vec![leased("lent", 1, 100, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    let key = gateway.keys("a")[0];
    run(async {
        let now = gateway.now();
        let limit = &gateway.limits[0];
        let remaining = async |cost| {
            let outcome = gateway.shared.check(&[limit.ask(key, Some(cost))], 1, now).await;
            assert!(outcome.verdict.allowed());
            outcome.verdict.rulings()[0].decision.remaining
        };
        // What is lent is worth a token less when the bucket would have been full without it.
        let about = |left: u64, of: u64| assert!((of - 2..=of + 1).contains(&left), "{left}");
        about(remaining(40).await, 60);
        let settle = async |charged, actual| {
            let correction = Correction { limit, key, charged, actual };
            gateway.shared.settle(&[correction], Source::Server, 1, now).await;
        };
        settle(40, 10).await;
        about(remaining(0).await, 90);
        settle(10, 20).await;
        about(remaining(0).await, 80);
        settle(20, 60).await;
        // What the lease could not pay the server was told: this gateway hears when it asks next.
        about(remaining(15).await, 25);
    });
}

#[test]
fn costs_over_the_burst_and_dry_runs() {
    let Some(server) = Server::start(&[]) else { return };
    let bounded = leased("lent", 1, 10, OnFailure::Deny);
    let servers = Arc::new(Servers::new(patient(&[server.url()])).unwrap());
    let shared = Shared::new(servers, Arc::new(Local::new(10)), fastrand::Rng::with_seed(1));
    let key = bounded.limit().hasher().part(b"a").finish();
    run(async {
        let now = Nanos::from(5 * SECOND);
        let outcome = shared.check(&[bounded.ask(key, Some(11))], 1, now).await;
        assert_eq!(outcome.verdict.rulings()[0].decision.retry_after(), None);
        let mut ask = bounded.ask(key, Some(10));
        ask.dry_run = true;
        for would_deny in [false, true, true] {
            let verdict = shared.check(&[ask], 1, now).await.verdict;
            assert!(verdict.allowed());
            assert_eq!(verdict.would_deny(), would_deny);
        }
        let verdict = shared.check(&[bounded.ask(key, Some(10))], 1, now).await.verdict;
        let wait = verdict.rulings()[0].decision.retry_after().unwrap();
        assert!(wait > 8 * SECOND && wait <= 10 * SECOND, "{wait:?}");
        // Less passes sooner.
        let later = Nanos::from(8 * SECOND);
        tokio::time::sleep(SECOND * 3 / 2).await;
        assert!(shared.check(&[bounded.ask(key, Some(1))], 1, later).await.verdict.allowed());
    });
}

#[test]
fn a_full_bucket_lends_next_to_nothing_and_nobody_is_turned_away() {
    let Some(server) = Server::start(&[]) else { return };
    // What is lent is worthless within microseconds: the bucket earns faster than anybody asks.
    let limits = vec![leased("fast", 1_000_000, 1_000, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    run(async {
        let client = || async {
            for _ in 0..50 {
                let outcome = gateway.ask("a").await;
                assert_eq!(outcome.source, Source::Server);
                assert!(outcome.verdict.allowed());
            }
        };
        futures_util::future::join_all((0..64).map(|_| client())).await;
    });
}
