//! Power of two choices on latency: estimate times requests in flight (Finagle's Peak EWMA).

use fastrand::Rng;

use super::{Candidate, p2c::pair, weights::Weights};
use crate::clock::Tick;

/// How much cheaper the second must be to take the request: what is nearly equal is shared by the
/// draw, hence by weight, and noise in the estimates does not send every worker the same way.
const CLEARLY: f64 = 0.8;

#[derive(Debug)]
pub(super) struct PeakEwma {
    weights: Weights,
    /// Mean weight over weight: turns requests in flight into those of an average endpoint.
    dilution: Box<[f64]>,
}

impl PeakEwma {
    pub(super) fn new(weights: &[u32]) -> Self {
        let weights = Weights::new(weights);
        let sum: f64 = (0..weights.len()).map(|index| f64::from(weights.of(index))).sum();
        let mean = sum / weights.len().max(1) as f64;
        let dilution = (0..weights.len()).map(|index| mean / f64::from(weights.of(index)));
        Self { dilution: dilution.collect(), weights }
    }

    pub(super) fn pick<C: Candidate>(
        &self,
        endpoints: &[C],
        excluded: impl Fn(usize) -> bool,
        now: Tick,
        rng: &mut Rng,
    ) -> Option<usize> {
        let (first, second) = pair(&self.weights, excluded, rng)?;
        let Some(second) = second else { return Some(first) };
        let cost = |index: usize| {
            let load = endpoints[index].load();
            load.ewma_nanos(now) * (f64::from(load.in_flight()) * self.dilution[index] + 1.0)
        };
        Some(if cost(second) < cost(first) * CLEARLY { second } else { first })
    }
}
