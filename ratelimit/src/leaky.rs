//! The leaky bucket, as a shaper: requests leave at an even pace, and wait for their turn.
//!
//! It is a token bucket read another way. The moment kept per key is when the queue is empty; a
//! request leaves when what is before it has left. With room for `queue` beside the one that goes
//! at once, it is admitted exactly if a bucket of `queue + 1` tokens would admit it.

use crate::{
    bucket::{Bucket, Turn, Weighed},
    decision::{Answer, Decision},
    moment::{Moment, Nanos},
    rate::{InvalidLimit, Rate},
};

#[cfg(test)]
mod tests;

/// A queue that drains at `rate` and holds `queue` waiting requests of cost 1.
///
/// A request of cost 1 waits at most `queue` intervals; what would wait longer is denied. Requests
/// of cost 1 leave an exact interval apart (rounded up to whole nanoseconds); a dearer one holds
/// the place of so many. A place in the queue cannot be given back, since those behind it know
/// their moment already: a refund does nothing. A charge made afterwards holds up those who come
/// later, up to a full queue. Rate 0, clock steps and the like are as with [`Bucket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaky {
    room: Bucket,
}

impl Leaky {
    /// A queue for `queue` that drains at `rate`.
    ///
    /// # Errors
    /// [`InvalidLimit::Burst`] when it takes over 73 years to drain.
    pub fn new(rate: Rate, queue: u64) -> Result<Self, InvalidLimit> {
        let room = queue.checked_add(1).ok_or(InvalidLimit::Burst)?;
        Ok(Self { room: Bucket::new(rate, room)? })
    }

    /// The queue that admits what `room` does.
    pub(crate) const fn with_room(room: Bucket) -> Self {
        Self { room }
    }

    /// The bucket that admits the same.
    pub const fn bucket(&self) -> &Bucket {
        &self.room
    }

    /// Decides on a request of `cost` by a key whose queue is empty at `empty_at`.
    pub fn decide(&self, empty_at: Moment, cost: u64, now: Nanos) -> Turn<Moment> {
        let weighed = self.room.weigh(empty_at, cost, now);
        Turn { decision: self.tell(&weighed, cost, now), keep: weighed.keep }
    }

    /// What to say of what its bucket made of a request.
    pub(crate) fn tell(&self, weighed: &Weighed, cost: u64, now: Nanos) -> Decision {
        let mut decision = self.room.tell(weighed, cost, now);
        if weighed.passes {
            let parts = self.room.rate().parts();
            let delay = weighed.base.since(Moment::at(now), parts).ceil();
            decision.answer = Answer::Allowed { delay };
        }
        decision
    }

    /// The state after `cost` more has been charged for a request that has left.
    pub fn charge(&self, empty_at: Moment, cost: u64, now: Nanos) -> Moment {
        self.room.charge(empty_at, cost, now)
    }
}
