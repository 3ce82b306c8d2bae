//! Drawing an index by weight in constant time: Vose's alias method, built at config time.

use fastrand::Rng;

/// Draws before the excluded ones are sorted out by a scan.
const DRAWS: usize = 4;

/// Weights of a fixed set, ready to be drawn from.
#[derive(Debug)]
pub(super) struct Weights {
    weights: Box<[u32]>,
    /// Empty when all weights are equal: then every index is as good.
    table: Box<[Column]>,
}

/// A column of the alias table: `own` of 2^32 draws stay, the others go to `alias`.
#[derive(Debug, Clone, Copy)]
struct Column {
    own: u32,
    alias: u32,
}

impl Weights {
    pub(super) fn new(weights: &[u32]) -> Self {
        // A weight of nothing would never be drawn and divide by zero elsewhere.
        let weights: Box<[u32]> = weights.iter().map(|&weight| weight.max(1)).collect();
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let table = if equal { Box::default() } else { alias_table(&weights) };
        Self { weights, table }
    }

    pub(super) fn len(&self) -> usize {
        self.weights.len()
    }

    pub(super) fn of(&self, index: usize) -> u32 {
        self.weights[index]
    }

    pub(super) fn are_equal(&self) -> bool {
        self.table.is_empty()
    }

    /// Any index, by weight. The set must not be empty.
    pub(super) fn draw(&self, rng: &mut Rng) -> usize {
        let bits = rng.u64(..);
        // The high half scaled to the length chooses the column, the low half decides in it.
        let column = (((bits >> 32) * self.weights.len() as u64) >> 32) as usize;
        match self.table.get(column) {
            Some(entry) if bits as u32 > entry.own => entry.alias as usize,
            _ => column,
        }
    }

    /// An index by weight among those not excluded.
    pub(super) fn draw_without(
        &self,
        excluded: impl Fn(usize) -> bool,
        rng: &mut Rng,
    ) -> Option<usize> {
        if self.weights.is_empty() {
            return None;
        }
        for _ in 0..DRAWS {
            let index = self.draw(rng);
            if !excluded(index) {
                return Some(index);
            }
        }
        self.scan(excluded, rng)
    }

    /// The same by a walk over all; rejection and scan have the same distribution.
    #[cold]
    fn scan(&self, excluded: impl Fn(usize) -> bool, rng: &mut Rng) -> Option<usize> {
        let eligible = || (0..self.len()).filter(|&index| !excluded(index));
        let total: u64 = eligible().map(|index| u64::from(self.of(index))).sum();
        if total == 0 {
            return None;
        }
        let mut left = rng.u64(..total);
        eligible().find(|&index| {
            let weight = u64::from(self.of(index));
            let here = left < weight;
            left = left.saturating_sub(weight);
            here
        })
    }
}

fn alias_table(weights: &[u32]) -> Box<[Column]> {
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let scale = weights.len() as f64 / total;
    let mut shares: Vec<f64> = weights.iter().map(|&weight| f64::from(weight) * scale).collect();
    let mut table: Vec<Column> =
        (0..weights.len()).map(|index| Column { own: u32::MAX, alias: index as u32 }).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..weights.len()).partition(|&index| shares[index] < 1.0);
    while let (Some(&poor), Some(&rich)) = (small.last(), large.last()) {
        small.pop();
        // `as` saturates, so a share of one keeps every draw.
        table[poor] =
            Column { own: (shares[poor] * (1_u64 << 32) as f64) as u32, alias: rich as u32 };
        shares[rich] -= 1.0 - shares[poor];
        if shares[rich] < 1.0 {
            large.pop();
            small.push(rich);
        }
    }
    table.into()
}
