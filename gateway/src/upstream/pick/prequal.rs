//! Hot or cold, then latency: Prequal's rule (Wydrowski et al., "Load is not what you should
//! balance: Introducing Prequal", NSDI 2024) over views of what all workers share.
//!
//! The paper's clients send probes to servers. Here every request of the gateway is known already,
//! so a probe is a reading of an endpoint's shared load. What it showed is kept in a small pool,
//! since the best of a dozen views a little old is better than the best of three fresh ones. An
//! endpoint with more requests in flight than most are seen to have is *hot*. The fastest of the
//! cold takes the request; when all are hot, the one with the fewest in flight.

use fastrand::Rng;
use smallvec::SmallVec;

use super::{Candidate, weights::Weights};
use crate::clock::Tick;

#[cfg(test)]
mod tests;
mod views;

use views::{POOL, View, Views};

/// Endpoints looked at for each request (the paper's testbed).
const PROBES: usize = 3;
/// Share of the views of late that are no busier than what still is cold: 2^-0.25 in the paper.
const COLD: f64 = 0.84;
/// Views whose requests in flight make up the distribution of late. It is looked at again when all
/// of them are new.
const RECENT: usize = 64;
/// Net rate at which the pool turns over (the paper's delta).
const TURNOVER: f64 = 1.0;

#[derive(Debug)]
pub(super) struct Prequal {
    weights: Weights,
    /// Mean weight over weight: turns requests in flight into those of an average endpoint.
    dilution: Box<[f32]>,
    /// At most one for each endpoint.
    views: Views,
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
            views: Views::new(),
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
        self.views.expire(now);
        let mut drawn: SmallVec<[usize; PROBES]> = SmallVec::new();
        let mut first = None;
        while drawn.len() < PROBES.min(self.weights.len()) {
            let taken = |index: usize| drawn.contains(&index) || excluded(index);
            let Some(index) = self.weights.draw_without(taken, rng) else { break };
            drawn.push(index);
            let place = self.probe(index, &endpoints[index], now, rng);
            first.get_or_insert(place);
        }
        let chosen = self.choose(first?, excluded);
        let index = self.views.endpoint(chosen);
        self.views.spend(chosen, self.dilution[index]);
        self.oldest_goes = !self.oldest_goes;
        if self.oldest_goes {
            self.views.drop_oldest();
        } else {
            self.views.drop_worst(self.recent.limit);
        }
        Some(index)
    }

    /// Looks at an endpoint; the place of what was seen.
    fn probe<C: Candidate>(
        &mut self,
        index: usize,
        endpoint: &C,
        now: Tick,
        rng: &mut Rng,
    ) -> usize {
        let (burden, latency) = endpoint.load().prospect(now);
        let in_flight = burden as f32 * self.dilution[index];
        self.recent.add(in_flight);
        let view = View {
            endpoint: index as u32,
            in_flight,
            latency,
            // A share of a request is given by chance.
            uses: (self.reuse + rng.f64()) as u32,
        };
        self.views.put(view, now)
    }

    /// The place of the view to choose; `first` is that of the endpoint drawn first.
    fn choose(&mut self, first: usize, excluded: impl Fn(usize) -> bool) -> usize {
        loop {
            let best = self.views.choose(first, self.recent.limit, |index| self.dilution[index]);
            // Only second attempts exclude anything, and nothing drawn: there is an end.
            if !excluded(self.views.endpoint(best)) {
                return best;
            }
            self.views.forget(best);
        }
    }
}

/// How many requests a view may serve so that the pool neither runs dry nor lives on old views:
/// `(1 + delta) / ((1 - pool / endpoints) * probes - removed)`, at least 1. The paper means it for
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
        if self.count < RECENT || self.count.is_multiple_of(RECENT) {
            let mut sorted = self.ring;
            let filled = &mut sorted[..self.count.min(RECENT)];
            let rank = (filled.len() as f64 * COLD) as usize;
            self.limit = *filled.select_nth_unstable_by(rank, f32::total_cmp).1;
        }
    }
}
