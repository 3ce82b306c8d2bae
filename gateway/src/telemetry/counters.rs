//! Counters of one worker: plain loads and stores, no read-modify-write, no sharing.
//!
//! A block (of a route, a listener, an endpoint) belongs to one worker thread, which alone writes
//! it; the scrape reads it from another thread at any time. Two writers would lose counts, nothing
//! worse. Blocks keep to cache lines of their own, so that workers do not slow one another down.

use std::{
    ops::{AddAssign, Range},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{
    cache::{Outcome, Refresh},
    idempotency,
    policy::{Faulted, Mirrored, web::Seen},
    script,
    upstream::{
        retry::policy::Stop,
        trail::{Said, Trail, Turn},
    },
};

pub(super) mod web;

/// Upper bounds of the duration buckets in nanoseconds; one bucket more holds what is longer.
pub const DURATION_BOUNDS_NANOS: [u64; 16] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
    60_000_000_000,
];
const BUCKETS: usize = DURATION_BOUNDS_NANOS.len() + 1;

/// Places among the counts of attempts beyond the first: retries that went well and that did not,
/// hedges that won and that did not, fallbacks, and why there was no further attempt.
pub(super) const RETRIES: Range<usize> = 0..2;
pub(super) const HEDGES: Range<usize> = 2..4;
pub(super) const FALLBACKS: usize = 4;
pub(super) const STOPS: Range<usize> = 5..TRIES;
const TRIES: usize = 5 + Stop::NAMES.len();
const CACHED: usize = Outcome::NAMES.len();
const KEYED: usize = idempotency::Outcome::NAMES.len();
const SCRIPTED: usize = script::Outcome::NAMES.len();
/// How many ways there are for a refresh to end.
const REFRESHED: usize = Refresh::NAMES.len();

/// A number that one thread writes and all may read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes `n` away: for gauges. One worker's part may be below zero, the sum is not.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// The number.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How one request went, for its route's counters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exchange {
    /// Status of the response, 100 to 599; anything else counts for no class.
    pub status: u16,
    /// Index into the error names that the registry was built with, when the gateway answered
    /// itself or cut the exchange off.
    pub error: Option<usize>,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
    /// From the request's head to the response's end.
    pub duration_nanos: u64,
}

/// One worker's counters of one route towards one upstream.
#[derive(Debug)]
#[repr(align(128))]
pub struct RouteCounters {
    classes: [Count; 5],
    request_bytes: Count,
    response_bytes: Count,
    duration_sum: Count,
    durations: [Count; BUCKETS],
    errors: Box<[Count]>,
    tries: [Count; TRIES],
    cached: [Count; CACHED],
    keyed: [Count; KEYED],
    scripted: [Count; SCRIPTED],
    refreshed: [Count; REFRESHED],
    mirrored: [Count; Mirrored::NAMES.len()],
    faulted: [Count; Faulted::NAMES.len()],
    web: [Count; web::ALL],
}

impl RouteCounters {
    /// Zeroes, for as many errors as have names.
    pub(super) fn new(errors: usize) -> Self {
        Self {
            classes: [const { Count::new() }; 5],
            request_bytes: Count::new(),
            response_bytes: Count::new(),
            duration_sum: Count::new(),
            durations: [const { Count::new() }; BUCKETS],
            errors: (0..errors).map(|_| Count::new()).collect(),
            tries: [const { Count::new() }; TRIES],
            cached: [const { Count::new() }; CACHED],
            keyed: [const { Count::new() }; KEYED],
            scripted: [const { Count::new() }; SCRIPTED],
            refreshed: [const { Count::new() }; REFRESHED],
            mirrored: [const { Count::new() }; Mirrored::NAMES.len()],
            faulted: [const { Count::new() }; Faulted::NAMES.len()],
            web: [const { Count::new() }; web::ALL],
        }
    }

    /// Counts a request that is over.
    pub fn record(&self, exchange: &Exchange) {
        // Statuses below 100 wrap around and have no class either.
        let class = usize::from(exchange.status / 100).wrapping_sub(1);
        if let Some(class) = self.classes.get(class) {
            class.add(1);
        }
        if let Some(error) = exchange.error.and_then(|index| self.errors.get(index)) {
            error.add(1);
        }
        self.request_bytes.add(exchange.request_bytes);
        self.response_bytes.add(exchange.response_bytes);
        self.duration_sum.add(exchange.duration_nanos);
        let longer = |bound: &u64| *bound < exchange.duration_nanos;
        self.durations[DURATION_BOUNDS_NANOS.partition_point(longer)].add(1);
    }

    /// Counts what was tried for a request of which not all went well.
    #[cold]
    pub(crate) fn record_trail(&self, trail: &Trail) {
        for tried in &trail.tried {
            let place = match (tried.turn, tried.said) {
                (Turn::First, _) => continue,
                (Turn::Retry, Said::Answer(..500)) | (Turn::Hedge, Said::Answer(_)) => 0,
                (Turn::Retry | Turn::Hedge, _) => 1,
            };
            let kind = if tried.turn == Turn::Hedge { HEDGES } else { RETRIES };
            self.tries[kind.start + place].add(1);
        }
        self.tries[FALLBACKS].add(trail.fallback.into());
        if let Some(stop) = trail.stop {
            self.tries[STOPS.start + stop as usize].add(1);
        }
    }

    /// Counts what the cache did with a request.
    pub(crate) fn record_cache(&self, outcome: Outcome) {
        self.cached[outcome as usize].add(1);
    }

    /// Counts what became of a request's idempotency key.
    pub(crate) fn record_key(&self, outcome: idempotency::Outcome) {
        self.keyed[outcome as usize].add(1);
    }

    /// Counts what came of the hooks of a request.
    pub(crate) fn record_script(&self, outcome: script::Outcome) {
        self.scripted[outcome as usize].add(1);
    }

    /// Counts what came of asking for a fresh answer while a client had a stale one.
    pub(crate) fn record_refresh(&self, refresh: Refresh) {
        self.refreshed[refresh as usize].add(1);
    }

    /// Counts what came of the copy of a request.
    pub(crate) fn record_mirror(&self, mirrored: Mirrored) {
        self.mirrored[mirrored as usize].add(1);
    }

    /// Counts what went wrong on purpose.
    pub(crate) fn record_fault(&self, faulted: Faulted) {
        self.faulted[faulted as usize].add(1);
    }

    /// Counts what the policies of a route for browsers and codings did with a request.
    pub(crate) fn record_web(&self, seen: &Seen, sent: u64) {
        web::record(&self.web, seen, sent);
    }

    /// What was counted so far.
    pub(super) fn totals(&self) -> RouteTotals {
        RouteTotals {
            classes: self.classes.each_ref().map(Count::value),
            request_bytes: self.request_bytes.value(),
            response_bytes: self.response_bytes.value(),
            duration_sum: self.duration_sum.value(),
            durations: self.durations.each_ref().map(Count::value),
            errors: self.errors.iter().map(Count::value).collect(),
            tries: self.tries.each_ref().map(Count::value),
            cached: self.cached.each_ref().map(Count::value),
            keyed: self.keyed.each_ref().map(Count::value),
            scripted: self.scripted.each_ref().map(Count::value),
            refreshed: self.refreshed.each_ref().map(Count::value),
            mirrored: self.mirrored.each_ref().map(Count::value),
            faulted: self.faulted.each_ref().map(Count::value),
            web: self.web.each_ref().map(Count::value),
        }
    }
}

/// Sums over the workers' [`RouteCounters`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RouteTotals {
    pub(super) classes: [u64; 5],
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) duration_sum: u64,
    pub(super) durations: [u64; BUCKETS],
    pub(super) errors: Vec<u64>,
    pub(super) tries: [u64; TRIES],
    pub(super) cached: [u64; CACHED],
    pub(super) keyed: [u64; KEYED],
    pub(super) scripted: [u64; SCRIPTED],
    pub(super) refreshed: [u64; REFRESHED],
    pub(super) mirrored: [u64; Mirrored::NAMES.len()],
    pub(super) faulted: [u64; Faulted::NAMES.len()],
    pub(super) web: [u64; web::ALL],
}

impl AddAssign for RouteTotals {
    fn add_assign(&mut self, other: Self) {
        add_all(&mut self.classes, &other.classes);
        self.request_bytes = self.request_bytes.wrapping_add(other.request_bytes);
        self.response_bytes = self.response_bytes.wrapping_add(other.response_bytes);
        self.duration_sum = self.duration_sum.wrapping_add(other.duration_sum);
        add_all(&mut self.durations, &other.durations);
        self.errors.resize(self.errors.len().max(other.errors.len()), 0);
        add_all(&mut self.errors, &other.errors);
        add_all(&mut self.tries, &other.tries);
        add_all(&mut self.cached, &other.cached);
        add_all(&mut self.keyed, &other.keyed);
        add_all(&mut self.scripted, &other.scripted);
        add_all(&mut self.refreshed, &other.refreshed);
        add_all(&mut self.mirrored, &other.mirrored);
        add_all(&mut self.faulted, &other.faulted);
        add_all(&mut self.web, &other.web);
    }
}

/// One worker's counters of one listener.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ListenerCounters {
    /// Connections accepted.
    pub accepted: Count,
    /// Connections open: `add` upon accept, `sub` upon close.
    pub open: Count,
    /// Connections closed at once because of `limits.connections`.
    pub refused: Count,
    /// TLS handshakes that failed or timed out.
    pub handshake_failures: Count,
    /// QUIC clients that were asked to prove their address first.
    pub quic_retries: Count,
    /// QUIC datagrams handed to the worker whose connection they are for.
    pub quic_steered: Count,
    /// The same, dropped because that worker was behind.
    pub quic_steered_dropped: Count,
}

/// One worker's counters of the connections to one endpoint.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct EndpointCounters {
    /// Connections open: `add` when established, `sub` when closed.
    pub open: Count,
    /// Connections that wait for a request: `add` upon check-in, `sub` upon check-out or close.
    pub idle: Count,
    /// Connections established.
    pub connects: Count,
    /// Connections that failed or timed out.
    pub connect_failures: Count,
    /// Connections over HTTP/3 that Alt-Svc led to.
    pub h3_reached: Count,
    /// Attempts at it that failed or timed out.
    pub h3_missed: Count,
}

/// Sums of a block with so many counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sums<const N: usize>(pub(crate) [u64; N]);

impl<const N: usize> Default for Sums<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> AddAssign for Sums<N> {
    fn add_assign(&mut self, other: Self) {
        add_all(&mut self.0, &other.0);
    }
}

impl ListenerCounters {
    pub(super) fn totals(&self) -> Sums<7> {
        let counts = [
            &self.accepted,
            &self.open,
            &self.refused,
            &self.handshake_failures,
            &self.quic_retries,
            &self.quic_steered,
            &self.quic_steered_dropped,
        ];
        Sums(counts.map(Count::value))
    }
}

impl EndpointCounters {
    pub(super) fn totals(&self) -> Sums<6> {
        let counts = [
            &self.open,
            &self.idle,
            &self.connects,
            &self.connect_failures,
            &self.h3_reached,
            &self.h3_missed,
        ];
        Sums(counts.map(Count::value))
    }
}

fn add_all(sums: &mut [u64], more: &[u64]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.wrapping_add(*more);
    }
}

/// Totals that no worker has contributed to are zero.
pub(super) fn sum<T: AddAssign + Default>(parts: impl Iterator<Item = T>) -> T {
    parts.fold(T::default(), |mut sum, part| {
        sum += part;
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_counts_once() {
        let counters = RouteCounters::new(3);
        let exchange = Exchange {
            status: 204,
            error: None,
            request_bytes: 10,
            response_bytes: 20,
            duration_nanos: 1_000_000,
        };
        counters.record(&exchange);
        counters.record(&Exchange { status: 503, error: Some(2), ..exchange });
        counters.record(&Exchange { duration_nanos: u64::MAX / 2, error: Some(99), ..exchange });
        for status in [0, 99, 600, u16::MAX] {
            counters.record(&Exchange { status, ..Exchange::default() });
        }
        let totals = counters.totals();
        assert_eq!(totals.classes, [0, 2, 0, 0, 1]);
        assert_eq!(totals.errors, [0, 0, 1]);
        assert_eq!((totals.request_bytes, totals.response_bytes), (30, 60));
        assert_eq!((totals.durations[0], totals.durations[3], totals.durations[16]), (4, 2, 1));
        assert_eq!(totals.durations.iter().sum::<u64>(), 7);
    }

    #[test]
    fn gauges_may_be_split_between_workers() {
        let (accepting, closing) = (ListenerCounters::default(), ListenerCounters::default());
        accepting.open.add(3);
        closing.open.sub(2);
        assert_eq!(sum([accepting.totals(), closing.totals()].into_iter()).0[1], 1);
    }
}
