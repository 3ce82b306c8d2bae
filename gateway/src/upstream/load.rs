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
#[cfg(test)]
mod tests;

pub use histogram::LatencyHistogram;

/// Time in which an estimate falls to 1/e of its height (Finagle's and linkerd's default).
pub const EWMA_DECAY: Duration = Duration::from_secs(10);
/// Latency that is assumed of an endpoint that never answered (Finagle's and linkerd's default).
pub const EWMA_DEFAULT: Duration = Duration::from_millis(30);
/// What a failure costs in the estimate at least, so that an endpoint that fails at once does not
/// look like the fastest of all (the value of linkerd's penalising estimator).
pub const EWMA_FAILURE: Duration = Duration::from_secs(5);

/// The share of an endpoint that takes all it would be picked for; see [`EndpointLoad::share`].
pub const WHOLE_SHARE: u32 = 1 << 16;

/// Least estimate: keeps in-flight counts significant for endpoints that idled long.
const EWMA_FLOOR_NANOS: f64 = 1_000.0;

/// Shared state of one endpoint.
///
/// Laid out in order: `Arc`'s counts and the fields that every request writes fill the first cache
/// line, which the in-flight count contends for anyway; the histogram follows on its own lines.
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
            latency: LatencyHistogram::new(),
        }
    }

    /// Counts a request in; dropping the guard counts it out.
    pub fn begin<L: AsRef<Self>>(load: L, now: Tick) -> InFlight<L> {
        let this = load.as_ref();
        this.in_flight.fetch_add(1, Relaxed);
        this.requests.fetch_add(1, Relaxed);
        InFlight { load, began: now, recorded: false }
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

    /// Estimated latency in nanoseconds: jumps to a peak, then decays towards what is measured, and
    /// towards zero while nothing is, so that a slow endpoint is tried again.
    pub fn ewma_nanos(&self, now: Tick) -> f64 {
        let height = f64::from_bits(self.ewma.load(Relaxed));
        let age = now.nanos().saturating_sub(self.ewma_at.load(Relaxed));
        (height * remaining(age)).max(EWMA_FLOOR_NANOS)
    }

    /// Latencies of late, without the failures' penalty.
    pub fn latency(&self) -> &LatencyHistogram {
        &self.latency
    }

    /// The failures in a row, this one included.
    fn record(&self, took: u64, outcome: Outcome, now: Tick) -> u32 {
        self.latency.record(took);
        let (cost, run) = match outcome {
            Outcome::Success => {
                // Nearly always there is none to end.
                if self.run.load(Relaxed) != 0 {
                    self.forgive();
                }
                (took, 0)
            }
            Outcome::Failure => {
                self.failures.fetch_add(1, Relaxed);
                let run = self.run.fetch_add(1, Relaxed).saturating_add(1);
                (took.max(EWMA_FAILURE.as_nanos() as u64), run)
            }
        };
        self.estimate(cost as f64, now);
        run
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
        self.load.as_ref().record(now.nanos_since(self.began), outcome, now)
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
