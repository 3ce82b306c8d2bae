//! The limits' other half, for a store that gateways share: the script, what it is told, and what
//! its reply means.
//!
//! The script decides in whole microseconds and replies with next to nothing; what a client is told
//! is worked out here, by the algorithm itself. Nothing in here talks to a server.

use std::time::Duration;

use smallvec::SmallVec;

use crate::{
    algorithm::Algorithm,
    bucket::Bucket,
    decision::{Decision, Ruling, Verdict},
    leaky::Leaky,
    moment::{Moment, Nanos},
    rate::{InvalidLimit, Rate},
    window::{Counts, KEPT, SLICES, Window},
};

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

/// The script: its head says what it takes and gives.
pub const CHECK: &str = include_str!("lua/check.lua");

/// The script for a request with one limit, a bucket: see its head. It does as [`CHECK`] does, for
/// less.
pub const ONE: &str = include_str!("lua/one.lua");

/// The script that corrects charges: see its head, and [`Remote::settlement`].
pub const SETTLE: &str = include_str!("lua/settle.lua");

/// The script that lends tokens, and the one that takes them back: see their heads.
pub(crate) const LEASE: &str = include_str!("lua/lease.lua");
pub(crate) const GIVE_BACK: &str = include_str!("lua/give_back.lua");

/// Dearer than any bucket is deep (2^61 nanoseconds are under 2^51 microseconds), and not so dear
/// that a sum with the time of day would leave the whole numbers of a double.
const PRICE_MAX: u64 = 1 << 52;

/// The moment that a window's server counts from here: far enough from the origin that nothing
/// began before it, and from the end of the clock.
const WINDOW_ORIGIN: u64 = 1 << 61;

/// A limit in whole microseconds, as a server keeps it.
///
/// The interval between a bucket's tokens is rounded up: never more than the rate, and less by
/// under a microsecond per token. That is 1 % at 10,000 a second and half of it at 1,000,000; keys
/// that fast are for a local store. A window's slices are rounded up too: it remembers longer by at
/// most seven microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    algorithm: Algorithm,
    /// Between a bucket's tokens, 0 when nothing is ever earned; or the length of a slice.
    micros: u64,
}

/// What is known of a key, by the clock here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// When a bucket is full.
    Moment(Moment),
    /// What a window counts, from [`WINDOW_ORIGIN`].
    Counts(Counts),
}

/// One limit of a request to a shared store.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// How it counts.
    pub limit: &'a Remote,
    /// What the request costs.
    pub cost: u64,
    /// Counted, but never denied for.
    pub dry_run: bool,
}

impl Ask<'_> {
    /// What the script is told of it.
    pub(crate) fn numbers(&self) -> [i64; 4] {
        self.limit.arguments(self.cost, self.dry_run)
    }

    /// What [`ONE`] is told of it; `None` where that cannot decide.
    pub(crate) fn alone(&self) -> Option<SmallVec<[i64; 3]>> {
        self.limit.bucket()?;
        let [price, depth, worst, _] = self.numbers();
        let mut numbers = SmallVec::from_slice(&[price, depth - price]);
        if worst > depth {
            numbers.push(worst - depth);
        }
        Some(numbers)
    }

    /// What [`ONE`] said of it, in the words of [`CHECK`].
    pub(crate) fn widen(&self, said: i64) -> [i64; 2] {
        if said < 0 { [i64::from(self.dry_run), -1 - said] } else { [1, said] }
    }
}

impl Remote {
    /// `algorithm`, rounded to what a server can keep.
    ///
    /// # Errors
    /// [`InvalidLimit::Burst`] when it takes over 73 years to fill.
    pub fn new(algorithm: &Algorithm) -> Result<Self, InvalidLimit> {
        let (algorithm, micros) = match algorithm {
            Algorithm::TokenBucket(bucket) => {
                let (bucket, micros) = round(bucket)?;
                (Algorithm::TokenBucket(bucket), micros)
            }
            Algorithm::LeakyBucket(leaky) => {
                let (room, micros) = round(leaky.bucket())?;
                (Algorithm::LeakyBucket(Leaky::with_room(room)), micros)
            }
            Algorithm::SlidingWindow(window) => {
                let nanos = u64::try_from(window.window().as_nanos()).unwrap_or(u64::MAX);
                let slice = nanos.div_ceil(SLICES as u64).div_ceil(1_000);
                let whole = Duration::from_micros(slice * SLICES as u64).min(Rate::PER_MAX);
                let window = Window::new(u64::from(window.quota()), whole)?;
                // The longest window has slices that are no whole number of them.
                (Algorithm::SlidingWindow(window), window.slice_nanos().div_ceil(1_000))
            }
        };
        Ok(Self { algorithm, micros })
    }

    /// The limit as the server keeps it.
    pub const fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    /// The token bucket, or the one that a leaky bucket is read from.
    pub(crate) const fn bucket(&self) -> Option<&Bucket> {
        match &self.algorithm {
            Algorithm::TokenBucket(bucket) => Some(bucket),
            Algorithm::LeakyBucket(leaky) => Some(leaky.bucket()),
            Algorithm::SlidingWindow(_) => None,
        }
    }

    /// The most that passes at once.
    pub(crate) fn most(&self) -> u64 {
        match &self.algorithm {
            Algorithm::SlidingWindow(window) => u64::from(window.quota()),
            _ => self.bucket().map_or(0, Bucket::burst),
        }
    }

    /// The time in which a bucket's token is earned, in nanoseconds; 0 when none ever is.
    pub(crate) const fn interval_nanos(&self) -> u64 {
        self.micros * 1_000
    }

    /// What [`SETTLE`] is told of a request that was charged `charged` and cost `actual`; `None`
    /// where that changes nothing: a place in the queue of a leaky bucket cannot be given back.
    pub fn settlement(&self, charged: u64, actual: u64) -> Option<[i64; 2]> {
        let each = if self.bucket().is_some() { self.micros } else { 1 };
        let change = (i128::from(actual) - i128::from(charged)).saturating_mul(i128::from(each));
        let most = i128::from(PRICE_MAX);
        // Fits after that.
        let change = change.clamp(-most, most) as i64;
        let [_, _, worst, _] = self.arguments(0, false);
        let queued = matches!(self.algorithm, Algorithm::LeakyBucket(_));
        (change > 0 || !queued).then_some([change, worst])
    }

    /// What the script is told: see its head.
    pub(crate) fn arguments(&self, cost: u64, dry_run: bool) -> [i64; 4] {
        // All of them are at most 2^53.
        let Some(bucket) = self.bucket() else {
            let cost = cost.min(PRICE_MAX) as i64;
            return [cost, self.most() as i64, -(self.micros as i64), i64::from(dry_run)];
        };
        let burst = (self.micros * bucket.burst()) as i64;
        let debt = (self.micros * bucket.debt_tokens()) as i64;
        let price = if self.micros == 0 {
            PRICE_MAX
        } else {
            self.micros.saturating_mul(cost).min(PRICE_MAX)
        };
        [price as i64, burst, burst + debt, i64::from(dry_run)]
    }

    /// What is known of a key that nobody has told anything of: as good as new.
    pub(crate) fn unknown(&self) -> Known {
        match self.algorithm {
            Algorithm::SlidingWindow(_) => Known::Counts(Counts::default()),
            _ => Known::Moment(Moment::default()),
        }
    }

    /// Takes what is said of one limit from the beginning of `reply`, heard to a question of `now`.
    pub(crate) fn read(&self, reply: &mut &[i64], now: Nanos) -> Option<Known> {
        let (left, rest) = reply.split_first()?;
        let left = u64::try_from(*left).ok()?.checked_mul(1_000)?;
        if self.bucket().is_some() {
            *reply = rest;
            let full_at = now.get().checked_add(left)?;
            return Some(Known::Moment(Moment::at(Nanos::new(full_at))));
        }
        let (counts, rest) = rest.split_first_chunk::<KEPT>()?;
        *reply = rest;
        let mut slices = [0; KEPT];
        for (slice, count) in slices.iter_mut().zip(counts) {
            *slice = u32::try_from(*count).ok()?;
        }
        let until = window_time(now).get().checked_add(left)?;
        Some(Known::Counts(Counts::new(until, slices)))
    }

    /// Whether a bucket of this kind can be full as late as that.
    pub(crate) fn may_be(&self, full_at: Moment, now: Nanos) -> bool {
        self.bucket().is_none_or(|bucket| bucket.may_be(full_at, now))
    }

    /// Whether a request of `cost` passes by what is known.
    pub(crate) fn passes(&self, known: &Known, cost: u64, now: Nanos) -> bool {
        match (&self.algorithm, known) {
            (Algorithm::TokenBucket(bucket), Known::Moment(full_at)) => {
                bucket.weigh(*full_at, cost, now).passes
            }
            (Algorithm::LeakyBucket(leaky), Known::Moment(empty_at)) => {
                leaky.bucket().weigh(*empty_at, cost, now).passes
            }
            (Algorithm::SlidingWindow(window), Known::Counts(counts)) => {
                window.passes(counts, cost, window_time(now))
            }
            // Nobody asks about the state of something else.
            _ => true,
        }
    }

    /// What to say of a request of `cost` by what is known.
    pub(crate) fn decide(&self, known: &Known, cost: u64, now: Nanos) -> Decision {
        match &self.algorithm {
            Algorithm::TokenBucket(bucket) => bucket.decide(known.moment(), cost, now).decision,
            Algorithm::LeakyBucket(leaky) => leaky.decide(known.moment(), cost, now).decision,
            Algorithm::SlidingWindow(window) => {
                window.decide(known.counts(), cost, window_time(now)).decision
            }
        }
    }
}

impl Known {
    fn moment(&self) -> Moment {
        if let Self::Moment(moment) = self { *moment } else { Moment::default() }
    }

    fn counts(&self) -> Counts {
        if let Self::Counts(counts) = self { *counts } else { Counts::default() }
    }
}

/// The moment `now`, as windows are kept here.
pub(crate) fn window_time(now: Nanos) -> Nanos {
    Nanos::new(now.get().saturating_add(WINDOW_ORIGIN))
}

/// `bucket` with a whole number of microseconds between its tokens, and that number.
fn round(bucket: &Bucket) -> Result<(Bucket, u64), InvalidLimit> {
    if bucket.rate().is_zero() {
        return Ok((*bucket, 0));
    }
    let token = bucket.rate().span(1).ok_or(InvalidLimit::Burst)?;
    let micros = token.ceil().div_ceil(1_000);
    let rounded = Bucket::new(Rate::new(1, Duration::from_micros(micros))?, bucket.burst())?;
    Ok((rounded.with_debt(bucket.debt_tokens())?, micros))
}

/// The script's arguments for `asks`, in order.
pub fn arguments(asks: &[Ask<'_>]) -> Vec<i64> {
    asks.iter().flat_map(Ask::numbers).collect()
}

/// Whether `reply` is the script's to `asks`.
pub(crate) fn is_reply(asks: &[Ask<'_>], reply: &[i64]) -> bool {
    let Some((passes, mut rest)) = reply.split_first() else { return false };
    let mut all = true;
    for ask in asks {
        let Some(known) = ask.limit.read(&mut rest, Nanos::ZERO) else { return false };
        all &= ask.dry_run || ask.limit.passes(&known, ask.cost, Nanos::ZERO);
    }
    rest.is_empty() && *passes == i64::from(all)
}

/// What the script's `reply` to `asks` means; `None` if it is no reply to them.
pub fn verdict(asks: &[Ask<'_>], reply: &[i64]) -> Option<Verdict> {
    let (passes, mut rest) = reply.split_first()?;
    if !(0..=1).contains(passes) {
        return None;
    }
    let mut rulings = SmallVec::new();
    for ask in asks {
        let known = ask.limit.read(&mut rest, Nanos::ZERO)?;
        let fits = ask.limit.passes(&known, ask.cost, Nanos::ZERO);
        // Of a denied request nothing is charged to the limits that it would have passed.
        let cost = if fits && *passes == 0 { 0 } else { ask.cost };
        let decision = ask.limit.decide(&known, cost, Nanos::ZERO);
        rulings.push(Ruling { decision, dry_run: ask.dry_run });
    }
    let verdict = Verdict::new(rulings);
    (rest.is_empty() && verdict.allowed() == (*passes == 1)).then_some(verdict)
}
