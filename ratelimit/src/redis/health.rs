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
    part::later,
};
use crate::moment::Nanos;

/// How often one kind of fault is told, of a server that answers otherwise.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// How often it is told that a server is down: one that goes down and comes up many times a second
/// is not to fill the log.
const DOWN_EVERY: Duration = Duration::from_secs(10);

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
    /// It cannot write. What it reads, and need not write down, says nothing of that.
    unwritable: bool,
    /// That it is down has been told.
    down_told: bool,
    /// When it is told again.
    down_at: Option<Nanos>,
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

    /// Whether it is down since it cannot write: who probes it has to see whether it can.
    pub(super) fn is_unwritable(&self) -> bool {
        self.troubled.load(Relaxed) && self.lock().unwritable
    }

    /// Returns whether it counted as down, as far as was told.
    pub(super) fn succeed(&self, probe: bool) -> bool {
        if !self.troubled.load(Relaxed) {
            return false;
        }
        let mut inner = self.lock();
        if inner.unwritable && !probe {
            return false;
        }
        self.troubled.store(false, Relaxed);
        (inner.down, inner.unwritable) = (false, false);
        inner.breaker.succeed();
        std::mem::take(&mut inner.down_told)
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
            inner.unwritable |= fault.is_unwritable();
            if inner.breaker.fail(probe, fault.is_unwritable(), now, rng) {
                self.epoch.fetch_add(1, Relaxed);
                inner.down = true;
            }
            if inner.down {
                return inner.tell_down(now);
            }
        }
        let told = &mut inner.told[fault as usize];
        if told.is_some_and(|told| now < told) {
            return News::None;
        }
        *told = Some(later(now, TOLD_EVERY));
        News::Fault
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tell_down(&mut self, now: Nanos) -> News {
        if self.down_told || self.down_at.is_some_and(|at| now < at) {
            return News::None;
        }
        (self.down_told, self.down_at) = (true, Some(later(now, DOWN_EVERY)));
        News::Down
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_goes_down_and_up_is_told_of_now_and_then() {
        let (health, mut rng) = (Health::default(), fastrand::Rng::with_seed(1));
        let (mut downs, mut ups, mut at) = (0, 0, 0);
        // A hundred times in ten seconds.
        for _ in 0..100 {
            while health.is_up() {
                let news = health.fail(Fault::Slow, false, Nanos::new(at), &mut rng);
                downs += u32::from(news == News::Down);
            }
            at += 100_000_000;
            assert_eq!(health.admit(Nanos::new(at)), Admission::Probe);
            ups += u32::from(health.succeed(true));
        }
        assert_eq!((downs, ups), (1, 1));
        // What was not told at first is, if it lasts.
        for _ in 0..5 {
            health.fail(Fault::Slow, false, Nanos::new(9_900_000_000), &mut rng);
        }
        assert!(!health.is_up());
        let mut probe = |at| health.fail(Fault::Slow, true, Nanos::new(at), &mut rng);
        assert_eq!(probe(9_950_000_000), News::None);
        assert_eq!(probe(11_000_000_000), News::Down);
        assert_eq!(probe(30_000_000_000), News::None);
        assert!(health.succeed(true));
    }

    #[test]
    fn one_that_cannot_write_is_not_well_for_what_it_reads() {
        let (health, mut rng) = (Health::default(), fastrand::Rng::with_seed(1));
        assert_eq!(health.fail(Fault::Memory, false, Nanos::ZERO, &mut rng), News::Down);
        assert!(health.is_unwritable());
        // Asked before that, and nothing had to be written.
        assert!(!health.succeed(false));
        assert!(!health.is_up());
        assert_eq!(health.admit(Nanos::new(1)), Admission::Skip);
        assert_eq!(health.admit(Nanos::new(100_000_000)), Admission::Probe);
        // That it says nothing at all does not mean that it can.
        health.fail(Fault::Slow, true, Nanos::new(100_000_000), &mut rng);
        assert!(health.is_unwritable());
        assert!(health.succeed(true));
        assert!(health.is_up() && !health.is_unwritable());
    }
}
