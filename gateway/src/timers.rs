//! Deadlines by the thousand without a runtime timer for each: one coarse schedule per worker.
//!
//! A [`Deadline`] belongs to a connection or a request and is moved again and again. Moving it
//! later, the usual case, writes one field: its place in the queue stays where it is, and when that
//! comes up the deadline is looked at and queued anew. One driver task per worker sleeps until the
//! earliest place in the queue. Deadlines are rounded up to about 4 ms, so that many share a
//! wake-up; an expiry is late by at most that and the runtime's own millisecond, never early.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::time::Sleep;

use crate::clock::{self, Tick};

mod schedule;
#[cfg(test)]
mod tests;

use schedule::Schedule;

/// One worker's deadlines. Clones share them.
#[derive(Clone, Default)]
pub struct Timers {
    shared: Rc<RefCell<Shared>>,
}

#[derive(Default)]
struct Shared {
    schedule: Schedule,
    /// The driver, and until when it sleeps.
    driver: Option<(Waker, Tick)>,
}

impl Timers {
    /// No deadlines yet. Nothing expires before [`Timers::driver`] runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// A deadline that is not set.
    pub fn deadline(&self) -> Deadline {
        let index = self.shared.borrow_mut().schedule.insert();
        Deadline { timers: self.clone(), index }
    }

    /// What makes deadlines expire: to be polled by one task of the worker, for as long as it runs.
    pub fn driver(&self) -> Driver {
        Driver { timers: self.clone(), sleep: None }
    }

    /// Expires what is due at `now`; when to come again, if ever.
    fn advance(&self, now: Tick) -> Option<Tick> {
        loop {
            let due = self.shared.borrow_mut().schedule.pop_due(now);
            match due {
                // Woken with nothing borrowed: a waker may drop a task and its deadlines.
                Some(waker) => waker.wake(),
                None => return self.shared.borrow().schedule.next(),
            }
        }
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared.borrow();
        f.debug_struct("Timers").field("schedule", &shared.schedule).finish_non_exhaustive()
    }
}

/// A moment after which something has taken too long. Gives its place back when dropped.
#[derive(Debug)]
pub struct Deadline {
    timers: Timers,
    index: u32,
}

impl Deadline {
    /// Sets or moves it; an expiry that was not seen yet is forgotten. [`Tick::NEVER`] clears it.
    pub fn set(&self, at: Tick) {
        let driver = {
            let mut shared = self.timers.shared.borrow_mut();
            let queued = shared.schedule.set(self.index, at);
            let earlier = shared.driver.as_ref().is_some_and(|(_, until)| queued < *until);
            if earlier { shared.driver.take() } else { None }
        };
        if let Some((waker, _)) = driver {
            waker.wake();
        }
    }

    /// Takes it back; so is an expiry that was not seen yet.
    pub fn clear(&self) {
        self.timers.shared.borrow_mut().schedule.clear(self.index);
    }

    /// Whether it has expired. Reads no clock: the driver says so.
    pub fn is_expired(&self) -> bool {
        self.timers.shared.borrow().schedule.is_expired(self.index)
    }

    /// Ready once it has expired and until it is set anew; else the task of the latest call is
    /// woken when it expires. Reads no clock: the driver says so.
    pub fn poll_expired(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.timers.shared.borrow_mut();
        if shared.schedule.is_expired(self.index) {
            return Poll::Ready(());
        }
        let old = shared.schedule.set_waker(self.index, context.waker());
        drop(shared);
        // With nothing borrowed: the last waker of a task takes the task's deadlines with it.
        drop(old);
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let waker = self.timers.shared.borrow_mut().schedule.remove(self.index);
        drop(waker);
    }
}

/// Sleeps until the next deadline, expires what is due, and so on; never ends.
#[must_use = "a future does nothing unless polled"]
pub struct Driver {
    timers: Timers,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let next = self.timers.advance(clock::now());
            let until = next.unwrap_or(Tick::NEVER);
            let pending = match next {
                None => true,
                Some(at) => {
                    let sleep = match &mut self.sleep {
                        Some(sleep) => {
                            sleep.as_mut().reset(at.instant());
                            sleep
                        }
                        empty => empty.insert(Box::pin(tokio::time::sleep_until(at.instant()))),
                    };
                    sleep.as_mut().poll(context).is_pending()
                }
            };
            if pending {
                self.timers.shared.borrow_mut().driver = Some((context.waker().clone(), until));
                return Poll::Pending;
            }
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("timers", &self.timers).finish_non_exhaustive()
    }
}
