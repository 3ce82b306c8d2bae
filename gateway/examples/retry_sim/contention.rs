//! Clients that contend for one row with optimistic concurrency: each reads its version, writes
//! with it, and starts again if another was faster. The workload of Marc Brooker's "Exponential
//! Backoff And Jitter" (2015) and of the simulator that goes with it.

use std::time::Duration;

use fastrand::Rng;
use weir_config::model::Backoff;
use weir_gateway::{clock::Tick, upstream::retry::backoff::full_jitter};

use crate::agenda::Agenda;

/// One way over the network: mean and standard deviation, in milliseconds.
const NETWORK: (f64, f64) = (10.0, 2.0);
const BACKOFF: Backoff =
    Backoff { base: Duration::from_millis(5), max: Duration::from_millis(2_000) };
/// Runs that figures are the mean of.
const RUNS: u32 = 100;

/// How long a client waits that was not the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    None,
    /// As long as it is allowed to.
    Exponential,
    /// Half of that, and a random part of the other half.
    Equal,
    /// A random part of it: what the gateway does.
    Full,
    /// A random time up to three times the last one.
    Decorrelated,
}

impl Wait {
    pub(crate) const ALL: [Self; 5] =
        [Self::None, Self::Exponential, Self::Equal, Self::Full, Self::Decorrelated];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Exponential => "exponential",
            Self::Equal => "exponential, equal jitter",
            Self::Full => "exponential, full jitter (Weir)",
            Self::Decorrelated => "decorrelated jitter",
        }
    }

    fn length(self, failures: u32, last: Duration, rng: &mut Rng) -> Duration {
        let longest = BACKOFF.base.saturating_mul(1 << failures.min(20)).min(BACKOFF.max);
        match self {
            Self::None => Duration::ZERO,
            Self::Exponential => longest,
            Self::Equal => longest.mul_f64(0.5 + 0.5 * rng.f64()),
            Self::Full => full_jitter(BACKOFF, failures, rng),
            Self::Decorrelated => {
                let more = (last * 3).saturating_sub(BACKOFF.base);
                (BACKOFF.base + more.mul_f64(rng.f64())).min(BACKOFF.max)
            }
        }
    }
}

/// Until every client has written, as a mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Contention {
    pub(crate) calls: f64,
    pub(crate) seconds: f64,
}

/// The mean of many runs.
pub(crate) fn mean(clients: usize, wait: Wait, seed: u64) -> Contention {
    let mut rng = Rng::with_seed(seed);
    let runs = (0..RUNS).map(|_| contend(clients, wait, &mut rng));
    let (calls, took) = runs.fold((0, Duration::ZERO), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    Contention {
        calls: f64::from(calls) / f64::from(RUNS),
        seconds: took.as_secs_f64() / f64::from(RUNS),
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Read { client: usize },
    Write { client: usize, version: u32 },
}

/// Writes that were tried, and when the last client was done.
fn contend(clients: usize, wait: Wait, rng: &mut Rng) -> (u32, Duration) {
    let mut agenda = Agenda::new();
    for client in 0..clients {
        agenda.plan(Tick::ZERO + delay(rng), Event::Read { client });
    }
    let (mut version, mut calls, mut end) = (0, 0, Tick::ZERO);
    let mut waits = vec![(0, BACKOFF.base); clients];
    while let Some((now, event)) = agenda.next() {
        match event {
            Event::Read { client } => {
                let written = now + delay(rng) + delay(rng);
                agenda.plan(written, Event::Write { client, version });
            }
            Event::Write { client, version: read } => {
                calls += 1;
                let answered = now + delay(rng);
                if read == version {
                    version += 1;
                    end = end.max(answered);
                    continue;
                }
                let (failures, last) = &mut waits[client];
                // Counted first, as there: the first wait is one of up to twice the base.
                *failures += 1;
                *last = wait.length(*failures, *last, rng);
                agenda.plan(answered + *last + delay(rng), Event::Read { client });
            }
        }
    }
    (calls, end.since(Tick::ZERO))
}

fn delay(rng: &mut Rng) -> Duration {
    let (mean, deviation) = NETWORK;
    // Box and Muller's transform.
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * rng.f64()).cos();
    Duration::from_secs_f64((mean + deviation * normal).abs() / 1_000.0)
}
