//! Time: moments in nanoseconds, and moments finer than that.

use std::time::Duration;

/// A moment, in nanoseconds from an origin that the caller chooses; one store, one origin.
///
/// Readings beyond [`Nanos::MAX`], 146 years from the origin, count as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(u64);

impl Nanos {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// The latest moment: far enough from the end of the integer that no sum here overflows.
    pub const MAX: Self = Self(1 << 62);

    /// The moment `nanos` after the origin.
    pub const fn new(nanos: u64) -> Self {
        if nanos > Self::MAX.0 { Self::MAX } else { Self(nanos) }
    }

    /// Nanoseconds since the origin.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<Duration> for Nanos {
    fn from(since_origin: Duration) -> Self {
        Self::new(u64::try_from(since_origin.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// How far a clock may be behind what a key has seen before that counts as a step.
///
/// Threads read the clock and then wait for their turn: a little late is normal, and time just
/// stands still for them. If it counted as a step, each such race would give away its length in
/// requests. A second is far above what a scheduler does and far below a corrected clock.
pub(crate) const STEP: u64 = 1_000_000_000;

/// The longest [`Span`] that arithmetic is done with, 73 years in nanoseconds.
pub(crate) const SPAN_MAX: u64 = 1 << 61;

/// A length of time in nanoseconds and parts of one; how many parts make a nanosecond is the
/// rate's to say. With as many parts as requests a period, intervals between requests are whole
/// numbers and nothing is ever rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Span {
    pub(crate) nanos: u64,
    pub(crate) part: u64,
}

impl Span {
    /// Whole nanoseconds, rounded up.
    pub(crate) const fn ceil(self) -> u64 {
        self.nanos + (self.part > 0) as u64
    }
}

/// A moment, as finely: 16 bytes, all that is kept of a key under a bucket.
///
/// The default is the origin: of a bucket, full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment {
    pub(crate) nanos: u64,
    pub(crate) part: u64,
}

impl Moment {
    pub(crate) const fn at(now: Nanos) -> Self {
        Self { nanos: now.0, part: 0 }
    }

    /// This moment where `parts` make a nanosecond. It may come from a rate since replaced.
    pub(crate) fn within(self, parts: u64) -> Self {
        Self { nanos: self.nanos, part: self.part.min(parts - 1) }
    }

    /// `span` later.
    pub(crate) const fn after(self, span: Span, parts: u64) -> Self {
        let part = self.part + span.part;
        let carry = part >= parts;
        Self {
            nanos: self.nanos + span.nanos + carry as u64,
            part: if carry { part - parts } else { part },
        }
    }

    /// `span` earlier; the origin when there is nothing earlier.
    pub(crate) fn before(self, span: Span, parts: u64) -> Self {
        let span = self.since(Self { nanos: span.nanos, part: span.part }, parts);
        Self { nanos: span.nanos, part: span.part }
    }

    /// The time from `earlier` to this; zero when `earlier` is in fact later.
    pub(crate) fn since(self, earlier: Self, parts: u64) -> Span {
        if self <= earlier {
            return Span::default();
        }
        let borrow = self.part < earlier.part;
        Span {
            nanos: self.nanos - earlier.nanos - u64::from(borrow),
            part: if borrow { self.part + parts - earlier.part } else { self.part - earlier.part },
        }
    }
}
