//! Power of two choices: of two endpoints drawn by weight, the less loaded (Mitzenmacher 2001).

use fastrand::Rng;

use super::{Candidate, is_relief, weights::Weights};
use crate::clock::Tick;

#[derive(Debug)]
pub(super) struct P2c {
    weights: Weights,
}

impl P2c {
    pub(super) fn new(weights: &[u32]) -> Self {
        Self { weights: Weights::new(weights) }
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
        let of = |index: usize| (endpoints[index].load().burden(now), self.weights.of(index));
        Some(if is_relief(of(first), of(second)) { second } else { first })
    }
}

/// Two distinct endpoints drawn by weight, or the only one there is.
pub(super) fn pair(
    weights: &Weights,
    excluded: impl Fn(usize) -> bool,
    rng: &mut Rng,
) -> Option<(usize, Option<usize>)> {
    let first = weights.draw_without(&excluded, rng)?;
    let second = match weights.len() {
        1 => None,
        2 => Some(1 - first).filter(|&other| !excluded(other)),
        _ => weights.draw_without(|index| index == first || excluded(index), rng),
    };
    Some((first, second))
}
