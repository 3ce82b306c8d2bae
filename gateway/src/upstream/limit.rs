//! A bound on what is done at once, over all workers, with a bounded queue before it.
//!
//! While there is room a permit costs one compare-and-swap and no lock. When there is none, a
//! request waits in line; the permit of whoever ends next is handed to the first in line, across
//! threads, and newcomers do not overtake. How long to wait is the caller's business: a dropped
//! [`Acquire`] leaves the line, and hands on what it was given.
//!
//! Below its bound a gate can have a second, lower one that only counts some of the permits: those
//! that have not stepped aside.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering, fence},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::clock::Tick;

mod line;
#[cfg(test)]
mod tests;

use line::Line;

/// The queue before a gate is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all permits are taken and the queue is full")]
pub struct QueueFull;

/// A bounded number of permits and a bounded line of those who wait for one.
#[derive(Debug)]
pub struct Gate {
    /// Permits out in the high half, length of the line in the low half: one word, so that "full"
    /// and "somebody waits" are decided at one moment. The low half changes under the lock only.
    state: AtomicU64,
    max: AtomicU32,
    /// Most permits that have not stepped aside; `u32::MAX` is no such bound.
    ahead: AtomicU32,
    /// Permits that have.
    aside: AtomicU32,
    queue: AtomicU32,
    line: Mutex<Line>,
    /// Since when there has been somebody in the line, in nanoseconds of [`Tick`]; 0 is nobody.
    /// Changes under the lock only.
    standing: AtomicU64,
}

/// By how much a line that stands shortens the patience of who joins it.
const STANDING: u32 = 10;

const PERMIT: u64 = 1 << 32;

const fn permits(state: u64) -> u32 {
    (state >> 32) as u32
}

const fn waiters(state: u64) -> u32 {
    state as u32
}

impl Gate {
    /// A gate of `max` permits and a line of at most `queue`.
    pub fn new(max: u32, queue: u32) -> Self {
        Self {
            state: AtomicU64::new(0),
            max: AtomicU32::new(max),
            ahead: AtomicU32::new(u32::MAX),
            aside: AtomicU32::new(0),
            queue: AtomicU32::new(queue),
            line: Mutex::new(Line::default()),
            standing: AtomicU64::new(0),
        }
    }

    /// A permit, if there is one and nobody waits for it.
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        self.take().then(|| Permit::of(self))
    }

    /// A permit, after a wait in line if need be; [`QueueFull`] at once when the line is full.
    pub fn acquire(self: &Arc<Self>) -> Acquire {
        Acquire { gate: Arc::clone(self), step: Step::Start }
    }

    /// Permits out.
    pub fn in_use(&self) -> u32 {
        permits(self.state.load(Ordering::Relaxed))
    }

    /// Permits there are.
    pub fn max(&self) -> u32 {
        self.max.load(Ordering::Relaxed)
    }

    /// Permits out that have not stepped aside.
    pub fn in_use_ahead(&self) -> u32 {
        self.in_use().saturating_sub(self.aside.load(Ordering::Relaxed))
    }

    /// Length of the line.
    pub fn waiting(&self) -> u32 {
        waiters(self.state.load(Ordering::Relaxed))
    }

    /// How long somebody in the line should wait: `most`, but a tenth of it when the line has not
    /// been empty for as long as that. A line that comes from a burst is gone by then; one that
    /// stands makes every request late and none more likely to be served (the queue discipline of
    /// "Fail at Scale", ACM Queue 13(8), 2015).
    pub fn patience(&self, most: Duration, now: Tick) -> Duration {
        let _line = self.lock();
        if self.waiting() == 0 {
            return most;
        }
        match self.standing.load(Ordering::Relaxed) {
            0 => self.standing.store(now.nanos().max(1), Ordering::Relaxed),
            since if now.since(Tick::from_nanos(since)) > most => return most / STANDING,
            _ => {}
        }
        most
    }

    /// To be called under the lock when somebody has left the line.
    fn look_at_line(&self) {
        if self.waiting() == 0 {
            self.standing.store(0, Ordering::Relaxed);
        }
    }

    /// Changes both bounds. Permits that are out stay valid: a lower `max` holds from when enough
    /// of them came back. Who waits keeps waiting even if the line got too long.
    pub fn set_max(&self, max: u32, queue: u32) {
        self.max.store(max, Ordering::SeqCst);
        self.queue.store(queue, Ordering::SeqCst);
        self.admit();
    }

    /// Bounds the permits that have not stepped aside, below the gate's own bound; `None` lifts it.
    pub fn set_ahead(&self, most: Option<u32>) {
        self.ahead.store(most.unwrap_or(u32::MAX), Ordering::SeqCst);
        self.admit();
    }

    /// How many permits may be out at this moment.
    fn room(&self) -> u32 {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let aside = self.aside.load(Ordering::Relaxed);
        self.max.load(Ordering::Relaxed).min(ahead.saturating_add(aside))
    }

    fn take(&self) -> bool {
        let max = self.room();
        self.step(|state| (waiters(state) == 0 && permits(state) < max).then(|| state + PERMIT))
    }

    fn release(&self) {
        let before = self.state.fetch_sub(PERMIT, Ordering::AcqRel);
        // A newcomer joins the line only at a moment without room, so whoever makes room sees it.
        if waiters(before) > 0 {
            self.admit();
        }
    }

    /// Lets in from the line as many as there is room for.
    #[cold]
    fn admit(&self) {
        loop {
            let mut line = self.lock();
            let max = self.room();
            let admitted = self.step(|state| {
                (waiters(state) > 0 && permits(state) < max).then(|| state + PERMIT - 1)
            });
            let waker = if admitted { line.grant_first() } else { None };
            self.look_at_line();
            drop(line);
            // Outside of the lock: a waker may run whatever it likes, even drop another `Acquire`.
            if let Some(waker) = waker {
                waker.wake();
            }
            // Whoever makes room from here on comes by this way as well.
            let state = self.state.load(Ordering::Acquire);
            if !admitted || waiters(state) == 0 || permits(state) >= self.room() {
                break;
            }
        }
    }

    fn step(&self, next: impl FnMut(u64) -> Option<u64>) -> bool {
        // Acquire and release: what the last holder did happens before what the next one does.
        self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next).is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // Nothing panics while the line is being changed.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a permit. Does nothing before its first poll; may be dropped at any time.
#[derive(Debug)]
#[must_use = "a future does nothing unless polled"]
pub struct Acquire {
    gate: Arc<Gate>,
    step: Step,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    InLine(usize),
    Done,
}

impl Acquire {
    fn start(&mut self, waker: &Waker) -> Poll<Result<Permit, QueueFull>> {
        if self.gate.take() {
            self.step = Step::Done;
            return Poll::Ready(Ok(Permit::of(&self.gate)));
        }
        self.join(waker)
    }

    /// Joins the line, unless a permit came back meanwhile: whether there is room is decided at the
    /// very moment at which this one is counted as waiting.
    #[cold]
    fn join(&mut self, waker: &Waker) -> Poll<Result<Permit, QueueFull>> {
        let gate = &self.gate;
        let mut line = gate.lock();
        let max = gate.room();
        let queue = gate.queue.load(Ordering::SeqCst);
        let mut took = false;
        let fits = gate.step(|state| {
            took = waiters(state) == 0 && permits(state) < max;
            match () {
                () if took => Some(state + PERMIT),
                () if waiters(state) < queue => Some(state + 1),
                () => None,
            }
        });
        self.step = if fits && !took { Step::InLine(line.join(waker.clone())) } else { Step::Done };
        drop(line);
        if fits && !took {
            // Who steps aside looks for waiters without the lock, and a waiter looks for room: with
            // a fence on both sides one of them sees the other.
            fence(Ordering::SeqCst);
            if permits(gate.state.load(Ordering::Relaxed)) < gate.room() {
                gate.admit();
            }
        }
        match (fits, took) {
            (false, _) => Poll::Ready(Err(QueueFull)),
            (true, true) => Poll::Ready(Ok(Permit::of(gate))),
            (true, false) => Poll::Pending,
        }
    }
}

impl Future for Acquire {
    type Output = Result<Permit, QueueFull>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let key = match self.step {
            Step::Start => return self.start(context.waker()),
            Step::InLine(key) => key,
            Step::Done => return Poll::Pending,
        };
        let mut line = self.gate.lock();
        if line.is_granted(key) {
            line.leave(key);
            drop(line);
            self.step = Step::Done;
            return Poll::Ready(Ok(Permit::of(&self.gate)));
        }
        let old = line.set_waker(key, context.waker());
        drop(line);
        // Dropping a waker may run code of its task: not under the lock.
        drop(old);
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Step::InLine(key) = self.step else { return };
        let mut line = self.gate.lock();
        let granted = line.is_granted(key);
        let waker = line.leave(key);
        if !granted {
            self.gate.step(|state| Some(state - 1));
            self.gate.look_at_line();
        }
        drop(line);
        drop(waker);
        if granted {
            self.gate.release();
        }
    }
}

/// One of a gate's permits; comes back when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    aside: bool,
}

impl Permit {
    fn of(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::clone(gate), aside: false }
    }

    /// Counts no more for [`Gate::set_ahead`], if that is in force.
    pub fn step_aside(&mut self) {
        let gate = &self.gate;
        if self.aside || gate.ahead.load(Ordering::Relaxed) == u32::MAX {
            return;
        }
        self.aside = true;
        gate.aside.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if waiters(gate.state.load(Ordering::Relaxed)) > 0 {
            gate.admit();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.aside {
            // Before the permit: in between there is too little room, never too much.
            self.gate.aside.fetch_sub(1, Ordering::Relaxed);
        }
        self.gate.release();
    }
}
