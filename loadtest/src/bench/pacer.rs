//! When requests begin.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::args::{End, Plan};
use crate::{alarm::Alarm, clock};

/// Most starts of a worker that wait to be taken; further ones are missed.
const DUE_MAX: usize = 1 << 20;

/// Says when a worker's requests begin: at once while there are some left, or by the clock.
#[derive(Debug)]
pub(super) struct Pacer {
    begun: Instant,
    end: Instant,
    left: Cell<u64>,
    is_over: Cell<bool>,
    schedule: Option<Schedule>,
}

#[derive(Debug)]
struct Schedule {
    rate: u64,
    /// This worker takes each `step`-th start, from its own number on.
    step: u64,
    next: Cell<u64>,
    /// Starts that nobody has taken yet.
    due: RefCell<VecDeque<Instant>>,
    taken: Notify,
    missed: Cell<u64>,
}

/// A request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// When it should, where there is a schedule.
    pub(super) scheduled: Option<Instant>,
}

impl Pacer {
    /// That of worker `index`.
    pub(super) fn new(plan: &Plan, index: usize, begun: Instant) -> Self {
        let (threads, index) = (plan.threads as u64, index as u64);
        let (end, left) = match plan.end {
            End::After(time) => (begun + time, u64::MAX),
            End::Requests(count) => {
                let share = count / threads + u64::from(index < count % threads);
                (begun + Duration::from_secs(u32::MAX.into()), share)
            }
        };
        let schedule = plan.rate.map(|rate| Schedule {
            rate,
            step: threads,
            next: Cell::new(index),
            due: RefCell::default(),
            taken: Notify::new(),
            missed: Cell::new(0),
        });
        Self { begun, end, left: Cell::new(left), is_over: Cell::new(false), schedule }
    }

    /// Waits for the next start; none when there is no more.
    pub(super) async fn next(&self) -> Option<Start> {
        let Some(schedule) = &self.schedule else {
            if self.is_over.get() || self.left.get() == 0 {
                return None;
            }
            self.left.set(self.left.get() - 1);
            return Some(Start { scheduled: None });
        };
        loop {
            if let Some(at) = schedule.due.borrow_mut().pop_front() {
                return Some(Start { scheduled: Some(at) });
            }
            if self.is_over.get() {
                return None;
            }
            schedule.taken.notified().await;
        }
    }

    /// No more starts from now on, but for those that are due already.
    pub(super) fn stop(&self) {
        self.is_over.set(true);
        if let Some(schedule) = &self.schedule {
            schedule.taken.notify_waiters();
        }
    }

    /// Starts that were missed, since too many waited already.
    pub(super) fn missed(&self) -> u64 {
        self.schedule.as_ref().map_or(0, |schedule| schedule.missed.get())
    }

    /// When the time is over.
    pub(super) fn end(&self) -> Instant {
        self.end
    }

    /// Whether no more will start.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get() || (self.schedule.is_none() && self.left.get() == 0)
    }

    /// Rings for each start of the schedule until the end; `late` hears how late it came.
    pub(super) async fn ring(&self, mut late: impl FnMut(Duration)) -> io::Result<()> {
        let Some(schedule) = &self.schedule else { return Ok(()) };
        let alarm = Alarm::new()?;
        while !self.is_over.get() && self.left.get() > 0 {
            let at = self.begun + schedule.start(schedule.next.get());
            if at >= self.end {
                break;
            }
            alarm.wait_until(at).await?;
            // All that are due: at high rates several are, each time that the thread runs.
            let now = clock::now();
            loop {
                let at = self.begun + schedule.start(schedule.next.get());
                if at > now || at >= self.end || self.left.get() == 0 {
                    break;
                }
                late(now - at);
                self.left.set(self.left.get() - 1);
                schedule.next.set(schedule.next.get() + schedule.step);
                let mut due = schedule.due.borrow_mut();
                if due.len() < DUE_MAX {
                    due.push_back(at);
                    schedule.taken.notify_one();
                } else {
                    schedule.missed.set(schedule.missed.get() + 1);
                }
            }
            tokio::task::yield_now().await;
        }
        self.stop();
        Ok(())
    }
}

impl Schedule {
    /// The `n`-th start after the first, computed from its number alone.
    fn start(&self, n: u64) -> Duration {
        let nanos = u128::from(n) * 1_000_000_000 / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
