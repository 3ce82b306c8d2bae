//! Whatever numbers a store replies with, they are a verdict on what was asked, or none: nothing
//! overflows, and a verdict says of each limit what it can say.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use weir_ratelimit::{
    Algorithm, Bucket, Leaky, Rate, Window,
    remote::{Ask, Remote, verdict},
};

fuzz_target!(|input: (Vec<(u8, u64, bool)>, Vec<i64>)| {
    let second = Duration::from_secs(1);
    let (Ok(rate), Ok(window)) = (Rate::new(3, second), Window::new(9, second)) else { return };
    let (Ok(bucket), Ok(leaky)) = (Bucket::new(rate, 5), Leaky::new(rate, 5)) else { return };
    let algorithms = [
        Algorithm::TokenBucket(bucket),
        Algorithm::LeakyBucket(leaky),
        Algorithm::SlidingWindow(window),
    ];
    let limits: Vec<Remote> =
        algorithms.iter().filter_map(|algorithm| Remote::new(algorithm).ok()).collect();
    let (asked, reply) = input;
    let asks: Vec<Ask<'_>> = asked
        .iter()
        .map(|(kind, cost, dry_run)| Ask {
            limit: &limits[usize::from(*kind) % limits.len()],
            cost: *cost,
            dry_run: *dry_run,
        })
        .collect();
    if let Some(verdict) = verdict(&asks, &reply) {
        assert_eq!(verdict.rulings().len(), asks.len());
        for ruling in verdict.rulings() {
            assert!(ruling.decision.remaining <= ruling.decision.limit);
        }
    }
});
