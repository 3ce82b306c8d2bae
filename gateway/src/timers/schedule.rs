//! The pure part: deadlines and the lazy queue of moments at which to look at them.

use std::{cmp::Reverse, collections::BinaryHeap, fmt, task::Waker};

use crate::clock::Tick;

/// Deadlines are rounded up to a multiple of 2^22 ns, 4.2 ms.
const GRAIN: u64 = 1 << 22;
/// Places in the queue that are tolerated beyond [`SLACK`] per entry.
const SPARE: usize = 64;
/// Places in the queue per entry before the outdated ones are swept out.
const SLACK: usize = 4;

/// Deadlines by index, and a queue of places (moment, index).
///
/// Invariant: an entry whose deadline is set has a place in the queue at `queued`, which is no later
/// than the deadline. Other places of it may linger from before the deadline was moved earlier; they
/// come up, are recognised by their moment, and are dropped.
#[derive(Default)]
pub(super) struct Schedule {
    entries: Vec<Entry>,
    free: Vec<u32>,
    queue: BinaryHeap<Reverse<(Tick, u32)>>,
}

struct Entry {
    /// [`Tick::NEVER`] when there is none.
    deadline: Tick,
    /// The earliest place in the queue, [`Tick::NEVER`] when there is none. Survives the owner: the
    /// next one to get this entry profits from the place.
    queued: Tick,
    expired: bool,
    waker: Option<Waker>,
}

impl Schedule {
    pub(super) fn insert(&mut self) -> u32 {
        if let Some(index) = self.free.pop() {
            return index;
        }
        self.entries.push(Entry {
            deadline: Tick::NEVER,
            queued: Tick::NEVER,
            expired: false,
            waker: None,
        });
        // Four thousand million deadlines of at least 40 bytes do not fit a machine.
        (self.entries.len() - 1) as u32
    }

    /// Frees an entry; its waker is to be dropped by the caller.
    pub(super) fn remove(&mut self, index: u32) -> Option<Waker> {
        self.clear(index);
        self.free.push(index);
        self.entries[index as usize].waker.take()
    }

    /// Sets a deadline; the moment at which it will be looked at.
    pub(super) fn set(&mut self, index: u32, at: Tick) -> Tick {
        let at = round_up(at);
        let entry = &mut self.entries[index as usize];
        entry.deadline = at;
        entry.expired = false;
        if at < entry.queued {
            entry.queued = at;
            self.enqueue(at, index);
        }
        self.entries[index as usize].queued
    }

    pub(super) fn clear(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        entry.deadline = Tick::NEVER;
        entry.expired = false;
    }

    pub(super) fn is_expired(&self, index: u32) -> bool {
        self.entries[index as usize].expired
    }

    /// Keeps `waker` if it would wake another task; the old one is to be dropped by the caller.
    pub(super) fn set_waker(&mut self, index: u32, waker: &Waker) -> Option<Waker> {
        let kept = &mut self.entries[index as usize].waker;
        match kept {
            Some(kept) if kept.will_wake(waker) => None,
            _ => kept.replace(waker.clone()),
        }
    }

    /// The earliest place in the queue.
    pub(super) fn next(&self) -> Option<Tick> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// Marks deadlines due at `now` as expired up to the first with a waker, which is returned:
    /// to be called until it returns `None`.
    pub(super) fn pop_due(&mut self, now: Tick) -> Option<Waker> {
        while let Some(&Reverse((at, index))) = self.queue.peek() {
            if at > now {
                return None;
            }
            self.queue.pop();
            let entry = &mut self.entries[index as usize];
            if entry.queued != at {
                continue;
            }
            entry.queued = Tick::NEVER;
            if entry.deadline <= now {
                entry.deadline = Tick::NEVER;
                entry.expired = true;
                if let Some(waker) = entry.waker.take() {
                    return Some(waker);
                }
            } else if entry.deadline != Tick::NEVER {
                entry.queued = entry.deadline;
                self.queue.push(Reverse((entry.deadline, index)));
            }
        }
        None
    }

    fn enqueue(&mut self, at: Tick, index: u32) {
        if self.queue.len() >= SLACK * self.entries.len() + SPARE {
            self.sweep();
        } else {
            self.queue.push(Reverse((at, index)));
        }
    }

    /// Builds the queue anew with one place for each deadline that is set. Paid for by the at least
    /// three outdated places per entry that were added since the last time.
    #[cold]
    fn sweep(&mut self) {
        self.queue.clear();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            entry.queued = entry.deadline;
            if entry.deadline != Tick::NEVER {
                self.queue.push(Reverse((entry.deadline, index as u32)));
            }
        }
    }

    /// Places in the queue.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.queue.len()
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("deadlines", &(self.entries.len() - self.free.len()))
            .field("places", &self.queue.len())
            .finish_non_exhaustive()
    }
}

fn round_up(at: Tick) -> Tick {
    match at.nanos().checked_next_multiple_of(GRAIN) {
        Some(nanos) => Tick::from_nanos(nanos),
        None => Tick::NEVER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(nanos: u64) -> Tick {
        Tick::from_nanos(nanos)
    }

    fn run(schedule: &mut Schedule, now: u64) {
        while schedule.pop_due(at(now)).is_some() {}
    }

    #[test]
    fn a_later_deadline_queues_nothing() {
        let mut schedule = Schedule::default();
        let index = schedule.insert();
        for second in 1..100 {
            schedule.set(index, at(second * SECOND));
        }
        assert_eq!(schedule.places(), 1);
        run(&mut schedule, 98 * SECOND);
        assert!(!schedule.is_expired(index));
        assert_eq!(schedule.next(), Some(round_up(at(99 * SECOND))));
        run(&mut schedule, 100 * SECOND);
        assert!(schedule.is_expired(index));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn an_earlier_deadline_expires_first() {
        let mut schedule = Schedule::default();
        let (a, b) = (schedule.insert(), schedule.insert());
        schedule.set(a, at(60 * SECOND));
        schedule.set(b, at(30 * SECOND));
        schedule.set(a, at(SECOND));
        run(&mut schedule, 2 * SECOND);
        assert!(schedule.is_expired(a) && !schedule.is_expired(b));
        schedule.set(a, at(90 * SECOND));
        run(&mut schedule, 61 * SECOND);
        assert!(!schedule.is_expired(a) && schedule.is_expired(b));
        run(&mut schedule, 91 * SECOND);
        assert!(schedule.is_expired(a));
    }

    #[test]
    fn never_early_and_at_most_a_grain_late() {
        let mut rng = fastrand::Rng::with_seed(4);
        for _ in 0..1000 {
            let wanted = rng.u64(..10 * SECOND);
            let rounded = round_up(at(wanted)).nanos();
            assert!(rounded >= wanted && rounded - wanted < GRAIN);
        }
        assert_eq!(round_up(Tick::NEVER), Tick::NEVER);
    }

    #[test]
    fn a_cleared_deadline_does_not_expire() {
        let mut schedule = Schedule::default();
        let index = schedule.insert();
        schedule.set(index, at(SECOND));
        schedule.clear(index);
        run(&mut schedule, 2 * SECOND);
        assert!(!schedule.is_expired(index));
        schedule.set(index, at(3 * SECOND));
        run(&mut schedule, 4 * SECOND);
        assert!(schedule.is_expired(index));
        schedule.clear(index);
        assert!(!schedule.is_expired(index));
    }

    #[test]
    fn the_next_owner_inherits_no_expiry() {
        let mut schedule = Schedule::default();
        let index = schedule.insert();
        schedule.set(index, at(SECOND));
        schedule.remove(index);
        assert_eq!(schedule.insert(), index);
        run(&mut schedule, 2 * SECOND);
        assert!(!schedule.is_expired(index));
    }

    #[test]
    fn a_million_requests_leave_a_small_queue() {
        let mut schedule = Schedule::default();
        let entries: Vec<u32> = (0..10).map(|_| schedule.insert()).collect();
        let mut most = 0;
        for i in 0..1_000_000_u64 {
            let now = i * 10_000;
            let index = entries[(i % 10) as usize];
            // A request's deadline, then the idle connection's, then a short one: up and down.
            schedule.set(index, at(now + 15 * SECOND));
            schedule.clear(index);
            schedule.set(index, at(now + 75 * SECOND));
            schedule.set(index, at(now + SECOND / 100));
            schedule.clear(index);
            run(&mut schedule, now);
            most = most.max(schedule.places());
        }
        assert!(most <= SLACK * 10 + SPARE, "{most}");
    }

    #[test]
    fn a_million_short_lives_leave_a_small_queue() {
        let mut schedule = Schedule::default();
        for i in 0..1_000_000_u64 {
            let index = schedule.insert();
            schedule.set(index, at(i * 1_000 + 60 * SECOND));
            schedule.remove(index);
        }
        assert_eq!((schedule.entries.len(), schedule.places()), (1, 1));
    }

    /// Random operations against a list of deadlines that is looked through.
    #[test]
    fn agrees_with_a_plain_list() {
        for seed in 0..20 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut schedule = Schedule::default();
            let mut model: Vec<(u32, Option<Tick>)> = Vec::new();
            let mut now = 0;
            for _ in 0..3_000 {
                match rng.u8(..6) {
                    0 if model.len() < 50 => model.push((schedule.insert(), None)),
                    1 if !model.is_empty() => {
                        let (index, _) = model.swap_remove(rng.usize(..model.len()));
                        schedule.remove(index);
                    }
                    2 if !model.is_empty() => {
                        let victim = rng.usize(..model.len());
                        schedule.clear(model[victim].0);
                        model[victim].1 = None;
                    }
                    3 => {
                        now += rng.u64(..SECOND);
                        run(&mut schedule, now);
                    }
                    _ if !model.is_empty() => {
                        let chosen = rng.usize(..model.len());
                        let deadline = at(now + 1 + rng.u64(..20 * SECOND));
                        schedule.set(model[chosen].0, deadline);
                        model[chosen].1 = Some(round_up(deadline));
                    }
                    _ => {}
                }
                for (index, deadline) in &model {
                    let due = deadline.is_some_and(|deadline| deadline <= at(now));
                    assert_eq!(schedule.is_expired(*index), due, "seed {seed}");
                }
                assert!(schedule.places() <= SLACK * schedule.entries.len() + SPARE);
            }
        }
    }
}
