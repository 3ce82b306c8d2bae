//! What happened when, in constant memory.

use std::time::Duration;

use crate::metrics::{Delta, Sink, builtin};

/// A stretch of the test.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Requests that ended in it.
    pub requests: f64,
    /// Of those, with an unexpected response.
    pub failed: u64,
    /// Iterations that were never begun.
    pub dropped: f64,
    /// The most VUs that were busy.
    pub vus: u32,
    /// Requests by latency: [`Timeline::bucket`].
    pub heat: [u64; Self::BUCKETS],
}

impl Slot {
    /// Kinds of latency that are told apart.
    pub const BUCKETS: usize = 56;

    fn new() -> Self {
        Self { requests: 0.0, failed: 0, dropped: 0.0, vus: 0, heat: [0; Self::BUCKETS] }
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.dropped += other.dropped;
        self.vus = self.vus.max(other.vus);
        self.heat.iter_mut().zip(other.heat).for_each(|(to, from)| *to += from);
    }
}

/// The whole test in at most [`Self::MOST`] stretches of equal length; when they are used up, two
/// become one.
#[derive(Clone, Debug)]
pub struct Timeline {
    slots: Vec<Slot>,
    length: Duration,
}

impl Timeline {
    /// Stretches at most.
    pub const MOST: usize = 240;

    /// Buckets per tenfold latency.
    const PER_DECADE: f64 = 8.0;

    /// The latency at which they begin, in milliseconds.
    const LEAST_MS: f64 = 0.01;

    /// Nothing yet; stretches of 200 ms, a multiple of how often the workers are asked.
    pub fn new() -> Self {
        Self { slots: Vec::new(), length: Duration::from_millis(200) }
    }

    /// Adds what was counted until `elapsed`, and how many VUs were busy.
    pub fn add(&mut self, elapsed: Duration, delta: &Delta, vus: u32) {
        let at = |length: Duration| (elapsed.as_nanos() / length.as_nanos()) as usize;
        while at(self.length) >= Self::MOST {
            self.halve();
        }
        let at = at(self.length);
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, Slot::new);
        }
        let slot = &mut self.slots[at];
        slot.vus = slot.vus.max(vus);
        let sink = |id| delta.sinks.iter().find(|(of, _)| *of == id).map(|(_, sink)| sink);
        if let Some(Sink::Counter(requests)) = sink(builtin::HTTP_REQS) {
            slot.requests += requests.sum;
        }
        if let Some(Sink::Rate(failed)) = sink(builtin::HTTP_REQ_FAILED) {
            slot.failed += failed.passes;
        }
        if let Some(Sink::Counter(dropped)) = sink(builtin::DROPPED_ITERATIONS) {
            slot.dropped += dropped.sum;
        }
        // Where there is a schedule, latency is what it says.
        let latency = sink(builtin::HTTP_REQ_LATENCY);
        let latency = if latency.is_some() { latency } else { sink(builtin::HTTP_REQ_DURATION) };
        if let Some(Sink::Trend(latency)) = latency {
            for (ms, count) in latency.buckets() {
                slot.heat[Self::bucket(ms)] += count;
            }
        }
    }

    /// The stretches, from the begin of the test.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How long each is.
    pub fn slot_length(&self) -> Duration {
        self.length
    }

    /// The bucket of a latency in milliseconds.
    pub fn bucket(ms: f64) -> usize {
        let bucket = (ms / Self::LEAST_MS).log10() * Self::PER_DECADE;
        // The cast makes 0 of what is below, and of 0 ms.
        (bucket as usize).min(Slot::BUCKETS - 1)
    }

    /// The least latency of a bucket, in milliseconds.
    pub fn bucket_begin(bucket: usize) -> f64 {
        Self::LEAST_MS * 10f64.powf(bucket as f64 / Self::PER_DECADE)
    }

    fn halve(&mut self) {
        self.length *= 2;
        let pair = |pair: &[Slot]| {
            let mut slot = pair[0].clone();
            pair[1..].iter().for_each(|other| slot.merge(other));
            slot
        };
        self.slots = self.slots.chunks(2).map(pair).collect();
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}
