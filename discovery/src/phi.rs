//! The phi accrual failure detector: how unlikely the present silence is, from the intervals
//! between the answers that came (Hayashibara et al., 2004).
//!
//! `phi = -log10 P(an interval is longer than the silence)` for normal intervals, finite and
//! strictly rising however far out: beyond three deviations the tail is a continued fraction, not
//! one minus what rounds to one. A threshold is turned into a deadline once per answer; nobody
//! polls.

/// Phi for a silence that is `z` deviations longer than the mean.
///
/// Finite, never NaN for a finite `z`, monotone, at least 0.
#[must_use]
pub fn phi(z: f64) -> f64 {
    let root = std::f64::consts::SQRT_2;
    let tail = if z < -5.0 {
        // So near to certain that the complement is what has digits.
        -f64::ln_1p(-0.5 * erfc(-z / root))
    } else if z < TAIL_Z {
        -(0.5 * erfc(z / root)).ln()
    } else {
        // Mills: Q(z) = exp(-z^2/2) / sqrt(2 pi) / (z + 1/(z + 2/(z + 3/...))).
        let fraction = (1..=60).rev().fold(z, |fraction, term| z + f64::from(term) / fraction);
        z.mul_add(z / 2.0, 0.5 * (2.0 * std::f64::consts::PI).ln() + fraction.ln())
    };
    (tail / std::f64::consts::LN_10).max(0.0)
}

/// From here on the continued fraction has more digits than the series.
const TAIL_Z: f64 = 3.0;

/// The complementary error function to about 1e-15 relative for `|x| <= 3.6`: a series by
/// `2/sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (2n+1)!!`, whose terms are all of one sign.
fn erfc(x: f64) -> f64 {
    if x > TAIL_Z / std::f64::consts::SQRT_2 + 1e-9 {
        let z = x * std::f64::consts::SQRT_2;
        let fraction = (1..=60).rev().fold(z, |fraction, term| z + f64::from(term) / fraction);
        return 2.0 * (-x * x).exp() / ((2.0 * std::f64::consts::PI).sqrt() * fraction);
    }
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    let mut term = x;
    let mut sum = x;
    for n in 1..=80 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    1.0 - 2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

/// How many deviations beyond the mean `threshold` is reached: the inverse of [`phi`], to 1e-9.
#[must_use]
pub fn deviations(threshold: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 2.0 * (threshold.max(0.0) * 2.0 * 2.31).sqrt() + 10.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if phi(middle) < threshold {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// What part of its weight an endpoint keeps at `phi`: all of it up to 1, `floor` from 8 on, linear
/// between.
#[must_use]
pub fn weight(phi: f64, floor: f64) -> f64 {
    ((8.0 - phi) / 7.0).clamp(floor.clamp(0.0, 1.0), 1.0)
}

/// How many intervals are remembered.
pub const WINDOW: usize = 200;

/// The intervals between the answers of one member, and when the last came.
#[derive(Debug, Clone)]
pub struct Arrivals {
    intervals_us: Vec<u32>,
    oldest: usize,
    sum_us: u64,
    squares: u128,
    last_us: u64,
    expected_us: u64,
    /// Whether the interval that is running spans a stall of our own: it is not remembered.
    tainted: bool,
}

impl Arrivals {
    /// Nothing heard yet: silence counts from `now_us`; answers are expected every `expected_us`.
    #[must_use]
    pub const fn new(expected_us: u64, now_us: u64) -> Self {
        Self {
            intervals_us: Vec::new(),
            oldest: 0,
            sum_us: 0,
            squares: 0,
            last_us: now_us,
            expected_us,
            tainted: true,
        }
    }

    /// An answer came. Intervals above ten times the expected are an outage, not a sample.
    pub fn heard(&mut self, now_us: u64) {
        let interval = now_us.saturating_sub(self.last_us);
        if !self.tainted && interval <= self.expected_us.saturating_mul(10) {
            self.remember(u32::try_from(interval).unwrap_or(u32::MAX));
        }
        self.tainted = false;
        self.last_us = self.last_us.max(now_us);
    }

    fn remember(&mut self, interval: u32) {
        if self.intervals_us.len() < WINDOW {
            self.intervals_us.push(interval);
        } else {
            let old = std::mem::replace(&mut self.intervals_us[self.oldest], interval);
            self.oldest = (self.oldest + 1) % WINDOW;
            self.sum_us -= u64::from(old);
            self.squares -= u128::from(old) * u128::from(old);
        }
        self.sum_us += u64::from(interval);
        self.squares += u128::from(interval) * u128::from(interval);
    }

    /// We ourselves stood still for so long: that is no silence of the other's.
    pub const fn excuse(&mut self, stall_us: u64) {
        self.last_us = self.last_us.saturating_add(stall_us);
        self.tainted = true;
    }

    /// When the last answer came.
    #[must_use]
    pub const fn last_us(&self) -> u64 {
        self.last_us
    }

    /// Mean and deviation, in microseconds. Five imagined intervals of the expected length, a
    /// quarter of it apart, stand beside the samples so that the first few do not decide alone.
    #[must_use]
    pub fn spread_us(&self) -> (f64, f64) {
        let prior = 5.0_f64;
        let expected = self.expected_us as f64;
        let count = self.intervals_us.len() as f64 + prior;
        let sum = prior.mul_add(expected, self.sum_us as f64);
        let squares = (prior * expected * expected).mul_add(1.0 + 1.0 / 16.0, self.squares as f64);
        let mean = sum / count;
        let variance = (squares / count - mean * mean).max(0.0);
        (mean, variance.sqrt().max(0.1 * expected).max(0.1 * mean))
    }

    /// Phi of the silence until `now_us`, which counts only beyond `pause_us` more than the mean.
    #[must_use]
    pub fn phi(&self, pause_us: u64, now_us: u64) -> f64 {
        let (mean, deviation) = self.spread_us();
        let silence = now_us.saturating_sub(self.last_us) as f64;
        phi((silence - mean - pause_us as f64) / deviation)
    }

    /// When the silence will have lasted `z` deviations beyond the mean and `pause_us`.
    #[must_use]
    pub fn deadline_us(&self, z: f64, pause_us: u64) -> u64 {
        let (mean, deviation) = self.spread_us();
        let silence = z.mul_add(deviation, mean).max(0.0) as u64;
        self.last_us.saturating_add(silence).saturating_add(pause_us)
    }
}

#[cfg(test)]
mod tests;
