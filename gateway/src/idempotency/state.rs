//! The life of a key: who may run its request, and what is known of how that went.
//!
//! ```text
//! absent --claim--> in flight --complete--> done --ttl--> absent
//!    ^                |    |
//!    +----release-----+    +--lease over, or forsake--> unknown --ttl--> absent
//!                                                          |
//!                          in flight, redriven <--claim----+  only where the route says so
//! ```
//!
//! One function for each arrow, from a slot and the time to the slot as it is then and an answer.
//! Stores apply them where nobody else can come between; the scripts of the Redis store are their
//! twins. Nothing here has a clock, and nothing waits.
//!
//! **The invariant.** Whoever is told [`Claimed::Granted`] runs the request. Nobody is, within the
//! ttl, after somebody else was, unless that one said that nothing was sent, or the key was
//! unknown and the second one knew it: `redrive`.
//!
//! **Unknown is not absent.** A lease that is over says that its holder is slow, paused or dead,
//! and nothing of what it had done by then. So the key is kept, and from then on nobody changes it
//! but by a redrive.

use std::{fmt, sync::Arc, time::Duration};

use super::{fingerprint::Fingerprint, record::Recording};
use crate::clock::Tick;

/// Who asks for a claim: different each time. By it a claim that is sent twice, since its answer
/// was lost, is known to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(u128);

/// The right to say what became of a run: of two for the same key the later has the larger number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    number: u64,
    owner: Owner,
}

/// What a route lays down for its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a claim holds unless it is renewed.
    pub lease: Duration,
    /// How long an outcome, an unknown one too, is kept.
    pub ttl: Duration,
    /// Whether a request runs again whose outcome is unknown: the upstream knows the key too.
    pub redrive: bool,
    /// Whether a request runs without a claim when the store does not answer. Unless it does, a
    /// claim whose answer was lost is taken back: it is certain that nothing ran.
    pub runs_unclaimed: bool,
}

/// What came of asking for a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed<R = Arc<Recording>> {
    /// Run the request, and say what became of it.
    Granted(Fence),
    /// Another one runs it; its lease has this long to go.
    InFlight {
        /// Until the lease is over, unless it is renewed.
        left: Duration,
    },
    /// The key was used for another request.
    Mismatch,
    /// It ran, and this came of it.
    Done(R),
    /// It may have run, or not.
    Unknown,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Phase<R> {
    /// Somebody runs the request, and has until then to say more.
    InFlight {
        /// When the lease is over.
        until: Tick,
    },
    /// It may have run.
    Unknown,
    /// It ran.
    Done(R),
}

/// What is kept of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot<R> {
    print: Fingerprint,
    fence: Fence,
    /// Whether it ran, or may have, before the present claim.
    redriven: bool,
    phase: Phase<R>,
    expires: Tick,
}

/// Who asks for a claim, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Bid<'a> {
    /// What tells its request from others.
    pub print: &'a Fingerprint,
    /// Different each time.
    pub owner: Owner,
    /// The least number that its fence may have: larger than those of keys that the store has
    /// forgotten.
    pub floor: u64,
}

impl Owner {
    /// One that nobody else is.
    pub const fn new(nonce: u128) -> Self {
        Self(nonce)
    }

    /// As the Redis store sends it.
    pub const fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl Fence {
    pub(crate) const fn new(number: u64, owner: Owner) -> Self {
        Self { number, owner }
    }

    /// Larger than that of every earlier claim for the same key.
    pub const fn number(self) -> u64 {
        self.number
    }

    pub(crate) const fn owner(self) -> Owner {
        self.owner
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

impl<R: Clone> Slot<R> {
    /// When nothing needs to be known of it any more.
    pub const fn expires(&self) -> Tick {
        self.expires
    }

    /// Of the latest claim.
    pub const fn fence(&self) -> Fence {
        self.fence
    }

    /// What came of it, if that is known.
    pub const fn outcome(&self) -> Option<&R> {
        match &self.phase {
            Phase::Done(outcome) => Some(outcome),
            Phase::InFlight { .. } | Phase::Unknown => None,
        }
    }

    /// Where the key is at `now`: a lease that is over makes it unknown.
    pub fn phase(&self, now: Tick) -> Phase<R> {
        match &self.phase {
            Phase::InFlight { until } if *until <= now => Phase::Unknown,
            phase => phase.clone(),
        }
    }

    /// Asks for the right to run the request.
    pub fn claim(slot: &mut Option<Self>, bid: Bid<'_>, terms: &Terms, now: Tick) -> Claimed<R> {
        let last = slot.as_ref().map_or(0, |slot| slot.fence.number);
        let number = bid.floor.max(last.saturating_add(1));
        let fence = Fence { number, owner: bid.owner };
        let Some(held) = Self::live(slot, now) else {
            *slot = Some(Self::claimed(*bid.print, fence, false, terms, now));
            return Claimed::Granted(fence);
        };
        // First of all: what is known of another request is no business of this one.
        if held.print != *bid.print {
            return Claimed::Mismatch;
        }
        match held.phase(now) {
            Phase::Done(recording) => Claimed::Done(recording),
            Phase::InFlight { .. } if held.fence.owner == bid.owner => {
                held.lease(terms, now);
                Claimed::Granted(held.fence)
            }
            Phase::InFlight { until } => Claimed::InFlight { left: until.since(now) },
            Phase::Unknown if terms.redrive => {
                *held = Self::claimed(*bid.print, fence, true, terms, now);
                Claimed::Granted(fence)
            }
            Phase::Unknown => Claimed::Unknown,
        }
    }

    /// The holder is still at it. False if it is the holder no more.
    pub fn renew(slot: &mut Option<Self>, fence: Fence, terms: &Terms, now: Tick) -> bool {
        let Some(held) = Self::held(slot, fence, now) else { return false };
        held.lease(terms, now);
        true
    }

    /// It ran, and `outcome` came of it. False if somebody else may have taken over.
    pub fn complete(
        slot: &mut Option<Self>,
        fence: Fence,
        outcome: R,
        terms: &Terms,
        now: Tick,
    ) -> bool {
        let Some(held) = Self::live(slot, now) else { return false };
        // Said twice, since the answer to the first time was lost.
        let again = held.fence == fence && matches!(held.phase, Phase::Done(_));
        if again {
            return true;
        }
        let Some(held) = Self::held(slot, fence, now) else { return false };
        held.phase = Phase::Done(outcome);
        held.expires = now + terms.ttl;
        true
    }

    /// Nothing was sent: the key is as if this claim had never been.
    pub fn release(slot: &mut Option<Self>, fence: Fence, terms: &Terms, now: Tick) -> bool {
        let Some(held) = Self::held(slot, fence, now) else { return false };
        // The run before this one is not undone by that.
        if held.redriven {
            held.forget_holder(terms, now);
        } else {
            *slot = None;
        }
        true
    }

    /// A claim of `owner`, who heard no answer to it and ran nothing. Its lease may be over: what
    /// nobody ran did not happen then either.
    pub fn withdraw(slot: &mut Option<Self>, owner: Owner, terms: &Terms, now: Tick) -> bool {
        let Some(held) = Self::live(slot, now) else { return false };
        if held.fence.owner != owner || !matches!(held.phase, Phase::InFlight { .. }) {
            return false;
        }
        if held.redriven {
            held.forget_holder(terms, now);
        } else {
            *slot = None;
        }
        true
    }

    /// It was sent, and nobody will ever say what came of it.
    pub fn forsake(slot: &mut Option<Self>, fence: Fence, terms: &Terms, now: Tick) -> bool {
        let Some(held) = Self::live(slot, now) else { return false };
        if held.fence != fence {
            return false;
        }
        match held.phase(now) {
            Phase::InFlight { .. } => held.forget_holder(terms, now),
            Phase::Unknown => {}
            Phase::Done(_) => return false,
        }
        true
    }

    fn claimed(print: Fingerprint, fence: Fence, redriven: bool, terms: &Terms, now: Tick) -> Self {
        let until = now + terms.lease;
        let phase = Phase::InFlight { until };
        Self { print, fence, redriven, phase, expires: until + terms.ttl }
    }

    /// Begins the lease anew. If it ends unknown, that is kept for the ttl from then on.
    fn lease(&mut self, terms: &Terms, now: Tick) {
        let until = now + terms.lease;
        self.phase = Phase::InFlight { until };
        self.expires = until + terms.ttl;
    }

    fn forget_holder(&mut self, terms: &Terms, now: Tick) {
        self.phase = Phase::Unknown;
        self.expires = now + terms.ttl;
    }

    /// What is there, unless it has expired.
    fn live(slot: &mut Option<Self>, now: Tick) -> Option<&mut Self> {
        slot.as_mut().filter(|held| held.expires > now)
    }

    /// What is there, if `fence` is that of its holder and the lease is not over.
    fn held(slot: &mut Option<Self>, fence: Fence, now: Tick) -> Option<&mut Self> {
        let in_flight =
            |held: &Self| matches!(held.phase, Phase::InFlight { until } if until > now);
        Self::live(slot, now).filter(|held| held.fence == fence && in_flight(held))
    }
}

#[cfg(test)]
mod tests;
