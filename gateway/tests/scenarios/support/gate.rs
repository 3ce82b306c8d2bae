//! What holds an origin's answers back until a test has seen what it wants to see.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::eventually;

/// Shut at first; each clone is the same gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Lets all pass who wait, and who comes later.
    pub(crate) fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Waits until it is open, for a bounded time: a test that has failed opens none.
    pub(crate) fn pass(&self) {
        eventually(|| self.0.load(Ordering::Acquire));
    }
}
