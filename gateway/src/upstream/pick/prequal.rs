//! Hot or cold, then latency: Prequal's rule (Wydrowski et al., "Load is not what you should
//! balance: Introducing Prequal", NSDI 2024) over views of what all workers share.
//!
//! The paper's clients send probes to servers. Here every request of the gateway is known already,
//! so a probe is a reading of an endpoint's shared load. What it showed is kept in a small pool,
//! since the best of a dozen views a little old is better than the best of three fresh ones. An
//! endpoint with more requests in flight than most are seen to have is *hot*. The fastest of the
//! cold takes the request; when all are hot, the one with the fewest in flight.

use std::{cmp::Ordering, time::Duration};

use fastrand::Rng;
use smallvec::SmallVec;

use super::{Candidate, weights::Weights};
use crate::clock::Tick;

/// Endpoints looked at for each request (the paper's testbed).
const PROBES: usize = 3;
/// Views kept.
const POOL: usize = 16;
/// A view is forgotten after this time.
const VIEW_AGE: Duration = Duration::from_secs(1);
/// Share of the views of late that are no busier than what still is cold: 2^-0.25 in the paper.
const COLD: f64 = 0.84;
/// Views whose requests in flight make up the distribution of late, and after how many new ones it
/// is looked at again.
const RECENT: usize = 64;
const RENEW: usize = 32;
/// Net rate at which the pool turns over (the paper's delta).
const TURNOVER: f64 = 1.0;
/// How much faster another must be to take the request that the draw gave to the first: what is
/// nearly equal is shared by weight.
const CLEARLY: f32 = 0.8;

/// What was seen of an endpoint.
#[derive(Debug, Clone, Copy)]
struct View {
    index: u32,
    /// Requests in flight for an average weight, with those sent since.
    in_flight: f32,
    /// Expected latency at that, in nanoseconds.
    latency: f32,
    /// For how many requests it may still be chosen.
    uses: u32,
    seen: Tick,
}

#[derive(Debug)]
pub(super) struct Prequal {
    weights: Weights,
    /// Mean weight over weight: turns requests in flight into those of an average endpoint.
    dilution: Box<[f32]>,
    /// Oldest first, at most one for each endpoint.
    pool: SmallVec<[View; POOL]>,
    /// Mean number of requests a view is good for.
    reuse: f64,
    recent: Recent,
    /// Whether the oldest view goes next, or the worst.
    oldest_goes: bool,
}

impl Prequal {
    pub(super) fn new(weights: &[u32]) -> Self {
        let weights = Weights::new(weights);
        let sum: f64 = (0..weights.len()).map(|index| f64::from(weights.of(index))).sum();
        let mean = sum / weights.len().max(1) as f64;
        let dilution = (0..weights.len()).map(|index| (mean / f64::from(weights.of(index))) as f32);
        Self {
            dilution: dilution.collect(),
            pool: SmallVec::new(),
            reuse: reuse(weights.len()),
            recent: Recent::default(),
            oldest_goes: false,
            weights,
        }
    }

    pub(super) fn pick<C: Candidate>(
        &mut self,
        endpoints: &[C],
        excluded: impl Fn(usize) -> bool,
        now: Tick,
        rng: &mut Rng,
    ) -> Option<usize> {
        let stale = self.pool.iter().take_while(|view| now.since(view.seen) > VIEW_AGE).count();
        self.pool.drain(..stale);
        let mut drawn: SmallVec<[usize; PROBES]> = SmallVec::new();
        while drawn.len() < PROBES.min(self.weights.len()) {
            let taken = |index: usize| drawn.contains(&index) || excluded(index);
            let Some(index) = self.weights.draw_without(taken, rng) else { break };
            drawn.push(index);
            self.probe(index, &endpoints[index], now, rng);
        }
        if drawn.is_empty() {
            return None;
        }
        let first = self.pool.len() - drawn.len();
        let chosen = self.choose(first, excluded);
        let index = self.pool[chosen].index as usize;
        self.spend(chosen);
        self.shrink();
        Some(index)
    }

    /// Looks at an endpoint.
    fn probe<C: Candidate>(&mut self, index: usize, endpoint: &C, now: Tick, rng: &mut Rng) {
        let load = endpoint.load();
        let in_flight = load.burden(now) as f32 * self.dilution[index];
        let view = View {
            index: index as u32,
            in_flight,
            latency: load.expected_nanos(load.in_flight(), now),
            // A share of a request is given by chance.
            uses: (self.reuse + rng.f64()) as u32,
            seen: now,
        };
        self.recent.add(in_flight);
        let known = self.pool.iter().position(|known| known.index == view.index);
        if known.is_some() || self.pool.len() == POOL {
            self.pool.remove(known.unwrap_or(0));
        }
        self.pool.push(view);
    }

    /// The place in the pool of the best view, or of the `first` that was drawn, unless the best is
    /// clearly better.
    fn choose(&self, first: usize, excluded: impl Fn(usize) -> bool) -> usize {
        let limit = self.recent.limit;
        let eligible = (0..self.pool.len()).filter(|&at| !excluded(self.pool[at].index as usize));
        let best = eligible.min_by(|&one, &other| rank(&self.pool[one], &self.pool[other], limit));
        let Some(best) = best else { return first };
        let (drawn, better) = (&self.pool[first], &self.pool[best]);
        let hot = |view: &View| view.in_flight > limit;
        let faster = !hot(better) && better.latency < drawn.latency * CLEARLY;
        let index = better.index as usize;
        let relief = better.in_flight + self.dilution[index] <= drawn.in_flight;
        let instead = match (hot(drawn), hot(better)) {
            (true, false) => true,
            _ => faster || relief,
        };
        if instead { best } else { first }
    }

    /// Counts a request in.
    fn spend(&mut self, at: usize) {
        let view = &mut self.pool[at];
        view.in_flight += self.dilution[view.index as usize];
        view.uses -= 1;
        if view.uses == 0 {
            self.pool.remove(at);
        }
    }

    /// Lets go of a view, the oldest and the worst in turn: a pool of which only the good ones are
    /// used up would fill with bad ones.
    fn shrink(&mut self) {
        if self.pool.is_empty() {
            return;
        }
        self.oldest_goes = !self.oldest_goes;
        let limit = self.recent.limit;
        let worst = || {
            (0..self.pool.len())
                .max_by(|&one, &other| rank(&self.pool[one], &self.pool[other], limit))
        };
        let goes = if self.oldest_goes { Some(0) } else { worst() };
        self.pool.remove(goes.unwrap_or(0));
    }
}

/// Best first: the cold before the hot, the cold by latency, the hot by requests in flight.
fn rank(one: &View, other: &View, limit: f32) -> Ordering {
    let (hot, other_hot) = (one.in_flight > limit, other.in_flight > limit);
    let load = one.in_flight.total_cmp(&other.in_flight);
    match (hot, other_hot) {
        (false, false) => one.latency.total_cmp(&other.latency).then(load),
        (true, true) => load,
        _ => hot.cmp(&other_hot),
    }
}

/// How many requests a view may serve so that the pool neither runs dry nor lives on old views:
/// `(1 + delta) / ((1 - pool / endpoints) * probes - removed)`, at least 1. The formula is meant for
/// pools smaller than half the endpoints; for fewer endpoints it is taken at the half.
fn reuse(endpoints: usize) -> f64 {
    let pool = POOL.min(endpoints / 2) as f64;
    let fresh = (1.0 - pool / endpoints.max(1) as f64) * PROBES as f64;
    ((1.0 + TURNOVER) / (fresh - 1.0)).max(1.0)
}

/// Requests in flight of the endpoints seen of late.
#[derive(Debug)]
struct Recent {
    ring: [f32; RECENT],
    count: usize,
    /// What is above is hot.
    limit: f32,
}

impl Default for Recent {
    fn default() -> Self {
        Self { ring: [0.0; RECENT], count: 0, limit: 0.0 }
    }
}

impl Recent {
    fn add(&mut self, in_flight: f32) {
        self.ring[self.count % RECENT] = in_flight;
        self.count += 1;
        if self.count < RECENT || self.count.is_multiple_of(RENEW) {
            let mut sorted = self.ring;
            let filled = &mut sorted[..self.count.min(RECENT)];
            let rank = (filled.len() as f64 * COLD) as usize;
            self.limit = *filled.select_nth_unstable_by(rank, f32::total_cmp).1;
        }
    }
}
