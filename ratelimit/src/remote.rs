//! The bucket's other half, for a store that gateways share: the script, what it is told, and what
//! its reply means.
//!
//! The script decides in whole microseconds and replies with next to nothing; what a client is told
//! is worked out here, by the bucket itself. Nothing in here talks to a server.

use smallvec::SmallVec;

use crate::{
    bucket::Bucket,
    decision::{Ruling, Verdict},
    moment::{Moment, Nanos},
    rate::{InvalidLimit, Rate},
};

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

/// The script: its head says what it takes and gives.
pub const GCRA: &str = include_str!("lua/gcra.lua");

/// The script that corrects charges: see its head, and [`Remote::settlement`].
pub const SETTLE: &str = include_str!("lua/settle.lua");

/// The script that lends tokens, and the one that takes them back: see their heads.
pub(crate) const LEASE: &str = include_str!("lua/lease.lua");
pub(crate) const GIVE_BACK: &str = include_str!("lua/give_back.lua");

/// Dearer than any bucket is deep (2^61 nanoseconds are under 2^51 microseconds), and not so dear
/// that a sum with the time of day would leave the whole numbers of a double.
const PRICE_MAX: u64 = 1 << 52;

/// A bucket in whole microseconds, as a server keeps it.
///
/// The interval between tokens is rounded up: never more than the rate, and less by under a
/// microsecond per token. That is 1 % at 10,000 a second and half of it at 1,000,000; keys that
/// fast are for a local store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    bucket: Bucket,
    /// 0 when nothing is ever earned.
    interval_micros: u64,
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

impl Remote {
    /// `bucket`, rounded to what a server can keep.
    ///
    /// # Errors
    /// [`InvalidLimit::Burst`] when it takes over 73 years to fill.
    pub fn new(bucket: &Bucket) -> Result<Self, InvalidLimit> {
        if bucket.rate().is_zero() {
            return Ok(Self { bucket: *bucket, interval_micros: 0 });
        }
        let token = bucket.rate().span(1).ok_or(InvalidLimit::Burst)?;
        let interval_micros = token.ceil().div_ceil(1_000);
        let interval = std::time::Duration::from_micros(interval_micros);
        let rounded = Bucket::new(Rate::new(1, interval)?, bucket.burst())?;
        Ok(Self { bucket: rounded.with_debt(bucket.debt_tokens())?, interval_micros })
    }

    /// The bucket as the server keeps it.
    pub const fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// The time in which a token is earned, in nanoseconds; 0 when none ever is.
    pub(crate) const fn interval_nanos(&self) -> u64 {
        self.interval_micros * 1_000
    }

    /// What [`SETTLE`] is told of a request that was charged `charged` and cost `actual`.
    pub fn settlement(&self, charged: u64, actual: u64) -> [i64; 2] {
        // Both are at most 2^52.
        let price = |cost| self.interval_micros.saturating_mul(cost).min(PRICE_MAX) as i64;
        let [_, _, worst, _] = self.arguments(0, false);
        [price(actual) - price(charged), worst as i64]
    }

    /// What the script is told: price, depth, depth and debt in microseconds, and the dry run.
    pub(crate) fn arguments(&self, cost: u64, dry_run: bool) -> [u64; 4] {
        let burst = self.interval_micros * self.bucket.burst();
        let debt = self.interval_micros * self.bucket.debt_tokens();
        let price = if self.interval_micros == 0 {
            PRICE_MAX
        } else {
            self.interval_micros.saturating_mul(cost).min(PRICE_MAX)
        };
        [price, burst, burst + debt, u64::from(dry_run)]
    }
}

/// The script's arguments for `asks`, in order.
pub fn arguments(asks: &[Ask<'_>]) -> Vec<u64> {
    asks.iter().flat_map(|ask| ask.limit.arguments(ask.cost, ask.dry_run)).collect()
}

/// What the script's `reply` to `asks` means; `None` if it is no reply to them.
pub fn verdict(asks: &[Ask<'_>], reply: &[i64]) -> Option<Verdict> {
    let (passes, ahead) = reply.split_first()?;
    if ahead.len() != asks.len() || !(0..=1).contains(passes) {
        return None;
    }
    let mut rulings = SmallVec::new();
    for (ask, ahead) in asks.iter().zip(ahead) {
        let ahead = u64::try_from(*ahead).ok()?.checked_mul(1_000)?;
        let full_at = Moment::at(Nanos::new(ahead));
        let bucket = &ask.limit.bucket;
        let fits = bucket.weigh(full_at, ask.cost, Nanos::ZERO).passes;
        // Of a denied request nothing is charged to the limits that it would have passed.
        let cost = if fits && *passes == 0 { 0 } else { ask.cost };
        let decision = bucket.decide(full_at, cost, Nanos::ZERO).decision;
        rulings.push(Ruling { decision, dry_run: ask.dry_run });
    }
    let verdict = Verdict::new(rulings);
    (verdict.allowed() == (*passes == 1)).then_some(verdict)
}
