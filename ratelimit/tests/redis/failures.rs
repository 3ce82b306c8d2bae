//! Servers that are gone, silent, full or not allowed to write.

use std::{
    net::{Ipv4Addr, TcpListener},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use weir_ratelimit::redis::{Fault, InvalidServer, OnFailure, Options, Outcome, Servers, Source};

use crate::{
    Gateway, SECOND, limit, load, patient, run,
    server::{Server, free_port},
    still,
};

fn faults(gateway: &Gateway, fault: Fault) -> u64 {
    gateway.servers.counters().faults().find(|(other, _)| *other == fault).unwrap().1
}

fn up(gateway: &Gateway) -> bool {
    gateway.servers.standing().all(|(_, up)| up)
}

/// The time that all but one in a hundred took no longer than.
fn p99(results: &[(Duration, Outcome)]) -> Duration {
    let mut times: Vec<_> = results.iter().map(|(time, _)| *time).collect();
    times.sort();
    times[times.len() * 99 / 100]
}

/// The most probes of a server in trouble since then: after 100 ms, 200, 400 and so on, each at
/// least half as long.
fn probes_max(began: Instant) -> u64 {
    let (mut count, mut pause, mut at) = (0, SECOND / 20, SECOND / 20);
    while at <= began.elapsed() {
        (count, pause) = (count + 1, pause * 2);
        at += pause;
    }
    count
}

/// Asks until the server answers, which is when its pause is over.
async fn answers_again(gateway: &Gateway, client: &str) {
    let mended = Instant::now();
    while gateway.ask(client).await.source != Source::Server {
        assert!(mended.elapsed() < 10 * SECOND, "it is not asked again");
        tokio::time::sleep(SECOND / 50).await;
    }
}

/// A second of load, the server killed, two more, the server back, until it is asked again.
fn outage(on_failure: OnFailure, expect: impl Fn(&[(Duration, Outcome)])) {
    const RATE: u64 = 200;
    let Some(server) = Server::start(&[]) else { return };
    let port = server.port();
    let limits = vec![limit("shared", RATE, 20, on_failure)];
    let options = Options { timeout: Duration::from_millis(100), ..patient(&[server.url()]) };
    let gateway = Rc::new(Gateway::new(options, limits, Instant::now()));
    let between = Duration::from_millis(3);
    run(async {
        let well = load(&gateway, 4, SECOND, between).await;
        assert!(well.iter().any(|(_, outcome)| outcome.source == Source::Server));
        drop(server);
        let dead = load(&gateway, 4, 2 * SECOND, between).await;
        assert!(!up(&gateway));
        println!("{on_failure:?}: {} while dead, p99 {:?}", dead.len(), p99(&dead));
        assert!(p99(&dead) < Duration::from_millis(100), "{:?}", p99(&dead));
        let tries: u64 = gateway.servers.counters().faults().map(|(_, count)| count).sum();
        assert!(tries < 30, "a dead server is asked rarely: {tries}");
        expect(&dead);
        let server = Server::start_on(port, &[]).unwrap().unwrap();
        let back = Instant::now();
        while !up(&gateway) && back.elapsed() < 10 * SECOND {
            load(&gateway, 1, Duration::from_millis(50), between).await;
        }
        println!("asked again after {:?}", back.elapsed());
        assert!(up(&gateway));
        // A machine that has other things to do may answer one too late.
        for tries in 0.. {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if gateway.ask("client").await.source == Source::Server {
                break;
            }
            assert!(tries < 50, "it is up and not asked");
        }
        drop(server);
    });
}

fn allowed(results: &[(Duration, Outcome)]) -> usize {
    results.iter().filter(|(_, outcome)| outcome.verdict.allowed()).count()
}

#[test]
fn killed_with_local() {
    outage(OnFailure::Local, |dead| {
        let rate = allowed(dead) as f64 / 2.0;
        println!("local admits {rate} a second of 200");
        assert!((100.0..=220.0).contains(&rate), "{rate}");
    });
}

#[test]
fn killed_with_allow() {
    outage(OnFailure::Allow, |dead| {
        let denied = dead.len() - allowed(dead);
        let remembered = dead.iter().filter(|(_, outcome)| outcome.source == Source::Memory);
        assert_eq!(denied, remembered.count(), "but what was denied before");
        assert!(denied * 10 < dead.len());
    });
}

#[test]
fn killed_with_deny() {
    outage(OnFailure::Deny, |dead| assert_eq!(allowed(dead), 0));
}

#[test]
fn never_there() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let limits = vec![still("shared", 5, OnFailure::Local)];
    let gateway = Gateway::new(patient(&[url]), limits, Instant::now());
    run(async {
        for left in (0..5).rev() {
            let outcome = gateway.ask("a").await;
            assert_eq!(outcome.source, Source::Fallback);
            assert_eq!(outcome.verdict.rulings()[0].decision.remaining, left);
        }
        assert!(!gateway.ask("a").await.verdict.allowed());
    });
    assert!((1..=6).contains(&faults(&gateway, Fault::Down)));
    assert!(!up(&gateway));
}

#[test]
fn one_of_many_gateways_takes_its_share() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let limits = vec![still("shared", 20, OnFailure::Local)];
    let gateway = Gateway::new(patient(&[url]), limits, Instant::now());
    run(async {
        let mut admitted = 0;
        for _ in 0..20 {
            admitted += u32::from(gateway.ask_one_of(4, "a").await.verdict.allowed());
        }
        assert_eq!(admitted, 5);
    });
}

#[test]
fn a_silent_server_costs_a_few_requests() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    // Takes connections, as long as the test lasts, and never says a word.
    thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    let limits = vec![limit("shared", 1_000_000, 1_000_000, OnFailure::Allow)];
    let options = Options { urls: vec![url], ..Options::default() };
    let gateway = Rc::new(Gateway::new(options, limits, Instant::now()));
    let results = run(load(&gateway, 4, 2 * SECOND, Duration::from_millis(1)));
    assert_eq!(allowed(&results), results.len());
    let slow = results.iter().filter(|(time, _)| *time > Duration::from_millis(15)).count();
    println!("{} requests, {slow} slow, p99 {:?}", results.len(), p99(&results));
    let tries = faults(&gateway, Fault::Slow);
    assert!((5..=20).contains(&tries), "{tries}");
    assert_eq!(gateway.servers.counters().connections(), 0);
    assert!(!up(&gateway));
}

#[test]
fn a_server_that_stops_for_a_while() {
    let Some(server) = Server::start(&[]) else { return };
    let limits = vec![limit("shared", 100, 100, OnFailure::Local)];
    let options = Options { timeout: Duration::from_millis(50), ..patient(&[server.url()]) };
    let gateway = Rc::new(Gateway::new(options, limits, Instant::now()));
    let between = Duration::from_millis(3);
    run(async {
        load(&gateway, 2, SECOND / 2, between).await;
        assert_eq!(server.ask("CLIENT PAUSE 1000 ALL").trim(), "+OK");
        let began = Instant::now();
        let results = load(&gateway, 2, SECOND, between).await;
        assert!(faults(&gateway, Fault::Slow) >= 5);
        assert!(p99(&results) < Duration::from_millis(300), "{:?}", p99(&results));
        let (admitted, due) = (allowed(&results), 100.0 * began.elapsed().as_secs_f64());
        assert!(admitted as f64 <= 30.0 + due, "{admitted} of {due}");
        let back = Instant::now();
        while !up(&gateway) && back.elapsed() < 10 * SECOND {
            load(&gateway, 1, Duration::from_millis(50), between).await;
        }
        assert!(up(&gateway));
    });
}

#[test]
fn a_replica_that_may_not_write() {
    let master = free_port().to_string();
    let Some(server) = Server::start(&["--replicaof", "127.0.0.1", &master]) else { return };
    let limits = vec![limit("shared", 1, 5, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    let began = Instant::now();
    run(async {
        for _ in 0..10 {
            let outcome = gateway.ask("a").await;
            assert_eq!(outcome.source, Source::Fallback);
            assert!(!outcome.verdict.allowed());
        }
        // It says so itself: once is enough, but for a probe now and then.
        let said = faults(&gateway, Fault::ReadOnly);
        assert!((1..=probes_max(began) + 1).contains(&said), "{said}");
        assert!(!up(&gateway));
        server.ask("REPLICAOF NO ONE");
        answers_again(&gateway, "a").await;
        assert!(up(&gateway));
    });
}

#[test]
fn a_server_without_memory() {
    let Some(server) = Server::start(&[]) else { return };
    let limits = vec![limit("shared", 1, 5, OnFailure::Allow)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    run(async {
        assert_eq!(gateway.ask("a").await.source, Source::Server);
        server.ask("CONFIG SET maxmemory 1");
        let began = Instant::now();
        for _ in 0..5 {
            let outcome = gateway.ask("b").await;
            assert_eq!(outcome.source, Source::Fallback);
            assert!(outcome.verdict.allowed());
        }
        let said = faults(&gateway, Fault::Memory);
        assert!((1..=probes_max(began) + 1).contains(&said), "{said}");
        assert!(!up(&gateway));
        server.ask("CONFIG SET maxmemory 0");
        answers_again(&gateway, "b").await;
    });
}

/// A server that cannot write still denies: what needs no writing is answered, again and again.
#[test]
fn what_a_full_server_or_a_replica_can_read_does_not_make_it_well() {
    for (breaks, mends, fault) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", Fault::Memory),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", Fault::ReadOnly),
    ] {
        let Some(server) = Server::start(&[]) else { return };
        let limits = vec![limit("shared", 1, 1_000, OnFailure::Allow)];
        let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
        let connections = || gateway.servers.counters().connections();
        run(async {
            let (reads, writes) = (gateway.keys("reads")[0], gateway.keys("writes")[0]);
            let ask = |key, cost| {
                let ask = [gateway.limits[0].ask(key, Some(cost))];
                let gateway = &gateway;
                async move { gateway.shared.check(&ask, 1, gateway.now()).await.source }
            };
            assert_eq!(ask(reads, 1).await, Source::Server);
            server.ask(breaks);
            let began = Instant::now();
            while began.elapsed() < SECOND * 3 / 2 {
                // What costs nothing is not written.
                ask(reads, 0).await;
                assert_eq!(ask(writes, 1).await, Source::Fallback);
                tokio::time::sleep(Duration::from_millis(2)).await;
                assert!(!up(&gateway));
            }
            // 100 ms, 200, 400, 800: each at least half as long.
            let said = faults(&gateway, fault);
            assert!((2..=6).contains(&said), "{said} in {:?}", began.elapsed());
            // The name may lead to another server by now, which is seen by a new connection only.
            let opened = if fault == Fault::ReadOnly { said..=said + 1 } else { 1..=2 };
            assert!(opened.contains(&connections()), "{} {fault:?}", connections());
            server.ask(mends);
            let mended = Instant::now();
            while ask(writes, 1).await != Source::Server {
                assert!(mended.elapsed() < 10 * SECOND);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            assert!(up(&gateway));
            assert_eq!(ask(reads, 1).await, Source::Server);
        });
    }
}

#[test]
fn something_else_at_a_key() {
    let Some(server) = Server::start(&[]) else { return };
    let limits = vec![limit("shared", 1, 5, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    run(async {
        for value in ["LPUSH {} a", "SET {} words", "SET {} -5", "SET {} 1e300", "SET {} nan"] {
            let digits = gateway.keys(value)[0].to_string();
            let key = format!("weir:rl1:{{{}}}{}", &digits[..16], &digits[16..]);
            server.ask(&value.replace("{}", &key));
            let outcome = gateway.ask(value).await;
            assert_eq!(outcome.source, Source::Server, "{value}");
            assert_eq!(outcome.verdict.allowed(), !value.contains("1e300"), "{value}");
            // What is far ahead counts as an empty bucket, all else as a full one.
            let expires = server.ask(&format!("PTTL {key}"));
            let millis: u64 = expires.trim_start_matches(':').trim().parse().unwrap();
            assert!((500..=5_002).contains(&millis), "{value}: {expires}");
            assert!(up(&gateway));
        }
    });
}

#[test]
fn wrong_passwords_and_addresses() {
    let Some(server) = Server::start(&["--requirepass", "right"]) else { return };
    let with = |password: &str| format!("redis://:{password}@127.0.0.1:{}", server.port());
    let limits = vec![limit("shared", 1, 5, OnFailure::Deny)];
    run(async {
        let gateway = Gateway::new(patient(&[with("right")]), limits.clone(), Instant::now());
        assert_eq!(gateway.ask("a").await.source, Source::Server);
        for url in [with("wrong"), server.url()] {
            let gateway = Gateway::new(patient(&[url]), limits.clone(), Instant::now());
            assert_eq!(gateway.ask("a").await.source, Source::Fallback);
            assert_eq!(faults(&gateway, Fault::Refused), 1);
        }
    });
    let invalid = |urls: &[&str]| {
        let urls = urls.iter().map(ToString::to_string).collect();
        Servers::new(Options { urls, ..Options::default() }).unwrap_err()
    };
    assert_eq!(invalid(&[]), InvalidServer::None);
    let twice = InvalidServer::Twice("localhost:6379/0".into());
    assert_eq!(invalid(&["redis://localhost", "redis://:x@localhost:6379/0"]), twice);
    for url in ["http://localhost", "redis://:secret@/x", "words"] {
        let said = invalid(&[url]).to_string();
        println!("{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn each_limit_has_its_own_say() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let allowed_by = |policies: &[OnFailure]| {
        let name = |i: usize| format!("limit {i}");
        let limits = policies.iter().enumerate();
        let limits = limits.map(|(i, policy)| still(&name(i), 2, *policy)).collect();
        let gateway = Gateway::new(patient(std::slice::from_ref(&url)), limits, Instant::now());
        run(async {
            let mut allowed = 0;
            for _ in 0..4 {
                let verdict = gateway.ask("a").await.verdict;
                assert_eq!(verdict.rulings().len(), policies.len());
                allowed += u32::from(verdict.allowed());
            }
            allowed
        })
    };
    assert_eq!(allowed_by(&[OnFailure::Allow, OnFailure::Allow]), 4);
    assert_eq!(allowed_by(&[OnFailure::Local, OnFailure::Allow]), 2);
    assert_eq!(allowed_by(&[OnFailure::Local, OnFailure::Deny]), 0);
}

#[test]
fn a_probe_whose_client_left_is_followed_by_another() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    let limits = vec![limit("shared", 1, 1, OnFailure::Allow)];
    let options = Options { timeout: SECOND * 2 / 5, ..patient(&[url]) };
    let gateway = Gateway::new(options, limits, Instant::now());
    run(async {
        futures_util::future::join_all((0..5).map(|_| gateway.ask("a"))).await;
        assert!(!up(&gateway));
        tokio::time::sleep(SECOND / 5).await;
        let probe = tokio::time::timeout(SECOND / 50, gateway.ask("a")).await;
        assert!(probe.is_err(), "it waits for the server");
        assert_eq!(faults(&gateway, Fault::Slow), 5);
        gateway.ask("a").await;
        assert_eq!(faults(&gateway, Fault::Slow), 6, "the next one may ask again");
    });
}

#[test]
fn workers_learn_from_each_other() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let limits = vec![limit("shared", 1, 5, OnFailure::Allow)];
    let one = Gateway::new(patient(&[url]), limits.clone(), Instant::now());
    let other = Gateway::beside(one.servers.clone(), limits, Instant::now());
    run(async {
        for _ in 0..5 {
            one.ask("a").await;
        }
        let tries = faults(&one, Fault::Down);
        assert_eq!(tries, 5);
        assert!(other.ask("a").await.verdict.allowed());
        assert_eq!((faults(&one, Fault::Down), one.servers.counters().skipped()), (tries, 1));
    });
}
