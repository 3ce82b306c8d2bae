//! The pure part: deadlines and the lazy queue of moments at which to look at them.

use std::{cmp::Reverse, collections::BinaryHeap, fmt, task::Waker};

use crate::clock::Tick;

#[cfg(test)]
mod tests;

/// Deadlines are rounded up to a multiple of 2^22 ns, 4.2 ms.
const GRAIN: u64 = 1 << 22;
/// Places in the queue that are tolerated beyond [`SLACK`] per entry.
const SPARE: usize = 64;
/// Places in the queue per entry before the outdated ones are swept out.
const SLACK: usize = 4;

/// Deadlines by index, and a queue of places (moment, index).
///
/// Invariant: an entry whose deadline is set has a place in the queue at `queued`, which is no
/// later than the deadline. Other places of it may linger from before the deadline was moved
/// earlier; they come up, are recognised by their moment, and are dropped.
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
