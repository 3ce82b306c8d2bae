//! How a server fares, and what of it is news.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    breaker::{Admission, Breaker},
    fault::Fault,
};
use crate::moment::Nanos;

/// How often one kind of fault is told, of a server that answers otherwise.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What of a failure is worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Down,
    Fault,
    None,
}

/// How a server fares, by what all workers have seen.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Something failed since the last success: the lock has to be taken.
    troubled: AtomicBool,
    /// How often it went down: connections from before are not used again.
    epoch: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    breaker: Breaker,
    /// When a fault is told again.
    told: [Option<Nanos>; Fault::ALL.len()],
    down: bool,
}

impl Health {
    pub(super) fn admit(&self, now: Nanos) -> Admission {
        if !self.troubled.load(Relaxed) {
            return Admission::Ask;
        }
        self.lock().breaker.admit(now)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    pub(super) fn abandon(&self) {
        if !self.troubled.load(Relaxed) {
            return;
        }
        self.lock().breaker.abandon();
    }

    pub(super) fn is_up(&self) -> bool {
        !self.lock().down
    }

    /// Whether it counted as down.
    pub(super) fn succeed(&self) -> bool {
        if !self.troubled.load(Relaxed) {
            return false;
        }
        let mut inner = self.lock();
        self.troubled.store(false, Relaxed);
        inner.down = false;
        inner.breaker.succeed()
    }

    pub(super) fn fail(
        &self,
        fault: Fault,
        probe: bool,
        now: Nanos,
        rng: &mut fastrand::Rng,
    ) -> News {
        let mut inner = self.lock();
        if fault.is_lasting() {
            self.troubled.store(true, Relaxed);
            if inner.breaker.fail(probe, now, rng) {
                self.epoch.fetch_add(1, Relaxed);
                inner.down = true;
                return News::Down;
            }
            if inner.down {
                return News::None;
            }
        }
        let told = &mut inner.told[fault as usize];
        if told.is_some_and(|told| now < told) {
            return News::None;
        }
        *told = Some(Nanos::new(now.get() + Nanos::from(TOLD_EVERY).get()));
        News::Fault
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
