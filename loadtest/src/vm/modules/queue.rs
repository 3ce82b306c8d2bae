//! What a script has written and a connection has not sent yet.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use rquickjs::{Ctx, Result};
use tokio::sync::Notify;

use crate::vm::fiber;

/// Bytes that may wait; beyond it, who writes waits.
const BYTES_MAX: usize = 16 << 20;
/// Messages that may wait, however short.
const MESSAGES_MAX: usize = 100_000;

/// Messages in order, with their lengths.
pub(super) struct Queue<T> {
    items: RefCell<VecDeque<T>>,
    bytes: Cell<usize>,
    state: Cell<State>,
    filled: Notify,
    drained: Notify,
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
            filled: Notify::new(),
            drained: Notify::new(),
        }
    }
}

impl<T> Queue<T> {
    /// Puts a message in, and has the script wait while too much waits. One that is put in after
    /// the end is dropped.
    pub(super) fn push(&self, ctx: &Ctx<'_>, item: T, bytes: usize) -> Result<()> {
        if self.state.get() != State::Open {
            return Ok(());
        }
        self.items.borrow_mut().push_back(item);
        self.bytes.set(self.bytes.get() + bytes);
        self.filled.notify_one();
        while self.state.get() == State::Open
            && (self.bytes.get() > BYTES_MAX || self.items.borrow().len() > MESSAGES_MAX)
        {
            fiber::wait(self.drained.notified()).map_err(|_| fiber::throw_stopped(ctx))?;
        }
        Ok(())
    }

    /// No more will be put in.
    pub(super) fn end(&self) {
        if self.state.get() == State::Open {
            self.state.set(State::Ended);
        }
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// No more will be taken out.
    pub(super) fn close(&self) {
        self.state.set(State::Closed);
        self.items.borrow_mut().clear();
        self.bytes.set(0);
        self.drained.notify_waiters();
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
        self.drained.notify_waiters();
    }

    /// Bytes that are not sent.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }
}
