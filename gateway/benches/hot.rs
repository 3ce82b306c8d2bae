//! What the parts of the hot path cost, in nanoseconds: `cargo bench --bench hot`.
//!
//! The best of many short loops, in one thread, everything in cache: a floor to compare changes
//! by, not what the parts cost inside a request.
#![allow(clippy::print_stdout, reason = "a benchmark reports on stdout")]

use std::{
    hint::black_box,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Waker},
    time::Duration,
};

use weir_config::model::{Balance, RetryBudget};
use weir_gateway::{
    clock::{self, Calendar, Tick},
    telemetry::{
        access_log::{AccessRecord, Format, LogWriter},
        counters::Exchange,
        registry::Registry,
    },
    timers::Timers,
    upstream::{
        limit::Gate,
        load::{EndpointLoad, LatencyHistogram, Outcome},
        pick::Picker,
        retry::budget::Budget,
    },
};

const LOOPS: usize = 200;
const TURNS: u32 = 2_000;

/// Prints the best mean of a loop.
fn time(name: &str, mut turn: impl FnMut(u32)) {
    let best = (0..LOOPS)
        .map(|_| {
            let began = clock::now();
            for i in 0..TURNS {
                turn(i);
            }
            clock::now().nanos_since(began)
        })
        .min()
        .unwrap_or_default();
    println!("{name:<36} {:>8.1} ns", best as f64 / f64::from(TURNS));
}

fn main() {
    time("clock::now", |_| {
        black_box(clock::now());
    });
    let mut calendar = Calendar::new();
    time("Calendar::unix_millis", |i| {
        black_box(calendar.unix_millis(Tick::from_nanos(i.into())));
    });
    pickers();
    loads();
    gates();
    budgets();
    counters();
    access_log();
    timers();
}

fn pickers() {
    let now = clock::now();
    let mut rng = fastrand::Rng::with_seed(1);
    for balance in [
        Balance::P2c,
        Balance::PeakEwma,
        Balance::Prequal,
        Balance::LeastRequest,
        Balance::RoundRobin,
        Balance::Random,
    ] {
        for (count, unequal) in [(2, false), (10, false), (100, false), (100, true)] {
            let endpoints: Vec<_> = (0..count).map(|_| Arc::new(EndpointLoad::new(now))).collect();
            let weights: Vec<u32> =
                (0..count).map(|i| if unequal { 1 + i % 7 } else { 1 }).collect();
            let mut picker = Picker::new(balance, &weights, &mut rng);
            let later = now + Duration::from_secs(1);
            let kind = if unequal { "weighted" } else { "equal" };
            time(&format!("pick {balance:?} of {count} {kind}"), |_| {
                black_box(picker.pick(&endpoints, |_| false, later, &mut rng));
            });
        }
    }
}

fn loads() {
    let now = clock::now();
    let load = Arc::new(EndpointLoad::new(now));
    time("EndpointLoad begin, record, drop", |i| {
        let mut request = EndpointLoad::begin(Arc::clone(&load), now);
        request.record(Outcome::Success, now + Duration::from_micros(i.into()));
    });
    let histogram = LatencyHistogram::new();
    time("LatencyHistogram::record", |i| histogram.record(u64::from(i) * 997));
    time("LatencyHistogram::quantile", |_| {
        black_box(histogram.quantile(0.95));
    });
}

fn gates() {
    let gate = Arc::new(Gate::new(4_096, 1_024));
    time("Gate::try_acquire and release", |_| {
        black_box(gate.try_acquire());
    });
    let mut context = Context::from_waker(Waker::noop());
    time("Gate::acquire and release", |_| {
        let acquire = gate.acquire();
        let _ = black_box(std::pin::pin!(acquire).poll(&mut context));
    });
}

fn budgets() {
    let now = clock::now();
    let window = Duration::from_secs(10);
    let budget = Budget::new(RetryBudget { percent: 0.2, min_per_sec: 3, window });
    time("Budget::deposit", |i| budget.deposit(now + Duration::from_micros(i.into())));
    time("Budget::withdraw", |_| {
        black_box(budget.withdraw(now));
    });
}

fn counters() {
    let registry = Registry::new("bench", &["no_route"], Duration::ZERO);
    let route = registry.route("api", "users");
    time("RouteCounters::record", |i| {
        route.record(black_box(&Exchange {
            status: 200,
            error: None,
            request_bytes: 10,
            response_bytes: 1_024,
            duration_nanos: u64::from(i) * 9_973,
        }));
    });
}

fn access_log() {
    let dropped = Arc::new(AtomicU64::new(0));
    let Ok(writer) = LogWriter::spawn(io::sink(), 64, Arc::clone(&dropped)) else { return };
    for format in [Format::Json, Format::Common] {
        let mut buffer = writer.buffer(format);
        time(&format!("access log line, {format:?}"), |i| {
            buffer.log(black_box(&AccessRecord {
                unix_millis: 1_700_000_000_000 + u64::from(i),
                id: b"0123456789abcdef0123456789abcdef",
                trace: None,
                script: None,
                client: "192.0.2.7",
                method: "GET",
                host: b"api.example.com",
                path: b"/v1/users/12345?fields=name,address",
                protocol: "HTTP/1.1",
                status: 200,
                flag: None,
                route: Some("api"),
                upstream: Some("users"),
                endpoint: Some("127.0.0.1:9001"),
                attempts: 1,
                bytes_in: 0,
                bytes_out: 1_024,
                duration_nanos: 1_234_567,
                upstream_nanos: Some(1_000_999),
                limit: None,
                limit_source: None,
                limit_dry_run: None,
                limit_delay_nanos: 0,
                trail: None,
                identity: None,
                auth: None,
                cache: None,
                idempotency: None,
                record: None,
                encoding: None,
            }));
        });
    }
    println!("lines dropped: {}", dropped.load(Relaxed));
}

fn timers() {
    let timers = Timers::new();
    let deadline = timers.deadline();
    let now = clock::now();
    time("Deadline set and clear", |i| {
        deadline.set(now + Duration::from_micros(15_000_000 + u64::from(i)));
        deadline.clear();
    });
    let mut context = Context::from_waker(Waker::noop());
    time("Deadline::poll_expired", |_| {
        black_box(deadline.poll_expired(&mut context).is_ready());
    });
    time("Deadline made, set, dropped", |_| {
        timers.deadline().set(now + Duration::from_secs(15));
    });
}
