//! What all workers know together about one endpoint: requests in flight, latency, failures.
//!
//! One [`EndpointLoad`] per endpoint, shared through an `Arc` and carried over reloads. Everything
//! is relaxed atomics; a lost race costs one sample, never an in-flight count.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::clock::Tick;

mod histogram;
mod levels;
mod stamped;
#[cfg(test)]
mod tests;
mod told;

use levels::Levels;
use stamped::Stamped;

pub use histogram::LatencyHistogram;
pub use told::Told;

/// Time in which an estimate falls to 1/e of its height (Finagle's and linkerd's default).
pub const EWMA_DECAY: Duration = Duration::from_secs(10);
/// Latency that is assumed of an endpoint that never answered (Finagle's and linkerd's default).
pub const EWMA_DEFAULT: Duration = Duration::from_millis(30);
/// What a failure costs in the estimate at least, so that an endpoint that fails at once does not
/// look like the fastest of all (the value of linkerd's penalising estimator).
pub const EWMA_FAILURE: Duration = Duration::from_secs(5);

/// The share of an endpoint that takes all it would be picked for; see [`EndpointLoad::share`].
pub const WHOLE_SHARE: u32 = 1 << 16;
/// How long a latency measured at some number of requests in flight is believed: ever less, so that
/// what was slow is tried again.
pub const LEVEL_MEMORY: Duration = Duration::from_secs(5);
/// How long it is believed what an endpoint said of its own load.
pub const TOLD_MEMORY: Duration = Duration::from_secs(1);
/// Time in which a share of failures is forgotten to 1/e.
pub const FAILING_DECAY: Duration = Duration::from_secs(10);

/// Share of the latest outcome in the share of failures.
const FAILING_SHARE: f32 = 0.25;
/// Greatest share of failures that is believed: makes a request 64 times as dear.
const FAILING_MOST: f32 = 0.875;
/// Least share of failures that is remembered.
const FAILING_LEAST: f32 = 1.0 / 256.0;

/// Least estimate: keeps in-flight counts significant for endpoints that idled long.
const EWMA_FLOOR_NANOS: f64 = 1_000.0;

/// Shared state of one endpoint.
///
/// Laid out in order: `Arc`'s counts and the fields that every request reads fill the first cache
/// line, which the in-flight count contends for anyway; levels and histogram follow on their own.
#[derive(Debug)]
#[repr(C)]
pub struct EndpointLoad {
    in_flight: AtomicU32,
    share: AtomicU32,
    requests: AtomicU64,
    failures: AtomicU64,
    /// Peak-sensitive average of the latency in nanoseconds, as the bits of an f64.
    ewma: AtomicU64,
    /// When `ewma` was true, in nanoseconds of [`Tick`].
    ewma_at: AtomicU64,
    /// Failures since the last success.
    run: AtomicU32,
    /// When the latest success was, and when the first failure after it, in nanoseconds of
    /// [`Tick`].
    succeeded: AtomicU64,
    run_began: AtomicU64,
    /// Share of failures among the latest outcomes.
    failing: Stamped,
    levels: Levels,
    /// Requests of others, and the latency in nanoseconds, by what the endpoint said.
    others: Stamped,
    told: Stamped,
    latency: LatencyHistogram,
}

impl EndpointLoad {
    /// An endpoint nobody has asked yet.
    pub fn new(now: Tick) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            share: AtomicU32::new(WHOLE_SHARE),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            ewma: AtomicU64::new((EWMA_DEFAULT.as_nanos() as f64).to_bits()),
            ewma_at: AtomicU64::new(now.nanos()),
            run: AtomicU32::new(0),
            succeeded: AtomicU64::new(0),
            run_began: AtomicU64::new(0),
            failing: Stamped::new(),
            levels: Levels::new(),
            others: Stamped::new(),
            told: Stamped::new(),
            latency: LatencyHistogram::new(),
        }
    }

    /// Counts a request in; dropping the guard counts it out.
    pub fn begin<L: AsRef<Self>>(load: L, now: Tick) -> InFlight<L> {
        let this = load.as_ref();
        let found = this.in_flight.fetch_add(1, Relaxed);
        this.requests.fetch_add(1, Relaxed);
        InFlight { load, began: now, found, recorded: false }
    }

    /// Requests under way, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Requests begun so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Requests that ended as [`Outcome::Failure`].
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// How much of what it would be picked for the endpoint is to take, up to [`WHOLE_SHARE`]: 0
    /// for one that is out of use, in between for one that is just back.
    pub fn share(&self) -> u32 {
        self.share.load(Relaxed)
    }

    /// Sets [`Self::share`].
    pub fn set_share(&self, share: u32) {
        self.share.store(share, Relaxed);
    }

    /// Whether the endpoint takes part in a pick that has thrown `dice`; the same for each question
    /// of one pick.
    pub fn takes_part(&self, index: usize, dice: u32) -> bool {
        let share = self.share();
        // A throw for each endpoint, made of the one (MurmurHash3's finalizer).
        let mut own = dice ^ (index as u32).wrapping_mul(0x9e37_79b9);
        own = (own ^ (own >> 16)).wrapping_mul(0x85eb_ca6b);
        own = (own ^ (own >> 13)).wrapping_mul(0xc2b2_ae35);
        share >= WHOLE_SHARE || (own ^ (own >> 16)) >> 16 < share
    }

    /// Forgets the failures in a row so far.
    pub fn forgive(&self) {
        self.run.store(0, Relaxed);
    }

    /// Whether there was a success at `then` or later.
    pub fn has_succeeded_since(&self, then: Tick) -> bool {
        let succeeded = self.succeeded.load(Relaxed);
        succeeded != 0 && succeeded >= then.nanos()
    }

    /// When the latest run of failures began.
    pub fn run_began(&self) -> Tick {
        Tick::from_nanos(self.run_began.load(Relaxed))
    }

    /// Estimated latency in nanoseconds: jumps to a peak, then decays towards what is measured, and
    /// towards zero while nothing is, so that a slow endpoint is tried again.
    pub fn ewma_nanos(&self, now: Tick) -> f64 {
        let height = f64::from_bits(self.ewma.load(Relaxed));
        let age = now.nanos().saturating_sub(self.ewma_at.load(Relaxed));
        (height * remaining(age)).max(EWMA_FLOOR_NANOS)
    }

    /// Requests under way as a balancer should see them: more by as much as an endpoint fails.
    ///
    /// An endpoint that fails at once never has much in flight; by the bare count it would look
    /// idle and get every request. While a share `f` of its outcomes are failures, each request
    /// counts `1 / (1 - f)^2` times, and so does the one that might be next.
    pub fn burden(&self, now: Tick) -> u32 {
        weigh(self.in_flight(), self.dearness(now))
    }

    /// The burden, and the latency to expect at it in nanoseconds: what answers took that found as
    /// many requests under way, less with its age, more by as much as the endpoint fails. Without
    /// any of late it is the estimate of [`Self::ewma_nanos`].
    ///
    /// Where the endpoint tells of its own load, requests that others have under way there count as
    /// well, and the latency is the one that it tells.
    ///
    /// 0 for an endpoint that has not answered yet: it is to be tried, and how many at a time will
    /// try it is for the caller to bound.
    pub fn prospect(&self, now: Tick) -> (u32, f32) {
        let in_flight = self.in_flight();
        if self.requests() <= u64::from(in_flight) {
            return (in_flight, 0.0);
        }
        let dearness = self.dearness(now);
        let fresh = |told: &Stamped| {
            let told = told.read(now).filter(|(_, age)| *age < TOLD_MEMORY.as_nanos() as u64);
            told.map(|(figure, _)| figure)
        };
        let measured = || self.levels.near(in_flight, LEVEL_MEMORY.as_nanos() as u64, now);
        let latency = match fresh(&self.told).or_else(measured) {
            Some(nanos) => nanos * dearness,
            None => self.ewma_nanos(now) as f32,
        };
        let others = fresh(&self.others).map_or(0, |others| others as u32);
        (weigh(in_flight.saturating_add(others), dearness), latency)
    }

    /// Takes in what the endpoint says of its load. To be called while the request that it answers
    /// still counts as under way.
    pub fn hear(&self, told: Told, now: Tick) {
        let others = told.in_flight.saturating_sub(self.in_flight());
        self.others.update(now, |_| others as f32);
        self.told.update(now, |_| told.latency.map_or(0.0, |latency| latency.as_nanos() as f32));
    }

    /// How many times a request counts, for failures: 1 to 64.
    fn dearness(&self, now: Tick) -> f32 {
        match self.failing.read(now) {
            Some((share, age)) => (1.0 - share * fading(age)).powi(-2),
            None => 1.0,
        }
    }

    /// Latencies of late, without the failures' penalty.
    pub fn latency(&self) -> &LatencyHistogram {
        &self.latency
    }

    /// The failures in a row, this one included.
    fn record(&self, took: u64, found: u32, outcome: Outcome, now: Tick) -> u32 {
        self.latency.record(took);
        let (cost, run) = match outcome {
            Outcome::Success => {
                self.levels.record(found, took, now);
                self.succeeded.store(now.nanos(), Relaxed);
                // Nearly always there is none to end.
                if self.run.load(Relaxed) != 0 {
                    self.forgive();
                }
                (took, 0)
            }
            Outcome::Failure => {
                self.failures.fetch_add(1, Relaxed);
                let run = self.run.fetch_add(1, Relaxed).saturating_add(1);
                if run == 1 {
                    self.run_began.store(now.nanos(), Relaxed);
                }
                (took.max(EWMA_FAILURE.as_nanos() as u64), run)
            }
        };
        self.judge(outcome, now);
        self.estimate(cost as f64, now);
        run
    }

    /// Takes an outcome into the share of failures.
    fn judge(&self, outcome: Outcome, now: Tick) {
        // Most endpoints do not fail: they do not pay for it.
        if outcome == Outcome::Success && self.failing.read(now).is_none() {
            return;
        }
        self.failing.update(now, |before| {
            let share = before.map_or(0.0, |(share, age)| share * fading(age));
            let failed = if outcome == Outcome::Failure { FAILING_SHARE } else { 0.0 };
            let next = share * (1.0 - FAILING_SHARE) + failed;
            if next < FAILING_LEAST { 0.0 } else { next.min(FAILING_MOST) }
        });
    }

    fn estimate(&self, sample: f64, now: Tick) {
        let age = now.nanos().saturating_sub(self.ewma_at.load(Relaxed));
        // A peak must not get lost to a concurrent smaller sample, hence the compare-and-swap. The
        // two words are not changed as one: a racing sample is weighed by an age a little off.
        let _ = self.ewma.fetch_update(Relaxed, Relaxed, |bits| {
            let height = f64::from_bits(bits);
            let next = if sample >= height {
                sample
            } else {
                let keep = remaining(age);
                height * keep + sample * (1.0 - keep)
            };
            Some(next.to_bits())
        });
        self.ewma_at.fetch_max(now.nanos(), Relaxed);
    }
}

/// Requests in flight when each counts `dearness` times, and the one that might be next.
fn weigh(in_flight: u32, dearness: f32) -> u32 {
    if dearness == 1.0 { in_flight } else { ((in_flight as f32 + 1.0) * dearness - 1.0) as u32 }
}

/// Share of a share of failures that is left after `age` nanoseconds.
fn fading(age: u64) -> f32 {
    (-(age as f32) / FAILING_DECAY.as_nanos() as f32).exp()
}

/// Share of an estimate that is left after `age` nanoseconds.
fn remaining(age: u64) -> f64 {
    let x = age as f64 / EWMA_DECAY.as_nanos() as f64;
    // Below a thousandth the first two terms are exact to 2e-10 and spare the exponential.
    if x < 1e-3 { 1.0 - x + x * x / 2.0 } else { (-x).exp() }
}

/// How a request at an endpoint ended, as far as balancing is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Success,
    /// It did not, or with a failure of its own.
    Failure,
}

/// A request under way at an endpoint; ends when dropped.
#[derive(Debug)]
pub struct InFlight<L: AsRef<EndpointLoad> = Arc<EndpointLoad>> {
    load: L,
    began: Tick,
    /// Requests under way when it arrived.
    found: u32,
    recorded: bool,
}

impl<L: AsRef<EndpointLoad>> InFlight<L> {
    /// Takes the latency sample: when the response's head is there, or its failure certain. Only
    /// the first call counts. A request that is dropped without it (the client went away) leaves no
    /// sample behind.
    ///
    /// Returns how many requests have failed in a row, this one included: 0 when it has not.
    pub fn record(&mut self, outcome: Outcome, now: Tick) -> u32 {
        if self.recorded {
            return 0;
        }
        self.recorded = true;
        let took = now.nanos_since(self.began);
        self.load.as_ref().record(took, self.found, outcome, now)
    }

    /// When the request began.
    pub fn began(&self) -> Tick {
        self.began
    }

    /// What was given to [`EndpointLoad::begin`].
    pub fn load(&self) -> &L {
        &self.load
    }
}

impl<L: AsRef<EndpointLoad>> Drop for InFlight<L> {
    fn drop(&mut self) {
        self.load.as_ref().in_flight.fetch_sub(1, Relaxed);
    }
}
