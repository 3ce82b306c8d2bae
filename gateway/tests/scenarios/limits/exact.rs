//! Never more than the limit says, and never less: counted at the origin, over both workers.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    SOON,
    envelope::{Passage, worst},
};
use crate::support::{client::get, gateway::Setup, origin::Origin};

#[test]
fn a_burst_over_many_connections_is_counted_once() {
    const BURST: usize = 57;
    let origin = Origin::echo();
    let route = format!("rate_limit: {{ key: route, rate: 1/h, burst: {BURST} }}");
    let gateway = Setup::to(&[origin.address]).route(&route).start();
    let (passed, denied) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    // A connection each: the kernel spreads them over the workers.
                    match gateway.client().get("/").unwrap().status {
                        200 => passed.fetch_add(1, Ordering::Relaxed),
                        429 => denied.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}"),
                    };
                }
            });
        }
    });
    assert_eq!((passed.into_inner(), denied.into_inner()), (BURST, 200 - BURST));
    assert_eq!(origin.seen().len(), BURST);
}

/// Clients that ask without end: what reached the origin meanwhile, and when each asked.
fn siege(rule: &str, length: Duration) -> (Vec<Passage>, Vec<Duration>) {
    let began = Instant::now();
    let asked = Mutex::new(Vec::new());
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let ledger = Arc::clone(&arrivals);
    let origin = Origin::start(move |x| {
        let arrived = began.elapsed();
        let sent = x.target().trim_start_matches('/').parse().map(Duration::from_nanos).unwrap();
        ledger.lock().unwrap().push((sent, arrived));
        x.reply(200, "", "")
    });
    let gateway = Setup::to(&[origin.address]).route(&format!("rate_limit: {rule}")).start();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = gateway.client();
                while !over.load(Ordering::Relaxed) {
                    let sent = began.elapsed();
                    asked.lock().unwrap().push(sent);
                    client.send(get(&format!("/{}", sent.as_nanos())).as_bytes());
                    assert!(matches!(client.answer("GET").unwrap().status, 200 | 429));
                }
            });
        }
        thread::sleep(length);
        over.store(true, Ordering::Relaxed);
    });
    drop(gateway);
    let mut asked = asked.into_inner().unwrap();
    asked.sort();
    (arrivals.lock().unwrap().clone(), asked)
}

#[test]
fn no_interval_ever_sees_more_than_a_token_bucket_holds() {
    let (passages, asked) = siege("{ key: route, rate: 40/s, burst: 10 }", SOON);
    let worst = worst(&passages, 10.0, 40.0);
    assert!(worst <= 1e-6, "{worst} too many");
    // What a full bucket spills while nobody asks, as the machine has them all wait, is lost.
    let gains = asked.windows(2).map(|two| (40.0 * (two[1] - two[0]).as_secs_f64()).min(10.0));
    let due = 10.0 + gains.sum::<f64>();
    assert!(passages.len() as f64 > 0.9 * due, "{} of {due}", passages.len());
}

#[test]
fn no_window_ever_sees_more_than_its_quota() {
    let rule = "{ key: route, rate: 30/s, algorithm: sliding_window }";
    let (passages, _) = siege(rule, SOON);
    for (from, _) in &passages {
        let window = *from..*from + Duration::from_secs(1);
        let inside =
            passages.iter().filter(|(sent, arrived)| sent >= from && window.contains(arrived));
        assert!(inside.count() <= 30);
    }
    assert!(passages.len() >= 60, "{}", passages.len());
}
