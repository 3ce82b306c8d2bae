//! The distribution of a trend's values in constant memory.

use base64::{Engine, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer, V2DeflateSerializer},
};

/// Significant digits of a percentile.
const DIGITS: u8 = 3;

/// Up to so many values a trend keeps as they are, so that short runs are as exact as in k6.
const EXACT_MOST: usize = 1000;

/// Values as a distribution, exact while they are few and then to three digits; count, sum, least
/// and greatest always exact. Values below 0 then count as 0 in the distribution. Holds at most
/// half a megabyte, however many there are.
#[derive(Clone, Debug)]
pub struct Trend {
    steps: Histogram<u64>,
    /// The values themselves, as long as they are few.
    exact: Vec<f64>,
    sum: f64,
    min: f64,
    max: f64,
}

impl Trend {
    /// What a step of the histogram is worth. Trends of times are in milliseconds, so a step is 10
    /// ns: three digits from 10 us on, and finer than any clock below.
    pub const STEPS_PER_UNIT: f64 = 1e5;

    /// Without values.
    #[expect(clippy::expect_used, reason = "1 and 2 are valid bounds, 3 a valid count of digits")]
    pub fn new() -> Self {
        let mut steps = Histogram::new_with_bounds(1, 2, DIGITS).expect("constant bounds");
        steps.auto(true);
        Self { steps, exact: Vec::new(), sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }

    /// Adds a value; one that is no number is left out.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let exact = self.is_exact() && self.exact.len() < EXACT_MOST;
        // The cast saturates at both ends. A histogram that resizes refuses nothing: not to be
        // confused with `saturating_record`, which does not resize.
        if self.steps.record((value * Self::STEPS_PER_UNIT).round() as u64).is_err() {
            return;
        }
        if exact {
            self.exact.push(value);
        } else if !self.exact.is_empty() {
            self.exact = Vec::new();
        }
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Adds all that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        let exact = self.is_exact() && other.is_exact();
        if exact && self.exact.len() + other.exact.len() <= EXACT_MOST {
            self.exact.extend_from_slice(&other.exact);
        } else if !other.is_empty() {
            self.exact = Vec::new();
        }
        // Both resize, so that neither can be too small for the other.
        if self.steps.add(&other.steps).is_ok() {
            self.sum += other.sum;
            self.min = self.min.min(other.min);
            self.max = self.max.max(other.max);
        }
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.steps.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Their sum, exact.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The mean; 0 without values.
    pub fn avg(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.sum / self.count() as f64 }
    }

    /// The least, exact; 0 without values.
    pub fn min(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.min }
    }

    /// The greatest, exact; 0 without values.
    pub fn max(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.max }
    }

    /// The value that `percent` % of the values do not exceed, between two values by linear
    /// interpolation as k6 does it; 0 without values.
    pub fn percentile(&self, percent: f64) -> f64 {
        let Some(last) = self.count().checked_sub(1) else { return 0.0 };
        let rank = (percent / 100.0).clamp(0.0, 1.0) * last as f64;
        let (whole, share) = (rank.floor() as u64, rank.fract());
        let mut sorted = Vec::new();
        if self.is_exact() {
            sorted.clone_from(&self.exact);
            sorted.sort_by(f64::total_cmp);
        }
        let at = |rank: u64| match sorted.get(rank as usize) {
            Some(value) => *value,
            None => self.at_rank(rank),
        };
        let below = at(whole);
        if share == 0.0 { below } else { below + (at(whole + 1) - below) * share }
    }

    /// Values of equal rank as `(greatest, count)`, rising; neighbours less than a thousandth
    /// apart are one.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let recorded = self.steps.iter_recorded();
        recorded.map(|at| (self.value(at.value_iterated_to()), at.count_at_value()))
    }

    /// The distribution as HdrHistogram writes it (V2, deflated), in base64.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(&self.steps, &mut bytes);
        // Writing to memory fails for none of the reasons there are.
        if written.is_err() {
            bytes.clear();
        }
        STANDARD.encode(bytes)
    }

    /// What [`Self::encode`] wrote. Sum, least and greatest are then known to three digits only.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let steps: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).ok()?;
        if steps.is_empty() {
            return Some(Self::new());
        }
        let unit = |steps: f64| steps / Self::STEPS_PER_UNIT;
        let (min, max) = (unit(steps.min() as f64), unit(steps.max() as f64));
        let sum = unit(steps.mean()) * steps.len() as f64;
        Some(Self { steps, exact: Vec::new(), sum, min, max })
    }

    /// Memory that the distribution takes.
    pub fn held_bytes(&self) -> usize {
        self.steps.distinct_values() * size_of::<u64>() + self.exact.capacity() * size_of::<f64>()
    }

    /// Whether all values were kept as they are.
    fn is_exact(&self) -> bool {
        self.exact.len() as u64 == self.count()
    }

    /// The value that has `rank` values before it when all are sorted.
    fn at_rank(&self, rank: u64) -> f64 {
        if rank == 0 {
            return self.min();
        }
        if rank + 1 >= self.count() {
            return self.max();
        }
        let mut before = 0;
        for (value, count) in self.buckets() {
            before += count;
            if before > rank {
                return value;
            }
        }
        self.max()
    }

    /// The value in the middle of a bucket, never outside of what was seen.
    fn value(&self, steps: u64) -> f64 {
        let low = self.steps.lowest_equivalent(steps) as f64;
        let width = self.steps.equivalent_range(steps) as f64;
        ((low + (width - 1.0) / 2.0) / Self::STEPS_PER_UNIT).clamp(self.min, self.max)
    }
}

impl Default for Trend {
    fn default() -> Self {
        Self::new()
    }
}
