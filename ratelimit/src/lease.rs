//! Tokens of a shared bucket, taken ahead and spent here.
//!
//! A request that is decided on by a server costs a round trip. A lease costs one for many: a chunk
//! of tokens is charged to the bucket first and spent afterwards, by all threads of a process.
//!
//! **Never over.** In any interval at most `burst + rate x length` is admitted by all gateways
//! together, as if each request were decided on by the server. A chunk in the drawer would break
//! that if the bucket filled up again beside it; so a chunk is a stretch of the bucket's row of
//! tokens (see `lua/lease.lua`) and loses its first token when the bucket would have been full but
//! for it, the second an interval later, and so on. Bucket and drawers together hold the burst at
//! most, and gain at most the rate. Where the clocks of gateways stand does not matter: what counts
//! is how far off a moment is, reckoned from before the server was asked.
//!
//! **Under, by so much.** What lies unused in one drawer is missed by the others: at most
//! `burst / 2N` of each of N gateways, until it is given back (half a second later) or worthless.
//! After the server had too little, the key is denied here for [`Terms::pause`] at least.

use std::time::Duration;

use smallvec::SmallVec;

use crate::{
    algorithm::Algorithm,
    decision::{Answer, Decision},
    moment::{Moment, Nanos},
    remote::Remote,
};

#[cfg(test)]
mod tests;

/// What is lent on one key lies in so many pieces at most.
const STRETCHES: usize = 4;
/// The time that a chunk is to last, and the shortest pause after a denial; less for buckets that
/// fill up sooner.
const PERIOD: Duration = Duration::from_millis(100);
/// Unspent for so long, tokens are given back.
const IDLE: u64 = 500_000_000;

/// How a limit is lent out. Moments and lengths of time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    remote: Remote,
    /// Per token, not 0.
    token: u64,
    /// The time in which the burst is earned.
    depth: u64,
    burst: u64,
    /// How long a chunk is to last, and how long a key is denied at least.
    pause: u64,
}

/// A chunk that was lent, or what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// When all of it is worthless, by the clock here.
    until: u64,
    /// The same by the server's clock, in microseconds: what it calls the stretch by.
    pub(crate) end: i64,
    pub(crate) left: u64,
    lent: u64,
}

/// What is known of one key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lease {
    stretches: SmallVec<[Stretch; 2]>,
    /// When the bucket is full, as last heard.
    full_at: u64,
    /// Until when requests of at least that cost are denied.
    denied: (u64, u64),
    /// When the count of what is asked for began, what it is, and what it was the time before.
    counted: (u64, u64, u64),
    used_at: u64,
}

/// What to do about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It passes; what it cost has been taken out.
    Spent,
    /// It does not, before that moment.
    Denied { until: u64 },
    /// The server is to be asked for so many, at least as many as it costs.
    Take { wanted: u64 },
}

impl Terms {
    /// `None` for a rate of nothing, of which nothing is lent, and for all but token buckets.
    pub(crate) fn new(remote: Remote) -> Option<Self> {
        let Algorithm::TokenBucket(bucket) = remote.algorithm() else { return None };
        let (token, depth, burst) = (remote.interval_nanos(), bucket.depth_nanos(), bucket.burst());
        let pause = (depth / 2).min(Nanos::from(PERIOD).get());
        (token > 0).then_some(Self { remote, token, depth, burst, pause })
    }

    /// What the server is asked for so many tokens with.
    pub(crate) fn asks(&self, needed: u64, wanted: u64) -> [i64; 5] {
        let [_, depth, worst, _] = self.remote.arguments(0, false);
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        [number(self.token / 1_000), depth, worst, number(needed), number(wanted)]
    }

    /// What the server is given a stretch back with.
    pub(crate) fn gives(&self, stretch: &Stretch) -> [i64; 3] {
        // Both fit: microseconds per token, and at most the burst.
        [(self.token / 1_000) as i64, stretch.end, stretch.left as i64]
    }
}

impl Stretch {
    /// How many of its tokens can be spent.
    fn worth(&self, terms: &Terms, now: u64) -> u64 {
        self.left.min(self.until.saturating_sub(now) / terms.token)
    }
}

impl Lease {
    /// Decides on a request of `cost`, or says what to ask for; `members` gateways share the limit.
    pub(crate) fn step(&mut self, terms: &Terms, cost: u64, members: u32, now: Nanos) -> Step {
        let now = now.get();
        if self.spend(terms, cost, now) {
            return Step::Spent;
        }
        let (until, dear) = self.denied;
        if now < until && cost >= dear {
            return Step::Denied { until };
        }
        let most = (terms.burst / (2 * u64::from(members.max(1)))).max(1);
        let (_, asked, before) = self.counted;
        Step::Take { wanted: asked.max(before).clamp(1, most).max(cost) }
    }

    /// Counts what a request asks for: chunks are as large as what is asked for in one pause.
    pub(crate) fn count(&mut self, terms: &Terms, cost: u64, now: Nanos) {
        let (began, asked, _) = &mut self.counted;
        let age = now.get().saturating_sub(*began);
        if age >= terms.pause {
            // Of a longer time, the part.
            let part = u128::from(*asked) * u128::from(terms.pause) / u128::from(age.max(1));
            self.counted = (now.get(), cost, u64::try_from(part).unwrap_or(u64::MAX));
        } else {
            *asked = asked.saturating_add(cost);
        }
    }

    /// Takes in what a server said that was asked at `asked_at` for `wanted` tokens, by a request
    /// of `cost`, and decides on that: it was charged when the server was asked. `None` if that is
    /// no reply.
    pub(crate) fn heard(
        &mut self,
        terms: &Terms,
        cost: u64,
        wanted: u64,
        reply: &[i64],
        asked_at: Nanos,
    ) -> Option<Step> {
        let [lent, end, left, ahead] = reply else { return None };
        let nanos = |micros: i64| {
            let nanos = u64::try_from(micros).ok()?.checked_mul(1_000)?;
            (nanos <= Nanos::MAX.get()).then_some(nanos)
        };
        let (lent, left, ahead) = (u64::try_from(*lent).ok()?, nanos(*left)?, nanos(*ahead)?);
        if lent > wanted || (lent > 0 && lent < cost) {
            return None;
        }
        let asked_at = asked_at.get();
        self.full_at = asked_at + ahead;
        if lent == 0 {
            let earned = cost.saturating_mul(terms.token);
            let wait = ahead.saturating_add(earned).saturating_sub(terms.depth);
            let until = asked_at.saturating_add(wait.max(terms.pause));
            self.denied = (until, cost);
            return Some(Step::Denied { until });
        }
        self.denied = (0, 0);
        self.stretches.retain(|stretch| stretch.worth(terms, asked_at) > 0);
        if self.stretches.len() == STRETCHES {
            // The first to be worthless.
            self.stretches.remove(0);
        }
        let until = asked_at + left;
        self.stretches.push(Stretch { until, end: *end, left: lent - cost, lent });
        self.stretches.sort_unstable_by_key(|stretch| stretch.until);
        self.used_at = asked_at;
        Some(Step::Spent)
    }

    /// Spends `cost` if there is as much, what is worthless first at first.
    fn spend(&mut self, terms: &Terms, cost: u64, now: u64) -> bool {
        if self.held(terms, now) < cost {
            return false;
        }
        let mut rest = cost;
        for stretch in &mut self.stretches {
            let worth = stretch.worth(terms, now);
            let spent = worth.min(rest);
            stretch.left = worth - spent;
            rest -= spent;
        }
        self.used_at = now;
        true
    }

    /// Spends `cost` of what is held, or else takes note that the server is told to charge it,
    /// which is for the caller to do: `false`.
    pub(crate) fn charge(&mut self, terms: &Terms, cost: u64, now: Nanos) -> bool {
        if self.spend(terms, cost, now.get()) {
            return true;
        }
        let charged = cost.saturating_mul(terms.token);
        self.full_at = self.full_at.max(now.get()).saturating_add(charged).min(Nanos::MAX.get());
        false
    }

    /// Takes back what was spent and is not needed after all, as far as it was lent.
    pub(crate) fn put_back(&mut self, cost: u64) {
        let mut rest = cost;
        for stretch in self.stretches.iter_mut().rev() {
            let room = (stretch.lent - stretch.left).min(rest);
            stretch.left += room;
            rest -= room;
        }
    }

    /// What can be spent.
    pub(crate) fn held(&self, terms: &Terms, now: u64) -> u64 {
        self.stretches.iter().map(|stretch| stretch.worth(terms, now)).sum()
    }

    /// When the bucket would be full if what is held were given back, as far as is known; for a
    /// request of `cost` that can be paid, no later than that says.
    pub(crate) fn full_at(&self, terms: &Terms, paid: Option<u64>, now: Nanos) -> Moment {
        let worth = |stretch: &Stretch| {
            let most = stretch.left.saturating_mul(terms.token);
            most.min(stretch.until.saturating_sub(now.get()))
        };
        let held: u64 = self.stretches.iter().map(worth).sum();
        let paid_for = paid.unwrap_or(0).saturating_mul(terms.token);
        let full_at = self.full_at.saturating_sub(held.saturating_add(paid_for));
        let latest = paid.map_or(u64::MAX, |cost| {
            let rest = terms.depth.saturating_sub(cost.saturating_mul(terms.token));
            now.get().saturating_add(rest)
        });
        Moment::at(Nanos::new(full_at.min(latest)))
    }

    /// Until when a request of `cost` is denied.
    pub(crate) fn denied(&self, terms: &Terms, cost: u64, now: Nanos) -> Option<u64> {
        let (until, dear) = self.denied;
        let denied = now.get() < until && cost >= dear && self.held(terms, now.get()) < cost;
        denied.then_some(until)
    }

    /// Takes out what has not been used for a while, or all of it.
    pub(crate) fn give_up(&mut self, terms: &Terms, all: bool, now: Nanos) -> Vec<Stretch> {
        if !all && now.get().saturating_sub(self.used_at) < IDLE {
            return Vec::new();
        }
        let worth = |mut stretch: Stretch| {
            stretch.left = stretch.worth(terms, now.get());
            (stretch.left > 0).then_some(stretch)
        };
        self.stretches.drain(..).filter_map(worth).collect()
    }

    /// Whether nothing would be different without it.
    pub(crate) fn is_spent(&self, terms: &Terms, now: Nanos) -> bool {
        let now = now.get();
        now >= self.denied.0
            && now >= self.full_at
            && now.saturating_sub(self.counted.0) > 2 * terms.pause
            && self.held(terms, now) == 0
    }
}

/// What a lease that denies says, on top of what its bucket would.
pub(crate) fn denial(mut decision: Decision, until: u64, now: Nanos) -> Decision {
    let wait = until.saturating_sub(now.get()).max(1);
    decision.answer = match decision.answer {
        Answer::Never => Answer::Never,
        Answer::Denied { retry_after } => Answer::Denied { retry_after: retry_after.max(wait) },
        Answer::Allowed { .. } => Answer::Denied { retry_after: wait },
    };
    decision
}
