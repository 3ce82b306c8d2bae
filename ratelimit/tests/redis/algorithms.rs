//! The other algorithms on a real server.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use weir_ratelimit::{
    Algorithm, Leaky, Limit, Rate, Secret, Window,
    redis::{Correction, Mode, OnFailure, SharedLimit, Source},
};

use crate::{
    Gateway, SECOND, limit, patient, run,
    server::{Server, free_port},
};

fn shared(name: &str, algorithm: Algorithm, on_failure: OnFailure) -> SharedLimit {
    let limit = Limit::new(&Secret::new([7; 16]), "tests", name, algorithm);
    SharedLimit::new(limit, on_failure).unwrap().unwrap()
}

fn leaky(rate: u64, queue: u64) -> Algorithm {
    Algorithm::LeakyBucket(Leaky::new(Rate::new(rate, SECOND).unwrap(), queue).unwrap())
}

fn window(quota: u64, length: Duration) -> Algorithm {
    Algorithm::SlidingWindow(Window::new(quota, length).unwrap())
}

#[test]
fn two_gateways_have_one_queue() {
    let Some(server) = Server::start(&[]) else { return };
    let limits = || vec![shared("queue", leaky(1, 4), OnFailure::Deny)];
    let one = Gateway::new(patient(&[server.url()]), limits(), Instant::now());
    let other = Gateway::new(patient(&[server.url()]), limits(), Instant::now());
    run(async {
        let began = Instant::now();
        for (place, gateway) in [&one, &other, &one, &other, &one].into_iter().enumerate() {
            let outcome = gateway.ask("a").await;
            assert!(outcome.verdict.allowed());
            let (delay, most) = (outcome.verdict.delay(), SECOND * place as u32);
            assert!(delay <= most && delay + began.elapsed() >= most, "{place}: {delay:?}");
        }
        for gateway in [&one, &other] {
            let denied = gateway.ask("a").await;
            assert_eq!((denied.verdict.allowed(), denied.source), (false, Source::Server));
            let again = gateway.ask("a").await;
            assert_eq!((again.verdict.allowed(), again.source), (false, Source::Memory));
        }
        // A place cannot be given back, but a dearer request holds up those who come later.
        let (limit, key) = (&one.limits[0], one.keys("b")[0]);
        assert_eq!(one.ask("b").await.verdict.delay(), Duration::ZERO);
        let settle = async |charged, actual| {
            let correction = Correction { limit, key, charged, actual };
            one.shared.settle(&[correction], Source::Server, 1, one.now()).await;
        };
        settle(1, 0).await;
        let second = one.ask("b").await.verdict.delay();
        assert!(second > SECOND * 4 / 5 && second <= SECOND, "{second:?}");
        settle(1, 3).await;
        let third = one.ask("b").await.verdict.delay();
        assert!(third > SECOND * 37 / 10 && third <= 4 * SECOND, "{third:?}");
    });
}

#[test]
fn three_gateways_never_pass_the_quota_of_a_window() {
    const QUOTA: u64 = 60;
    const LENGTH: Duration = Duration::from_millis(700);
    let Some(server) = Server::start(&[]) else { return };
    let (began, admitted) = (Instant::now(), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let limits = vec![shared("window", window(QUOTA, LENGTH), OnFailure::Deny)];
                let gateway = Gateway::new(patient(&[server.url()]), limits, began);
                run(async {
                    while began.elapsed() < 5 * LENGTH {
                        let sent = began.elapsed();
                        let outcome = gateway.ask("client").await;
                        assert_ne!(outcome.source, Source::Fallback);
                        if outcome.verdict.allowed() {
                            admitted.lock().unwrap().push((sent, began.elapsed()));
                        }
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
            });
        }
    });
    let admitted = admitted.into_inner().unwrap();
    for (first, _) in &admitted {
        // Certainly within one window.
        let within = |(sent, answered): &&(Duration, Duration)| {
            sent >= first && *answered <= *first + LENGTH
        };
        let count = admitted.iter().filter(within).count() as u64;
        assert!(count <= QUOTA, "{count} from {first:?}");
    }
    println!("{} admitted in five windows of {QUOTA}", admitted.len());
    assert!(admitted.len() as u64 > QUOTA * 3, "{}", admitted.len());
}

#[test]
fn a_window_remembers_and_settles() {
    let Some(server) = Server::start(&[]) else { return };
    let limits = vec![shared("window", window(10, 60 * SECOND), OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    let (limit, key) = (&gateway.limits[0], gateway.keys("a")[0]);
    run(async {
        for left in (0..10).rev() {
            let verdict = gateway.ask("a").await.verdict;
            assert_eq!(verdict.rulings()[0].decision.remaining, left);
        }
        let denied = gateway.ask("a").await;
        assert_eq!((denied.verdict.allowed(), denied.source), (false, Source::Server));
        let wait = denied.verdict.rulings()[0].decision.retry_after().unwrap();
        assert!(wait > 59 * SECOND && wait < 70 * SECOND, "{wait:?}");
        let again = gateway.ask("a").await;
        assert_eq!((again.verdict.allowed(), again.source), (false, Source::Memory));
        let correction = Correction { limit, key, charged: 4, actual: 1 };
        gateway.shared.settle(&[correction], Source::Server, 1, gateway.now()).await;
        let verdict = gateway.ask("a").await.verdict;
        assert_eq!(verdict.rulings()[0].decision.remaining, 2);
        let correction = Correction { limit, key, charged: 1, actual: 9 };
        gateway.shared.settle(&[correction], Source::Server, 1, gateway.now()).await;
        assert!(!gateway.ask("a").await.verdict.allowed());
        let faults: u64 = gateway.servers.counters().faults().map(|(_, count)| count).sum();
        assert_eq!(faults, 0);
        let millis: u64 = {
            let digits = key.to_string();
            let said = server.ask(&format!("PTTL weir:rl1:{{{}}}{}", &digits[..16], &digits[16..]));
            said.trim_start_matches(':').trim().parse().unwrap()
        };
        assert!((60_000..70_000).contains(&millis), "{millis}");
    });
}

#[test]
fn all_three_at_one_moment() {
    let Some(server) = Server::start(&[]) else { return };
    let limits = vec![
        limit("bucket", 1, 9, OnFailure::Deny),
        shared("window", window(5, 60 * SECOND), OnFailure::Deny),
        shared("queue", leaky(1, 7), OnFailure::Deny),
    ];
    let gateway = Gateway::new(patient(&[server.url()]), limits, Instant::now());
    run(async {
        for left in (0..5).rev() {
            let verdict = gateway.ask("a").await.verdict;
            assert!(verdict.allowed());
            assert_eq!(verdict.rulings()[1].decision.remaining, left);
        }
        let denied = gateway.ask("a").await.verdict;
        assert_eq!(denied.tightest().unwrap().0, 1);
        let remaining = |i: usize| denied.rulings()[i].decision.remaining;
        assert!((4..=5).contains(&remaining(0)) && (3..=4).contains(&remaining(2)), "{denied:?}");
        assert_eq!(gateway.servers.counters().answered(), 6);
    });
}

#[test]
fn a_share_of_each_without_a_server() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    for (algorithm, share) in [(leaky(1, 19), 5), (window(20, 60 * SECOND), 5)] {
        let limits = vec![shared("alone", algorithm, OnFailure::Local).with_mode(Mode::Leased)];
        assert_eq!(limits[0].mode(), Mode::Exact, "only token buckets are lent");
        let gateway = Gateway::new(patient(std::slice::from_ref(&url)), limits, Instant::now());
        run(async {
            let mut admitted = 0;
            for _ in 0..20 {
                admitted += u64::from(gateway.ask_one_of(4, "a").await.verdict.allowed());
            }
            assert_eq!(admitted, share);
        });
    }
}
