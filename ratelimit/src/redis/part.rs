//! What is known of each limit of a request, and what it comes to.

use std::time::Duration;

use smallvec::SmallVec;

use super::{leases::Lent, limit::SharedAsk, name::Name};
use crate::{
    decision::{Answer, Decision, Ruling, Verdict},
    lease::denial,
    moment::Nanos,
    remote::{self, Known},
};

/// One limit of a request, and what became of it.
pub(super) struct Part<'a> {
    pub(super) ask: SharedAsk<'a>,
    pub(super) name: Name,
    /// How things were before this request; `None` where no server said.
    pub(super) known: Option<Known>,
    pub(super) charged: bool,
    /// What its lease made of it.
    pub(super) lent: Option<Lent>,
    /// The server was asked for that.
    pub(super) asked: bool,
}

pub(super) type Parts<'a> = SmallVec<[Part<'a>; 2]>;

impl<'a> Part<'a> {
    pub(super) fn new(ask: SharedAsk<'a>) -> Self {
        Self {
            ask,
            name: Name::new(ask.key),
            known: None,
            charged: false,
            lent: None,
            asked: false,
        }
    }

    /// The question, as the server is asked it.
    pub(super) const fn remote(&self) -> remote::Ask<'a> {
        let SharedAsk { limit, cost, dry_run, .. } = self.ask;
        remote::Ask { limit: limit.remote(), cost, dry_run }
    }

    /// Whether the bucket holds what it costs, by what is known.
    pub(super) fn fits(&self, now: Nanos) -> bool {
        match self.lent {
            Some(Lent::Spent { .. }) => true,
            Some(Lent::Denied { .. }) => false,
            None => self
                .known
                .as_ref()
                .is_none_or(|known| self.ask.limit.remote().passes(known, self.ask.cost, now)),
        }
    }

    pub(super) const fn is_leased(&self) -> bool {
        self.ask.limit.terms().is_some()
    }

    /// Writes down what a lease made of it, if it could.
    pub(super) const fn note_lent(&mut self, lent: Option<Lent>) {
        self.lent = lent;
        self.charged = matches!(lent, Some(Lent::Spent { .. }));
        self.known = match lent {
            Some(Lent::Spent { full_at } | Lent::Denied { full_at, .. }) => {
                Some(Known::Moment(full_at))
            }
            None => None,
        };
    }

    pub(super) fn passes(&self, now: Nanos) -> bool {
        self.ask.dry_run || self.fits(now)
    }
}

/// The verdict from what is known of each part; `substitutes` speak for the others, in order.
pub(super) fn tell(
    parts: &[Part<'_>],
    substitutes: &[Decision],
    passes: bool,
    now: Nanos,
) -> Verdict {
    let mut substitutes = substitutes.iter();
    let decide = |part: &Part<'_>| match &part.known {
        Some(known) => {
            // Of a denied request nothing is charged to the limits that it would have passed.
            let cost = if part.fits(now) && !passes { 0 } else { part.ask.cost };
            let decision = part.ask.limit.remote().decide(known, cost, now);
            match part.lent {
                Some(Lent::Denied { until, .. }) => denial(decision, until, now),
                Some(Lent::Spent { .. }) | None => decision,
            }
        }
        None => substitutes.next().copied().unwrap_or_else(|| unasked(part, true)),
    };
    let mut decide = decide;
    let rulings =
        parts.iter().map(|part| Ruling { decision: decide(part), dry_run: part.ask.dry_run });
    Verdict::new(rulings.collect())
}

/// The answer of a limit that nobody knows the state of.
pub(super) fn unasked(part: &Part<'_>, allowed: bool) -> Decision {
    const LATER: Duration = Duration::from_secs(1);
    let limit = part.ask.limit.remote().most();
    if allowed {
        return Decision {
            limit,
            remaining: limit,
            answer: Answer::Allowed { delay: 0 },
            reset: 0,
        };
    }
    let retry_after = Nanos::from(LATER).get();
    Decision { limit, remaining: 0, answer: Answer::Denied { retry_after }, reset: retry_after }
}

pub(super) fn later(now: Nanos, by: Duration) -> Nanos {
    Nanos::new(now.get().saturating_add(Nanos::from(by).get()))
}
