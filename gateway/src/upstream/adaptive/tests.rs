use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;

const POLICY: Adaptive = Adaptive { min: 20, tolerance: 1.5 };

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn gradient(max: u32) -> Gradient {
    Gradient::new(POLICY, max)
}

/// Records so many windows' worth of samples, each 1 ms after the other, with `in_use` under way.
fn windows(gradient: &mut Gradient, count: usize, in_use: u32, outcome: impl Fn(usize) -> Outcome) {
    let mut now = gradient.window.began.unwrap_or_default() + millis(60_000);
    for n in 0..count * 100 {
        now = now + millis(1);
        gradient.record(millis(10), outcome(n), in_use, now);
    }
}

const fn answered(_: usize) -> Outcome {
    Outcome::Success
}

const fn failed(_: usize) -> Outcome {
    Outcome::Failure
}

// === A server, simulated ===

/// Requests arrive at random, wait in line at a server of so many hands, and are served.
struct Server {
    hands: usize,
    /// Mean time of service.
    service: f64,
    /// How much it varies: the spread of a lognormal time.
    spread: f64,
    rng: fastrand::Rng,
    now: f64,
    /// When each hand is free.
    free: BinaryHeap<Reverse<u64>>,
    /// When requests under way end, and when they began.
    under_way: BinaryHeap<Reverse<(u64, u64)>>,
}

/// What came of a while of traffic.
#[derive(Debug, Default)]
struct Story {
    answered: usize,
    turned_away: usize,
    latencies: Vec<f64>,
    limits: Vec<u32>,
}

impl Story {
    fn p99(&mut self) -> f64 {
        self.latencies.sort_by(f64::total_cmp);
        self.latencies[self.latencies.len() * 99 / 100]
    }

    fn mean_limit(&self) -> f64 {
        self.limits.iter().copied().map(f64::from).sum::<f64>() / self.limits.len() as f64
    }
}

impl Server {
    fn new(hands: usize, service: f64, spread: f64, seed: u64) -> Self {
        let free = (0..hands).map(|_| Reverse(0)).collect();
        let rng = fastrand::Rng::with_seed(seed);
        Self { hands, service, spread, rng, now: 0.0, free, under_way: BinaryHeap::new() }
    }

    fn capacity(&self) -> f64 {
        self.hands as f64 / self.service
    }

    fn time_of_service(&mut self) -> f64 {
        let (a, b) = (self.rng.f64().max(1e-12), self.rng.f64());
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        self.service * (self.spread * normal - self.spread * self.spread / 2.0).exp()
    }

    /// `seconds` of traffic at `rate` requests a second; without `gradient` the limit is `fixed`.
    fn serve(
        &mut self,
        seconds: f64,
        rate: f64,
        mut gradient: Option<&mut Gradient>,
        fixed: u32,
    ) -> Story {
        let nanos = |at: f64| (at * 1e9) as u64;
        let mut story = Story::default();
        let end = self.now + seconds;
        while self.now < end {
            self.now += -self.rng.f64().max(1e-12).ln() / rate;
            while let Some(&Reverse((ends, began))) = self.under_way.peek()
                && ends <= nanos(self.now)
            {
                let in_use = self.under_way.len() as u32;
                self.under_way.pop();
                let took = Duration::from_nanos(ends - began);
                story.latencies.push(took.as_secs_f64());
                story.answered += 1;
                if let Some(gradient) = &mut gradient {
                    gradient.record(took, Outcome::Success, in_use, Tick::from_nanos(ends));
                    story.limits.push(gradient.limit());
                }
            }
            let limit = gradient.as_ref().map_or(fixed, |gradient| gradient.limit());
            if self.under_way.len() >= limit as usize {
                story.turned_away += 1;
                continue;
            }
            let Some(Reverse(free)) = self.free.pop() else { unreachable!("a server has hands") };
            let ends = free.max(nanos(self.now)) + nanos(self.time_of_service());
            self.free.push(Reverse(ends));
            self.under_way.push(Reverse((ends, nanos(self.now))));
        }
        story
    }
}

/// A server, its limit, and the latest quantile of latency that it has without a queue.
fn rig(hands: usize, service: f64, spread: f64) -> (Server, Gradient, f64) {
    let mut quiet = Server::new(hands, service, spread, 7);
    let capacity = quiet.capacity();
    let base = quiet.serve(4_000.0 / capacity, capacity * 0.3, None, 4096).p99();
    (Server::new(hands, service, spread, 1), gradient(4096), base)
}

#[test]
fn twice_the_load_is_served_at_about_the_usual_latency() {
    for (hands, service, spread) in [(50, 0.02, 0.5), (200, 0.05, 1.0), (25, 0.2, 0.5)] {
        let (mut server, mut gradient, base) = rig(hands, service, spread);
        let capacity = server.capacity();
        server.serve(15.0, capacity * 2.0, Some(&mut gradient), 0);
        let mut story = server.serve(30.0, capacity * 2.0, Some(&mut gradient), 0);
        let (p99, limit) = (story.p99() / base, story.mean_limit() / hands as f64);
        assert!(p99 < 2.0, "{hands} hands: p99 is {p99} times that of no load");
        assert!((0.9..2.0).contains(&limit), "{hands} hands: {limit} requests for each");
        let used = story.answered as f64 / (capacity * 30.0);
        assert!(used > 0.9, "{hands} hands: {used} of what it can do");
        assert!(story.turned_away as f64 > capacity * 20.0);
    }
}

#[test]
fn the_same_load_under_a_fixed_limit_waits_without_end() {
    let (mut server, _, base) = rig(50, 0.02, 0.5);
    let capacity = server.capacity();
    let mut p99 = || server.serve(2.0, capacity * 2.0, None, 4096).p99() / base;
    let (first, second) = (p99(), p99());
    assert!(first > 10.0 && second > 20.0, "{first}, {second}");
}

#[test]
fn overload_that_lasts_does_not_carry_the_limit_away() {
    let (mut server, mut gradient, _) = rig(50, 0.02, 0.5);
    let rate = server.capacity() * 1.5;
    server.serve(15.0, rate, Some(&mut gradient), 0);
    for minute in 0..3 {
        let limit = server.serve(60.0, rate, Some(&mut gradient), 0).mean_limit();
        assert!((45.0..90.0).contains(&limit), "{limit} in minute {minute}");
    }
}

#[test]
fn it_follows_a_step_of_latency_and_back() {
    let (mut server, mut gradient, _) = rig(50, 0.02, 0.5);
    let rate = server.capacity() * 1.5;
    server.serve(15.0, rate, Some(&mut gradient), 0);
    for service in [0.06, 0.02] {
        server.service = service;
        server.serve(15.0, rate, Some(&mut gradient), 0);
        let story = server.serve(15.0, rate, Some(&mut gradient), 0);
        let used = story.answered as f64 / (server.capacity() * 15.0);
        assert!(used > 0.9, "{used} of what it can do at {service} s");
        assert!(story.mean_limit() < 110.0, "{} at {service} s", story.mean_limit());
    }
}

#[test]
fn jitter_and_bursts_do_not_bring_it_down() {
    // The odd answer takes ten times as long as most.
    let (mut server, mut gradient, _) = rig(100, 0.01, 1.2);
    let capacity = server.capacity();
    server.serve(5.0, capacity * 0.8, Some(&mut gradient), 0);
    for load in [0.8, 0.3, 0.9, 0.1, 0.9] {
        let story = server.serve(5.0, capacity * load, Some(&mut gradient), 0);
        let least = story.limits.iter().min().unwrap();
        assert!(*least > 70, "{least} at {load}");
        let lost = story.turned_away as f64 / (story.turned_away + story.answered) as f64;
        assert!(lost < 0.02, "{lost} turned away at {load}");
    }
}

#[test]
fn an_upstream_without_much_to_do_proves_nothing() {
    for outcome in [answered, failed] {
        let mut gradient = gradient(4096);
        windows(&mut gradient, 1_000, 9, outcome);
        assert_eq!(gradient.limit(), 20);
    }
    let mut gradient = gradient(4096);
    windows(&mut gradient, 5, 20, answered);
    // The last window may have begun while there was much to do.
    windows(&mut gradient, 2, 1, answered);
    let before = gradient.limit();
    assert!(before > 20);
    windows(&mut gradient, 1_000, before / 2 - 1, answered);
    assert_eq!(gradient.limit(), before);
}

#[test]
fn it_starts_by_doubling_and_ends_at_the_fixed_bound() {
    let mut gradient = gradient(500);
    let mut limits = Vec::new();
    for _ in 0..6 {
        let full = gradient.limit();
        windows(&mut gradient, 3, full, answered);
        limits.push(gradient.limit());
    }
    assert!(limits.is_sorted() && limits[2] >= 160, "{limits:?}");
    assert_eq!(gradient.limit(), 500);
}

#[test]
fn failures_bring_it_down_in_proportion() {
    let mut gradient = gradient(400);
    windows(&mut gradient, 40, 400, answered);
    assert_eq!(gradient.limit(), 400);
    windows(&mut gradient, 60, 400, |n| if n % 100 == 0 { failed(n) } else { answered(n) });
    assert!(gradient.limit() > 390, "{} with 1 of 100", gradient.limit());
    windows(&mut gradient, 60, 400, |n| if n % 4 == 0 { failed(n) } else { answered(n) });
    assert!((20..80).contains(&gradient.limit()), "{} with 1 of 4", gradient.limit());
    windows(&mut gradient, 200, 400, failed);
    assert_eq!(gradient.limit(), 20, "never below");
    windows(&mut gradient, 400, 400, answered);
    assert_eq!(gradient.limit(), 400, "it is back");
}

#[test]
fn what_was_learnt_outlives_another_configuration() {
    let gate = Arc::new(Gate::new(4096, 0));
    let limit = AdaptiveLimit::default();
    limit.record(&gate, millis(10), Outcome::Success, Tick::ZERO);
    assert_eq!(limit.standing(), None);
    limit.adjust(Some(POLICY), 4096, &gate);
    let mut now = Tick::ZERO;
    for _ in 0..1_000 {
        let held: Vec<_> = std::iter::from_fn(|| gate.try_acquire()).take(100).collect();
        now = now + millis(2);
        limit.record(&gate, millis(10), Outcome::Success, now);
        drop(held);
    }
    let standing = limit.standing().unwrap();
    assert!(standing.limit >= 100 && standing.usual == millis(10), "{standing:?}");
    limit.adjust(Some(Adaptive { min: 30, ..POLICY }), 4096, &gate);
    assert_eq!(limit.standing(), Some(standing));
    limit.adjust(Some(POLICY), 50, &gate);
    assert_eq!(limit.standing().unwrap().limit, 50);
    assert_eq!(std::iter::from_fn(|| gate.try_acquire()).take(99).collect::<Vec<_>>().len(), 50);
    limit.adjust(None, 50, &gate);
    assert_eq!(limit.standing(), None);
    assert_eq!(std::iter::from_fn(|| gate.try_acquire()).take(99).collect::<Vec<_>>().len(), 99);
}

proptest! {
    #[test]
    fn whatever_is_measured_the_limit_stays_within_its_bounds(
        samples in proptest::collection::vec(
            (0..2_000_000_000_u64, proptest::bool::weighted(0.2), 0..500_u32, 0..50_u64), 1..2000,
        ),
        min in 1..100_u32, max in 1..500_u32,
    ) {
        let (min, mut now) = (min.min(max), Tick::default());
        let mut gradient = Gradient::new(Adaptive { min, tolerance: 1.5 }, max);
        let mut limit = gradient.limit();
        for (nanos, fails, in_use, pause) in samples {
            now = now + millis(pause);
            let outcome = if fails { Outcome::Failure } else { Outcome::Success };
            let told = gradient.record(Duration::from_nanos(nanos), outcome, in_use, now);
            limit = told.unwrap_or(limit);
            prop_assert!((min..=max).contains(&gradient.limit()));
            prop_assert_eq!(limit, gradient.limit(), "who is told of changes knows the limit");
        }
    }
}
