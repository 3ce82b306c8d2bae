//! At random by weight.

use fastrand::Rng;

use super::weights::Weights;

#[derive(Debug)]
pub(super) struct Random {
    weights: Weights,
}

impl Random {
    pub(super) fn new(weights: &[u32]) -> Self {
        Self { weights: Weights::new(weights) }
    }

    pub(super) fn pick(&self, excluded: impl Fn(usize) -> bool, rng: &mut Rng) -> Option<usize> {
        self.weights.draw_without(excluded, rng)
    }
}
