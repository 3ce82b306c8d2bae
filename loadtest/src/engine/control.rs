//! What all threads of a run know of its course.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::clock;

/// The course of a run. Only forward: begin, drain, stop.
#[derive(Debug, Default)]
pub(super) struct Control {
    begun: OnceLock<(Instant, Option<Arc<str>>)>,
    drains: AtomicBool,
    stops: AtomicBool,
    changed: Notify,
}

impl Control {
    /// Begins the test, with what `setup()` returned.
    pub(super) fn begin(&self, at: Instant, data: Option<Arc<str>>) {
        // Only the first counts.
        let _ = self.begun.set((at, data));
        self.changed.notify_waiters();
    }

    /// No iteration begins any more.
    pub(super) fn drain(&self) {
        self.drains.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// And those that run are interrupted.
    pub(super) fn stop(&self) {
        self.stops.store(true, Ordering::Release);
        self.drain();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.drains.load(Ordering::Acquire)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stops.load(Ordering::Acquire)
    }

    /// When the test began; `None` when it will not.
    pub(super) async fn begun(&self) -> Option<(Instant, Option<Arc<str>>)> {
        loop {
            let changed = self.changed.notified();
            // Some end the run with their first iteration: it has begun all the same.
            if let Some(begun) = self.begun.get() {
                return Some(begun.clone());
            }
            if self.is_draining() {
                return None;
            }
            changed.await;
        }
    }

    /// Waits until `at`, or until nothing begins any more: then it says `false`.
    pub(super) async fn sleep_until(&self, at: Instant) -> bool {
        loop {
            let changed = self.changed.notified();
            if self.is_draining() {
                return false;
            }
            let left = at.saturating_duration_since(clock::now());
            if left == Duration::ZERO {
                return true;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }
}
