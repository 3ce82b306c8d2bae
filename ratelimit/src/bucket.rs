//! The token bucket, as the generic cell rate algorithm (GCRA): one moment per key.
//!
//! The moment is when the bucket is full again. A request of cost `c` moves it by the time in which
//! `c` is earned; it passes if the moment is then no further off than the time in which the whole
//! burst is earned. In any interval, ends included, at most `burst + rate x length` passes,
//! exactly: nothing is rounded on the way.

use crate::{
    decision::{Answer, Decision},
    moment::{Moment, Nanos, SPAN_MAX, STEP, Span},
    rate::{InvalidLimit, Rate},
};

#[cfg(test)]
mod tests;

/// A bucket of `burst` tokens that refills at `rate`.
///
/// | case | what happens |
/// |---|---|
/// | rate 0 | nothing passes, not even cost 0; nothing is kept |
/// | cost over the burst | never passes, and says so |
/// | cost 0 | passes while there is no debt; charges nothing |
/// | refund | at most to the full bucket |
/// | charge afterwards | into debt, up to [`Bucket::with_debt`]; what is beyond is forgiven |
/// | clock back, up to 1 s behind what a key has seen | time stands still for this key |
/// | clock further back | the key counts as empty and in full debt, and refills from there |
/// | clock forward | the bucket is full, no fuller |
/// | other rate, same key | the moment at which it is full stays, or the key counts as empty |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    rate: Rate,
    burst: u64,
    /// The time in which one token is earned, kept since nearly every request costs one.
    token: Span,
    /// The time in which the burst is earned.
    depth: Span,
    /// The time in which the largest debt is paid.
    debt: Span,
}

/// A decision and the state that follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn<S> {
    /// What to say.
    pub decision: Decision,
    /// What to keep for the key; `None` leaves it as it is.
    pub keep: Option<S>,
}

/// What a bucket makes of a request, before it is put into words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighed {
    /// When it would be full without this request, at the earliest now.
    pub(crate) base: Moment,
    /// When it would be full with it.
    next: Moment,
    /// When it would be full if it were empty now.
    empty: Moment,
    pub(crate) passes: bool,
    /// What to keep for the key, if anything changes.
    pub(crate) keep: Option<Moment>,
}

impl Bucket {
    /// A bucket that holds `burst` and earns `rate`.
    ///
    /// # Errors
    /// [`InvalidLimit::Burst`] when it takes over 73 years to fill.
    pub fn new(rate: Rate, burst: u64) -> Result<Self, InvalidLimit> {
        if rate.is_zero() {
            let none = Span::default();
            return Ok(Self { rate, burst: 0, token: none, depth: none, debt: none });
        }
        let depth = rate.span(burst).ok_or(InvalidLimit::Burst)?;
        // A burst of 0 may go with tokens that take longer; no request of cost 1 ever passes then.
        let token = rate.span(1).unwrap_or(Span { nanos: SPAN_MAX, part: 0 });
        Ok(Self { rate, burst, token, depth, debt: Span::default() })
    }

    /// Lets charges made after the fact take the bucket below empty, by at most `debt` tokens.
    ///
    /// Without it they stop at empty, and a key whose requests turn out dearer than admitted gets
    /// more than its rate in the long run.
    ///
    /// # Errors
    /// [`InvalidLimit::Burst`] when it takes over 73 years to pay.
    pub fn with_debt(mut self, debt: u64) -> Result<Self, InvalidLimit> {
        if !self.rate.is_zero() {
            self.debt = self.rate.span(debt).ok_or(InvalidLimit::Burst)?;
        }
        Ok(self)
    }

    /// The part of it that one of `members` has, if they share it without talking: never more than
    /// the whole together, but that each can hold at least one token if the whole can.
    pub(crate) fn share(&self, members: u32) -> Self {
        let members = members.max(1);
        let rate = self.rate.share(members);
        let burst = (self.burst / u64::from(members)).max(self.burst.min(1));
        let debt = self.debt_tokens() / u64::from(members);
        let share = Self::new(rate, burst).and_then(|bucket| bucket.with_debt(debt));
        // A token that takes decades: nobody has one to give away.
        share.unwrap_or_else(|_| Self {
            burst: 0,
            depth: Span::default(),
            debt: Span::default(),
            ..*self
        })
    }

    /// What it holds when full.
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// What it earns.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// The largest debt.
    pub(crate) fn debt_tokens(&self) -> u64 {
        if self.rate.is_zero() { 0 } else { self.rate.earned(self.debt) }
    }

    /// The time in which it fills, in nanoseconds, rounded up.
    pub(crate) const fn depth_nanos(&self) -> u64 {
        self.depth.ceil()
    }

    /// Decides on a request of `cost` by a key whose bucket is full at `full_at`.
    #[inline]
    pub fn decide(&self, full_at: Moment, cost: u64, now: Nanos) -> Turn<Moment> {
        let weighed = self.weigh(full_at, cost, now);
        Turn { decision: self.tell(&weighed, cost, now), keep: weighed.keep }
    }

    /// The part of [`Bucket::decide`] that other threads wait for: comparisons and sums.
    #[inline]
    pub(crate) fn weigh(&self, full_at: Moment, cost: u64, now: Nanos) -> Weighed {
        let parts = self.rate.parts();
        let now = Moment::at(now);
        let empty = now.after(self.depth, parts);
        let (held, stepped) = self.held(full_at, empty);
        let base = held.max(now);
        let next = base.after(self.span(cost), parts);
        let earns = !self.rate.is_zero();
        let passes = next <= empty && cost <= self.burst && earns;
        let keep =
            if passes { (cost > 0).then_some(next) } else { (stepped && earns).then_some(held) };
        Weighed { base, next, empty, passes, keep }
    }

    /// The other part: what to say, which takes divisions.
    #[inline]
    pub(crate) fn tell(&self, weighed: &Weighed, cost: u64, now: Nanos) -> Decision {
        let Weighed { base, next, empty, passes, .. } = *weighed;
        let parts = self.rate.parts();
        let after = if passes { next } else { base };
        let answer = if passes {
            Answer::Allowed { delay: 0 }
        } else if cost > self.burst || self.rate.is_zero() {
            Answer::Never
        } else {
            Answer::Denied { retry_after: next.since(empty, parts).ceil() }
        };
        Decision {
            limit: self.burst,
            remaining: self.rate.earned(empty.since(after, parts)),
            answer,
            reset: after.since(Moment::at(now), parts).ceil(),
        }
    }

    /// The state after `cost` has been charged that nobody was asked about: the response turned out
    /// dearer than the request looked.
    pub fn charge(&self, full_at: Moment, cost: u64, now: Nanos) -> Moment {
        let parts = self.rate.parts();
        let now = Moment::at(now);
        let empty = now.after(self.depth, parts);
        let (held, _) = self.held(full_at, empty);
        let next = held.max(now).after(self.span(cost), parts);
        // Someone a little ahead of this clock may have gone further already.
        next.min(empty.after(self.debt, parts).max(held))
    }

    /// The state after `cost` has been given back.
    pub fn refund(&self, full_at: Moment, cost: u64, now: Nanos) -> Moment {
        let parts = self.rate.parts();
        let empty = Moment::at(now).after(self.depth, parts);
        self.held(full_at, empty).0.before(self.span(cost), parts)
    }

    /// The kept moment as this bucket and this clock understand it, and whether it is no more than
    /// a clock ahead by a step could have left.
    #[inline]
    fn held(&self, full_at: Moment, empty: Moment) -> (Moment, bool) {
        let parts = self.rate.parts();
        let held = full_at.within(parts);
        let worst = empty.after(self.debt, parts);
        if held.nanos > worst.nanos + STEP { (worst, true) } else { (held, false) }
    }

    /// Whether a key of this bucket can have got so far: not with a rate that another one had.
    pub(crate) fn may_be(&self, full_at: Moment, now: Nanos) -> bool {
        !self.held(full_at, Moment::at(now).after(self.depth, self.rate.parts())).1
    }

    /// Too dear for arithmetic is too dear for any burst or debt.
    #[inline]
    fn span(&self, cost: u64) -> Span {
        if cost == 1 {
            return self.token;
        }
        self.rate.span(cost).unwrap_or(Span { nanos: SPAN_MAX, part: 0 })
    }
}
