//! The least loaded of all, by a scan.

use fastrand::Rng;

use super::{Candidate, is_relief, weights::Weights};
use crate::clock::Tick;

#[derive(Debug)]
pub(super) struct LeastRequest {
    weights: Weights,
}

impl LeastRequest {
    pub(super) fn new(weights: &[u32]) -> Self {
        Self { weights: Weights::new(weights) }
    }

    /// An endpoint drawn by weight, unless another is less loaded: then the least loaded, by a
    /// fair draw where there are several.
    pub(super) fn pick<C: Candidate>(
        &self,
        endpoints: &[C],
        excluded: impl Fn(usize) -> bool,
        now: Tick,
        rng: &mut Rng,
    ) -> Option<usize> {
        let first = self.weights.draw_without(&excluded, rng)?;
        let of = |index: usize| (endpoints[index].load().burden(now), self.weights.of(index));
        let mut best = (first, of(first));
        let mut equals = 1;
        for index in (0..self.weights.len()).filter(|&index| index != first && !excluded(index)) {
            let (load, weight) = of(index);
            let (best_load, best_weight) = best.1;
            // (load + 1) / weight, compared without dividing.
            let here = (u64::from(load) + 1) * u64::from(best_weight);
            let there = (u64::from(best_load) + 1) * u64::from(weight);
            if here < there {
                equals = 1;
                best = (index, (load, weight));
            } else if here == there {
                equals += 1;
                if rng.u32(..equals) == 0 {
                    best = (index, (load, weight));
                }
            }
        }
        Some(if is_relief(of(first), best.1) { best.0 } else { first })
    }
}
