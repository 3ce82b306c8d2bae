//! When a node comes to a slot: an exponential variable, by its rank among what is to be expected.

use std::f64::consts::{LN_2, SQRT_2};

use super::{SLOT_BITS, SLOTS, scatter};

/// A time, in units that only matter in comparison. The same on every machine: nothing but sums,
/// products and quotients goes into it, which IEEE 754 rounds alike everywhere.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Time(f64);

/// Half a step of the ranks: a rank stands for the middle of its share of the distribution.
const HALVES: f64 = (2 * SLOTS) as f64;

impl Time {
    pub(crate) const ZERO: Self = Self(0.0);

    /// The time of that rank, of a node of this weight.
    pub(crate) fn of(rank: u32, weight: u32) -> Self {
        Self(quantile(f64::from(2 * rank + 1) / HALVES) * HALVES / f64::from(weight))
    }

    /// Whether one is sooner than another by so much that no logarithm is needed to tell: a time is
    /// at least `x / weight`, and at most `1 / (1 - x)` times that.
    pub(crate) fn surely_before(one: (u32, u32), other: (u32, u32)) -> bool {
        let [x, y] = [one.0, other.0].map(|rank| f64::from(2 * rank + 1) / HALVES);
        // Room for rounding, of these as of the logarithms.
        x * f64::from(other.1) * (1.0 + 1e-9) < y * f64::from(one.1) * (1.0 - x)
    }

    /// Later, by what a node of weight 1 would take for so many of its slots, were they alike.
    pub(crate) fn after(self, slots: f64) -> Self {
        Self(self.0 + 2.0 * slots)
    }

    /// A lower bound of the time, without a logarithm. Among nodes of one weight it says as well as
    /// the time who is first.
    pub(crate) fn least(rank: u32, slowness: f32) -> Self {
        Self(f64::from((2 * rank + 1) as f32 * slowness))
    }

    /// An upper bound for what [`Self::least`] gives of anything as soon; itself, of a least time.
    pub(crate) fn bound(self) -> f32 {
        // More than what the roundings of the one and the other can make of it.
        self.0 as f32 * (1.0 + 4.0 * f32::EPSILON)
    }
}

/// Nodes asked in one go: what four registers hold.
pub(crate) const BATCH: usize = 16;

/// The least that [`Time::least`] gives of a batch. Without a branch, and four apart from each
/// other, so that the compiler takes four in one instruction.
#[inline(always)]
pub(crate) fn soonest(
    slot: u32,
    keys: &[u32; BATCH],
    factors: &[u32; BATCH],
    slowness: &[f32; BATCH],
) -> f32 {
    let mut least = [f32::INFINITY; 4];
    for four in (0..BATCH).step_by(4) {
        for (lane, least) in least.iter_mut().enumerate() {
            let index = four + lane;
            let ranked = scatter((slot ^ keys[index]).wrapping_mul(factors[index]));
            // Twice the rank and one.
            let odd = (ranked >> (31 - SLOT_BITS)) | 1;
            let one = odd.cast_signed() as f32 * slowness[index];
            *least = if one < *least { one } else { *least };
        }
    }
    least.into_iter().fold(f32::INFINITY, f32::min)
}

/// `-ln(1 - x)` for x in (0, 1).
fn quantile(x: f64) -> f64 {
    if x < 1.0 / 64.0 {
        let terms = 1.0 / 5.0 + x * (1.0 / 6.0 + x * (1.0 / 7.0 + x / 8.0));
        let terms = 1.0 / 2.0 + x * (1.0 / 3.0 + x * (1.0 / 4.0 + x * terms));
        return x + x * x * terms;
    }
    // 1 - x = m * 2^-e with m around 1, and ln m = 2 artanh((m - 1) / (m + 1)).
    let y = 1.0 - x;
    let mut exponent = 1023 - (y.to_bits() >> 52) as u32;
    let mut mantissa = f64::from_bits(y.to_bits() & !(0x7ff << 52) | (1023 << 52));
    if mantissa > SQRT_2 {
        (mantissa, exponent) = (mantissa / 2.0, exponent - 1);
    }
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let series = ARTANH.iter().rev().fold(0.0, |sum, term| sum * square + term);
    f64::from(exponent) * LN_2 - 2.0 * z * series
}

/// What the odd powers of the series are multiplied by. As |z| is at most 0.172, the next term is
/// below 1e-18.
const ARTANH: [f64; 11] = [
    1.0,
    1.0 / 3.0,
    1.0 / 5.0,
    1.0 / 7.0,
    1.0 / 9.0,
    1.0 / 11.0,
    1.0 / 13.0,
    1.0 / 15.0,
    1.0 / 17.0,
    1.0 / 19.0,
    1.0 / 21.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_logarithms() {
        for i in 1..100_000 {
            let x = f64::from(i) / 100_000.0;
            let expected = -(-x).ln_1p();
            assert!((quantile(x) - expected).abs() <= 1e-13 * expected, "{x}");
        }
        let last = 1.0 - 1.0 / HALVES;
        assert!((quantile(last) - HALVES.ln()).abs() < 1e-12);
    }

    #[test]
    fn bounds_hold() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..100_000 {
            let (rank, weight) = (rng.u32(..SLOTS), rng.u32(1..100));
            let time = Time::of(rank, weight);
            let slowness = 1.0 / weight as f32;
            assert!(Time::least(rank, slowness).0 as f32 <= time.bound());
        }
    }

    #[test]
    fn ranks_are_in_order() {
        let times: Vec<Time> = (0..SLOTS).map(|rank| Time::of(rank, 7)).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
