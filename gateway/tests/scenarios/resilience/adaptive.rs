//! A limit that follows latency.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use super::metric;
use crate::support::{
    eventually,
    gateway::{Gateway, Setup},
    origin::Origin,
};

/// An origin that serves four requests at a time, 20 ms each, and lets others wait in line.
struct Counter {
    origin: Origin,
    /// Most that were there at once, those in line included.
    most: Arc<AtomicUsize>,
}

impl Counter {
    fn start() -> Self {
        let (there, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let most = Arc::<AtomicUsize>::default();
        let peak = Arc::clone(&most);
        let origin = Origin::start(move |x| {
            peak.fetch_max(there.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
            let enter = |n: usize| (n < 4).then_some(n + 1);
            while served.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_err() {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(20));
            served.fetch_sub(1, Ordering::AcqRel);
            there.fetch_sub(1, Ordering::AcqRel);
            x.echo()
        });
        Self { origin, most }
    }
}

fn limits(gateway: &Gateway) -> Value {
    gateway.admin("GET", "/upstreams").json()["upstreams"][0]["limits"].clone()
}

/// Forty clients that ask without pause for a while; how many answers of 200 and of 503.
fn crowd(gateway: &Gateway, length: Duration) -> (usize, usize) {
    let over = AtomicBool::new(false);
    let (served, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                let mut client = gateway.client();
                while !over.load(Ordering::Acquire) {
                    match client.get("/").unwrap().status {
                        200 => served.fetch_add(1, Ordering::AcqRel),
                        503 => {
                            thread::sleep(Duration::from_millis(20));
                            refused.fetch_add(1, Ordering::AcqRel)
                        }
                        other => panic!("{other}"),
                    };
                }
            });
        }
        thread::sleep(length);
        over.store(true, Ordering::Release);
    });
    (served.into_inner(), refused.into_inner())
}

#[test]
fn an_origin_that_serves_four_is_not_sent_forty() {
    let counter = Counter::start();
    let gateway = Setup::to(&[counter.origin.address])
        .upstream("limits: { adaptive: { min: 2 }, queue: 4 }")
        .start();
    assert_eq!(limits(&gateway)["adaptive"]["limit"], 2);
    // While it learns it may be sent more.
    crowd(&gateway, Duration::from_secs(3));
    counter.most.store(0, Ordering::Release);
    let (served, refused) = crowd(&gateway, Duration::from_secs(3));
    let most = counter.most.load(Ordering::Acquire);
    assert!((3..=24).contains(&most), "{most} at once, {}", limits(&gateway));
    assert!(served > 150 && refused > 0, "{served} served, {refused} refused");
    let limit = limits(&gateway)["adaptive"]["limit"].as_f64().unwrap();
    let shown = metric(&gateway, "weir_upstream_adaptive_limit{upstream=\"origin\"}");
    assert!((2.0..=24.0).contains(&limit) && (limit - shown).abs() <= 2.0, "{limit}, {shown}");
    assert!(eventually(|| limits(&gateway)["requests"]["in_use"] == 0));
    assert_eq!(gateway.client().get("/").unwrap().status, 200);
}

#[test]
fn without_it_all_forty_come() {
    let counter = Counter::start();
    let gateway = Setup::to(&[counter.origin.address]).start();
    assert_eq!(limits(&gateway)["adaptive"], Value::Null);
    crowd(&gateway, Duration::from_secs(1));
    assert!(counter.most.load(Ordering::Acquire) > 30);
    let text = gateway.admin("GET", "/metrics").text();
    assert!(!text.contains("weir_upstream_adaptive_limit{"));
}
