//! A bounded latency histogram that any thread may write: log-linear buckets of relaxed atomics.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

/// Buckets per doubling, as a power of two. 8 keep the middle of a bucket within 6.25 % of every
/// value in it.
const SUB_BITS: u32 = 3;
const SUB: usize = 1 << SUB_BITS;
/// Values are counted in units of 2^7 = 128 ns; nothing that crosses a socket takes less.
const UNIT_BITS: u32 = 7;
/// Units up to 2^32, which is 9 minutes; what takes longer falls into the last bucket.
const VALUE_BITS: u32 = 32;
const BUCKETS: usize = SUB + (VALUE_BITS - SUB_BITS) as usize * SUB;

/// Latencies, from which quantiles are read.
#[derive(Debug)]
pub struct LatencyHistogram {
    buckets: [AtomicU32; BUCKETS],
}

impl LatencyHistogram {
    /// An empty histogram.
    pub const fn new() -> Self {
        Self { buckets: [const { AtomicU32::new(0) }; BUCKETS] }
    }

    /// Counts one latency in nanoseconds.
    pub fn record(&self, nanos: u64) {
        // Cannot wrap in practice: `age` halves the counts long before 2^32 are reached.
        self.buckets[index(nanos)].fetch_add(1, Relaxed);
    }

    /// Halves every count: called at a steady pace, by one thread, it makes the quantiles those of
    /// late.
    pub fn age(&self) {
        for bucket in &self.buckets {
            let count = bucket.load(Relaxed);
            if count > 0 {
                bucket.fetch_sub(count.div_ceil(2), Relaxed);
            }
        }
    }

    /// Values counted and not yet aged away.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| u64::from(bucket.load(Relaxed))).sum()
    }

    /// The latency that a share `q` of the values (0 to 1) do not exceed, within 6.25 %; `None`
    /// while there are no values.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        Self::quantile_of([self], q, 1)
    }

    /// The same over several histograms; `None` while there are fewer values than `least`.
    pub fn quantile_of<'a>(
        all: impl IntoIterator<Item = &'a Self>,
        q: f64,
        least: u64,
    ) -> Option<Duration> {
        let mut counts = [0_u64; BUCKETS];
        for one in all {
            for (count, bucket) in counts.iter_mut().zip(&one.buckets) {
                *count += u64::from(bucket.load(Relaxed));
            }
        }
        let total: u64 = counts.iter().sum();
        if total < least.max(1) {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (i, &count) in counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(Duration::from_nanos(middle(i)));
            }
        }
        None
    }
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self::new()
    }
}

fn index(nanos: u64) -> usize {
    let value = (nanos >> UNIT_BITS).min((1 << VALUE_BITS) - 1);
    if value < SUB as u64 {
        return value as usize;
    }
    let shift = value.ilog2() - SUB_BITS;
    shift as usize * SUB + (value >> shift) as usize
}

fn middle(index: usize) -> u64 {
    let (low, width) = if index < SUB {
        (index as u64, 1)
    } else {
        let shift = (index / SUB - 1) as u32;
        (((index % SUB + SUB) as u64) << shift, 1_u64 << shift)
    };
    (low << UNIT_BITS) + (width << UNIT_BITS) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_narrow() {
        let mut last = 0;
        let mut value = 1_u64 << (UNIT_BITS + SUB_BITS);
        while value < 1 << (UNIT_BITS + VALUE_BITS) {
            let i = index(value);
            assert!(i == last || i > last && i < BUCKETS, "{value} -> {i} after {last}");
            let error = (middle(i) as f64 - value as f64).abs() / value as f64;
            assert!(error <= 0.0625, "{value} -> {} off by {error}", middle(i));
            last = i;
            value += value / 50;
        }
        assert_eq!(index(u64::MAX), BUCKETS - 1);
        assert_eq!(index(0), 0);
    }

    #[test]
    fn every_bucket_holds_its_own_middle() {
        for i in 0..BUCKETS {
            assert_eq!(index(middle(i)), i);
        }
    }

    #[test]
    fn quantiles_are_within_the_error() {
        let histogram = LatencyHistogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        for millis in 1..=1000 {
            histogram.record(millis * 1_000_000);
        }
        for (q, expected) in [(0.5, 0.5), (0.9, 0.9), (0.99, 0.99), (0.0, 0.001), (1.0, 1.0)] {
            let got = histogram.quantile(q).unwrap().as_secs_f64();
            assert!((got - expected).abs() / expected <= 0.07, "{q}: {got}");
        }
    }

    #[test]
    fn several_are_read_as_one() {
        let (fast, slow) = (LatencyHistogram::new(), LatencyHistogram::new());
        (0..90).for_each(|_| fast.record(1_000_000));
        (0..9).for_each(|_| slow.record(100_000_000));
        let of = |least| LatencyHistogram::quantile_of([&fast, &slow], 0.95, least);
        assert_eq!(of(100), None, "too few");
        assert!((0.09..0.11).contains(&of(99).unwrap().as_secs_f64()));
        assert_eq!(LatencyHistogram::quantile_of([], 0.5, 0), None);
    }

    #[test]
    fn ages_to_nothing() {
        let histogram = LatencyHistogram::new();
        for _ in 0..1000 {
            histogram.record(5_000_000);
        }
        histogram.age();
        assert_eq!(histogram.count(), 500);
        for _ in 0..10 {
            histogram.age();
        }
        assert_eq!(histogram.count(), 0);
    }
}
