//! What a script has written and a connection has not sent yet.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    time::Duration,
};

use rquickjs::{Ctx, Result};
use tokio::{sync::Notify, time::timeout};

use crate::vm::fiber;

/// Bytes that may wait; beyond it, who writes waits while the other side takes any.
const BYTES_MAX: usize = 16 << 20;
/// Messages that may wait, however short.
const MESSAGES_MAX: usize = 100_000;

/// How long a full queue may stand still before it is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Messages in order, with their lengths.
pub(super) struct Queue<T> {
    items: RefCell<VecDeque<T>>,
    bytes: Cell<usize>,
    state: Cell<State>,
    /// How often something was sent.
    turns: Cell<u64>,
    filled: Notify,
    drained: Notify,
    over: Notify,
    stuck: Notify,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// No more will be put in.
    Ended,
    /// No more will be taken out.
    Closed,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            items: RefCell::default(),
            bytes: Cell::new(0),
            state: Cell::new(State::Open),
            turns: Cell::new(0),
            filled: Notify::new(),
            drained: Notify::new(),
            over: Notify::new(),
            stuck: Notify::new(),
        }
    }
}

impl<T> Queue<T> {
    /// Puts a message in, and has the script wait while too much waits; `carried` is a number that
    /// changes while any of it is sent. When nothing is for a while, the queue is closed, and who
    /// waits for [`Self::stuck`] hears of it. A message that is put in after the end is dropped.
    pub(super) fn push(
        &self,
        ctx: &Ctx<'_>,
        item: T,
        bytes: usize,
        carried: impl Fn() -> u64,
    ) -> Result<()> {
        if self.state.get() != State::Open {
            return Ok(());
        }
        self.items.borrow_mut().push_back(item);
        self.bytes.set(self.bytes.get() + bytes);
        self.filled.notify_one();
        while self.is_full() {
            let before = (self.turns.get(), carried());
            let waited = fiber::wait(timeout(PATIENCE, self.drained.notified()));
            let waited = waited.map_err(|_| fiber::throw_stopped(ctx))?;
            if waited.is_err() && self.is_full() && before == (self.turns.get(), carried()) {
                self.close();
                self.stuck.notify_one();
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let much = self.bytes.get() > BYTES_MAX || self.items.borrow().len() > MESSAGES_MAX;
        much && self.state.get() == State::Open
    }

    /// Waits until the queue is given up because nothing was taken out of it for too long.
    pub(super) async fn stuck(&self) {
        self.stuck.notified().await;
    }

    /// Waits until no more will be put in.
    pub(super) async fn over(&self) {
        while self.state.get() == State::Open {
            self.over.notified().await;
        }
    }

    /// No more will be put in.
    pub(super) fn end(&self) {
        if self.state.get() == State::Open {
            self.state.set(State::Ended);
        }
        self.filled.notify_one();
        self.drained.notify_waiters();
        self.over.notify_waiters();
    }

    /// No more will be taken out.
    pub(super) fn close(&self) {
        self.state.set(State::Closed);
        self.items.borrow_mut().clear();
        self.bytes.set(0);
        self.filled.notify_one();
        self.drained.notify_waiters();
        self.over.notify_waiters();
    }

    /// The next message; `None` after the last.
    pub(super) async fn next(&self) -> Option<T> {
        loop {
            if let Some(item) = self.try_next() {
                return Some(item);
            }
            if self.state.get() != State::Open {
                return None;
            }
            self.filled.notified().await;
        }
    }

    /// The next message, if there is one already.
    pub(super) fn try_next(&self) -> Option<T> {
        self.items.borrow_mut().pop_front()
    }

    /// `bytes` of what was taken out are sent.
    pub(super) fn sent(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        self.turns.set(self.turns.get() + 1);
        self.drained.notify_waiters();
    }

    /// Bytes that are not sent.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }
}
