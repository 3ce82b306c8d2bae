//! In turn: a plain rotation for equal weights, nginx's smooth weighted round robin for others.

use fastrand::Rng;

use super::weights::Weights;

/// Steps that a weighted rotation is at most advanced by at its start.
const START: usize = 64;

#[derive(Debug)]
pub(super) struct RoundRobin {
    weights: Weights,
    /// Equal weights: whose turn it is.
    next: usize,
    /// Unequal weights: what each has saved up.
    credit: Box<[i64]>,
}

impl RoundRobin {
    /// A rotation that begins somewhere.
    pub(super) fn new(weights: &[u32], rng: &mut Rng) -> Self {
        let mut this = Self::from_start(weights);
        if this.weights.are_equal() {
            this.next = rng.usize(..weights.len().max(1));
        } else {
            for _ in 0..rng.usize(..START) {
                this.pick(|_| false);
            }
        }
        this
    }

    pub(super) fn from_start(weights: &[u32]) -> Self {
        let weights = Weights::new(weights);
        let credit = if weights.are_equal() { 0 } else { weights.len() };
        Self { next: 0, credit: vec![0; credit].into(), weights }
    }

    pub(super) fn pick(&mut self, excluded: impl Fn(usize) -> bool) -> Option<usize> {
        if self.weights.are_equal() { self.turn(excluded) } else { self.smooth(excluded) }
    }

    fn turn(&mut self, excluded: impl Fn(usize) -> bool) -> Option<usize> {
        let len = self.weights.len();
        let index = (self.next..len).chain(0..self.next).find(|&index| !excluded(index))?;
        self.next = if index + 1 == len { 0 } else { index + 1 };
        Some(index)
    }

    /// Everyone earns its weight, the richest is chosen and pays what all earned. An excluded
    /// endpoint neither earns nor pays, so it comes back without a claim to a burst.
    fn smooth(&mut self, excluded: impl Fn(usize) -> bool) -> Option<usize> {
        let mut total = 0;
        let mut richest: Option<usize> = None;
        for index in (0..self.credit.len()).filter(|&index| !excluded(index)) {
            let weight = i64::from(self.weights.of(index));
            total += weight;
            self.credit[index] += weight;
            if richest.is_none_or(|other| self.credit[index] > self.credit[other]) {
                richest = Some(index);
            }
        }
        let index = richest?;
        self.credit[index] -= total;
        Some(index)
    }
}
