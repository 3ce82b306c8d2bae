//! So many per so long, as an exact fraction.

use std::time::Duration;

use crate::moment::{SPAN_MAX, Span};

/// A rate: `count` cost units in each `per`.
///
/// Kept as a reduced fraction of integers, never as an interval in nanoseconds: three a second is
/// an interval of 333,333,333 and one third nanoseconds, so moments are counted in thirds of a
/// nanosecond for it. Over a million seconds it admits three million, not three million and three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Both divided by their greatest common divisor. `per` is in nanoseconds.
    count: u64,
    per: u64,
}

/// Why there is no such limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    /// The count is over [`Rate::COUNT_MAX`].
    #[error("a rate of more than {} is not supported", Rate::COUNT_MAX)]
    Count,
    /// The period is zero or over [`Rate::PER_MAX`].
    #[error("a period must be between a nanosecond and 36 years")]
    Period,
    /// What the bucket holds takes over 73 years to earn.
    #[error("a burst this large takes over 73 years to earn at this rate")]
    Burst,
    /// A sliding window counts up to [`u32::MAX`].
    #[error("a sliding window admits at most {}", u32::MAX)]
    Quota,
}

impl Rate {
    /// The largest count of a period.
    pub const COUNT_MAX: u64 = 1 << 60;
    /// The longest period, about 36 years.
    pub const PER_MAX: Duration = Duration::from_nanos(1 << 60);
    /// Nothing at all, ever.
    pub const ZERO: Self = Self { count: 0, per: 1 };

    /// `count` in each `per`. A count of 0 is [`Rate::ZERO`].
    ///
    /// # Errors
    /// When one of them is out of bounds.
    pub fn new(count: u64, per: Duration) -> Result<Self, InvalidLimit> {
        if per.is_zero() || per > Self::PER_MAX {
            return Err(InvalidLimit::Period);
        }
        if count > Self::COUNT_MAX {
            return Err(InvalidLimit::Count);
        }
        // Fits: it is at most 2^60.
        let per = per.as_nanos() as u64;
        let divisor = greatest_common_divisor(count, per);
        Ok(Self { count: count / divisor, per: per / divisor })
    }

    /// Whether nothing is ever earned.
    pub const fn is_zero(self) -> bool {
        self.count == 0
    }

    /// What is earned in `time`, rounded down.
    pub fn earned_in(self, time: Duration) -> u64 {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let earned = u128::from(nanos) * u128::from(self.count) / u128::from(self.per);
        u64::try_from(earned).unwrap_or(u64::MAX)
    }

    /// One of `members` equal parts of it, or less where that would be under one in
    /// [`Rate::PER_MAX`]: nothing.
    pub(crate) fn share(self, members: u32) -> Self {
        let per = u128::from(self.per) * u128::from(members.max(1));
        let per = u64::try_from(per).unwrap_or(u64::MAX);
        Self::new(self.count, Duration::from_nanos(per)).unwrap_or(Self::ZERO)
    }

    /// Parts that a nanosecond is counted in. Not 0.
    pub(crate) const fn parts(self) -> u64 {
        if self.count == 0 { 1 } else { self.count }
    }

    /// The time in which `cost` is earned; `None` when over [`SPAN_MAX`].
    pub(crate) fn span(self, cost: u64) -> Option<Span> {
        if cost == 0 {
            return Some(Span::default());
        }
        if self.count == 0 {
            return None;
        }
        if let Some(parts) = cost.checked_mul(self.per) {
            let span = Span { nanos: parts / self.count, part: parts % self.count };
            return (span.nanos <= SPAN_MAX).then_some(span);
        }
        let (parts, count) = (u128::from(cost) * u128::from(self.per), u128::from(self.count));
        let nanos = u64::try_from(parts / count).ok().filter(|nanos| *nanos <= SPAN_MAX)?;
        // Below `count`, which is 64 bits wide.
        Some(Span { nanos, part: (parts % count) as u64 })
    }

    /// What is earned in `span`, rounded down.
    pub(crate) fn earned(self, span: Span) -> u64 {
        let whole = span.nanos.checked_mul(self.count).and_then(|n| n.checked_add(span.part));
        if let Some(parts) = whole {
            return parts / self.per;
        }
        let parts = u128::from(span.nanos) * u128::from(self.count) + u128::from(span.part);
        u64::try_from(parts / u128::from(self.per)).unwrap_or(u64::MAX)
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn out_of_bounds() {
        assert_eq!(Rate::new(1, Duration::ZERO), Err(InvalidLimit::Period));
        assert_eq!(Rate::new(1, Duration::MAX), Err(InvalidLimit::Period));
        assert_eq!(Rate::new(u64::MAX, SECOND), Err(InvalidLimit::Count));
        assert_eq!(Rate::new(0, SECOND), Ok(Rate::ZERO));
        assert!(Rate::new(Rate::COUNT_MAX, Rate::PER_MAX).is_ok());
    }

    #[test]
    fn the_same_rate_in_other_words() {
        assert_eq!(Rate::new(100, SECOND), Rate::new(6_000, 60 * SECOND));
    }

    #[test]
    fn a_third_is_a_third() {
        let rate = Rate::new(3, SECOND).unwrap();
        assert_eq!(rate.span(1), Some(Span { nanos: 333_333_333, part: 1 }));
        assert_eq!(rate.span(3), Some(Span { nanos: 1_000_000_000, part: 0 }));
        assert_eq!(rate.span(3_000_000), Some(Span { nanos: 1_000_000_000_000_000, part: 0 }));
        assert_eq!(rate.earned(Span { nanos: 333_333_333, part: 0 }), 0);
        assert_eq!(rate.earned(Span { nanos: 333_333_333, part: 1 }), 1);
    }

    #[test]
    fn spans_and_what_is_earned_in_them_are_inverse() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..100_000 {
            let bits = [rng.u32(0..60), rng.u32(0..60)];
            let per = Duration::from_nanos(rng.u64(1..=1 << bits[0]));
            let rate = Rate::new(rng.u64(1..=1 << bits[1]), per).unwrap();
            let cost = rng.u64(..) >> rng.u32(0..64);
            if let Some(span) = rate.span(cost) {
                assert_eq!(rate.earned(span), cost, "{rate:?}");
                let shorter = match span {
                    Span { nanos: 0, part: 0 } => continue,
                    Span { nanos, part: 0 } => Span { nanos: nanos - 1, part: rate.parts() - 1 },
                    Span { nanos, part } => Span { nanos, part: part - 1 },
                };
                assert!(rate.earned(shorter) < cost, "{rate:?}");
            }
        }
    }
}
