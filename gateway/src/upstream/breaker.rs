//! A circuit breaker: gives an endpoint up for a while by the share of its requests that fail.
//!
//! Closed, it lets everything through and counts. Too many failures in its window open it: nobody
//! is let through until its time is over. Then it is half open: a few probes decide whether it
//! closes or opens again, for longer.
//!
//! One [`Breaker`] per endpoint, shared by all workers and carried over reloads. A pick reads one
//! word of it; so does a request, which gets a [`Pass`] and [records](Breaker::record) with it how
//! it ended. Counting takes no lock; changes of state and probes do. A pass holds the state that
//! gave it out: what it tells of an earlier one counts for nothing.
//!
//! Pure: time is an argument.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use weir_config::model;

use crate::clock::Tick;

mod limits;
mod report;
#[cfg(test)]
mod tests;
mod trial;
mod window;

use limits::Limits;
pub use report::{Change, Counts, Reason, Report, State};
use trial::Trial;
use window::Window;

/// The longest time that an endpoint's Retry-After keeps its breaker open.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);
/// How many times `open` a breaker that opens again and again stays open at most.
pub const LONGEST_OPEN: u32 = 10;

/// The mode in the low bits of a breaker's word; above them is how often it changed.
const MODE: u64 = 0b11;
const OFF: u64 = 0;
const CLOSED: u64 = 1;
const OPEN: u64 = 2;
const HALF_OPEN: u64 = 3;
/// A change in a breaker's word.
const ONE_CHANGE: u64 = 1 << MODE.count_ones();

/// See the module's page.
#[derive(Debug)]
pub struct Breaker {
    /// The mode, and how often it changed.
    word: AtomicU64,
    /// Until when nobody is let through, unless it is off or closed; in nanoseconds of [`Tick`].
    shut_until: AtomicU64,
    /// Until when the endpoint asked not to be asked, by the latest failure that said so.
    wanted: AtomicU64,
    limits: Limits,
    window: Window,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    policy: Option<model::Breaker>,
    /// Why it opened last, as long as it is not closed.
    reason: Option<Reason>,
    /// Openings so far.
    opened: u64,
    /// Openings since it was closed.
    row: u32,
    /// When it changed last.
    since: Tick,
    trial: Trial,
}

/// Leave to ask an endpoint, to be given back with [`Breaker::record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a probe's place is taken until its pass is recorded"]
pub struct Pass {
    /// The word of the breaker that gave it out.
    word: u64,
    /// Which of its probes it is; nothing otherwise.
    probe: u32,
    /// Whether it is the first probe.
    first: bool,
}

impl Pass {
    /// Whether a breaker watches what becomes of it.
    pub const fn is_watched(self) -> bool {
        self.word & MODE != OFF
    }

    /// Whether it is a probe of a breaker half open.
    pub const fn is_probe(self) -> bool {
        self.word & MODE == HALF_OPEN
    }

    /// The change that came with giving it out.
    pub const fn change(self) -> Option<Change> {
        if self.first { Some(Change::HalfOpen) } else { None }
    }
}

/// What became of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint answered.
    Success,
    /// It did not, or with a failure of its own.
    Failure,
    /// Nobody knows: the request was given up, or failed for a reason that is none of the
    /// endpoint's.
    Unknown,
}

impl Breaker {
    /// One that is off.
    pub fn new() -> Self {
        Self {
            word: AtomicU64::new(OFF),
            shut_until: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            limits: Limits::new(),
            window: Window::new(),
            inner: Mutex::default(),
        }
    }

    /// Takes over a policy, or is off without one. State and counts stay, but those of a window of
    /// another length.
    pub fn adjust(&self, policy: Option<model::Breaker>, now: Tick) -> Option<Change> {
        let mut inner = self.lock();
        let before = inner.policy;
        if before == policy {
            return None;
        }
        inner.policy = policy;
        let Some(policy) = policy else {
            let was = self.word.load(Relaxed) & MODE;
            self.enter(OFF, &mut inner, now);
            return (was != CLOSED).then_some(Change::TurnedOff);
        };
        self.limits.set(&policy);
        match (before, self.word.load(Relaxed) & MODE) {
            (None, _) => {
                self.close(&mut inner, &policy, now);
                None
            }
            (Some(before), CLOSED) if before.window != policy.window => {
                self.close(&mut inner, &policy, now);
                None
            }
            // There may have been as many probes as are asked for now.
            (_, HALF_OPEN) => self.conclude(&mut inner, &policy, now),
            _ => None,
        }
    }

    /// Whether it would let nobody through now. Changes nothing, so that it can be asked of each
    /// endpoint of a pick.
    pub fn refuses(&self, now: Tick) -> bool {
        self.word.load(Relaxed) & MODE > CLOSED && now.nanos() < self.shut_until.load(Relaxed)
    }

    /// Whether it lets everybody through, or is none.
    pub fn is_closed(&self) -> bool {
        self.word.load(Relaxed) & MODE <= CLOSED
    }

    /// Asks for leave to send a request; whoever gets it tells with [`Self::record`], once, what
    /// became of it. A probe that never does keeps its place for as long as the breaker is open the
    /// first time.
    pub fn admit(&self, now: Tick) -> Option<Pass> {
        let word = self.word.load(Relaxed);
        if word & MODE <= CLOSED {
            return Some(Pass { word, probe: 0, first: false });
        }
        self.admit_probe(now)
    }

    #[cold]
    fn admit_probe(&self, now: Tick) -> Option<Pass> {
        if self.refuses(now) {
            return None;
        }
        let mut inner = self.lock();
        let word = self.word.load(Relaxed);
        if word & MODE <= CLOSED {
            return Some(Pass { word, probe: 0, first: false });
        }
        if now.nanos() < self.shut_until.load(Relaxed) {
            return None;
        }
        let policy = inner.policy?;
        let first = word & MODE == OPEN;
        if first {
            inner.trial = Trial::default();
            self.enter(HALF_OPEN, &mut inner, now);
        }
        let probe = inner.trial.admit(&policy, now);
        self.shut_until.store(inner.trial.full_until(&policy).nanos(), Release);
        Some(Pass { word: self.word.load(Relaxed), probe: probe?, first })
    }

    /// What became of a pass, `took` after it was given out or as long as the endpoint alone took;
    /// and how long a failing answer asks to be left alone (Retry-After).
    pub fn record(
        &self,
        pass: Pass,
        verdict: Verdict,
        took: Duration,
        retry_after: Option<Duration>,
        now: Tick,
    ) -> Option<Change> {
        let known = verdict != Verdict::Unknown;
        match pass.word & MODE {
            CLOSED if known && self.word.load(Acquire) == pass.word => {}
            HALF_OPEN => return self.judge(pass, verdict, took, retry_after, now),
            _ => return None,
        }
        let failed = verdict == Verdict::Failure;
        if failed {
            self.heed(retry_after, now);
        }
        let slow = self.limits.is_slow(took);
        self.window.add(pass.word / ONE_CHANGE, failed, slow, now);
        self.limits.reason(self.window.counts(now))?;
        self.trip(pass, now)
    }

    /// Opens, unless somebody else just did.
    #[cold]
    fn trip(&self, pass: Pass, now: Tick) -> Option<Change> {
        let mut inner = self.lock();
        if self.word.load(Relaxed) != pass.word {
            return None;
        }
        let reason = self.limits.reason(self.window.counts(now))?;
        self.open(&mut inner, reason, now)
    }

    /// Takes in what became of a probe.
    #[cold]
    fn judge(
        &self,
        pass: Pass,
        verdict: Verdict,
        took: Duration,
        retry_after: Option<Duration>,
        now: Tick,
    ) -> Option<Change> {
        let mut inner = self.lock();
        if self.word.load(Relaxed) != pass.word {
            return None;
        }
        let policy = inner.policy?;
        let slow = verdict != Verdict::Unknown && self.limits.is_slow(took);
        inner.trial.record(pass.probe, verdict, slow);
        if verdict == Verdict::Failure {
            self.heed(retry_after, now);
        }
        self.conclude(&mut inner, &policy, now)
    }

    /// Ends the trial if it has come to a conclusion.
    fn conclude(&self, inner: &mut Inner, policy: &model::Breaker, now: Tick) -> Option<Change> {
        match inner.trial.conclusion(policy) {
            None => {
                self.shut_until.store(inner.trial.full_until(policy).nanos(), Release);
                None
            }
            Some(Ok(())) => {
                self.close(inner, policy, now);
                Some(Change::Closed { probes: policy.probes })
            }
            Some(Err(reason)) => self.open(inner, reason, now),
        }
    }

    /// Whether a request that takes so long counts as slow.
    pub fn is_slow(&self, took: Duration) -> bool {
        self.limits.is_slow(took)
    }

    /// How it stands.
    pub fn state(&self, now: Tick) -> State {
        match self.word.load(Relaxed) & MODE {
            OFF => State::Off,
            CLOSED => State::Closed,
            OPEN if now.nanos() < self.shut_until.load(Relaxed) => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// Until when it is open; nothing when it is not.
    pub fn opens_until(&self, now: Tick) -> Option<Tick> {
        let until = Tick::from_nanos(self.shut_until.load(Relaxed));
        (self.state(now) == State::Open).then_some(until)
    }

    /// How it stands, in detail; nothing when it is off.
    pub fn report(&self, now: Tick) -> Option<Report> {
        let inner = self.lock();
        inner.policy?;
        let state = self.state(now);
        let counts = match state {
            State::Closed => self.window.counts(now),
            State::HalfOpen => inner.trial.counts(),
            State::Off | State::Open => Counts::default(),
        };
        Some(Report {
            state,
            counts,
            opened: inner.opened,
            since: inner.since,
            until: self.opens_until(now),
            reason: inner.reason,
        })
    }

    /// Remembers what a failing answer asks for.
    fn heed(&self, retry_after: Option<Duration>, now: Tick) {
        if let Some(delay) = retry_after {
            self.wanted.store((now + delay.min(LONGEST_RETRY_AFTER)).nanos(), Relaxed);
        }
    }

    fn open(&self, inner: &mut Inner, reason: Reason, now: Tick) -> Option<Change> {
        let base = inner.policy?.open;
        let times = 1_u32.checked_shl(inner.row).unwrap_or(LONGEST_OPEN).min(LONGEST_OPEN);
        let length = base.saturating_mul(times);
        // A tenth at most, by the moment's last digits: other gateways find other ones.
        let dice = scatter(now.nanos() ^ self.word.load(Relaxed)) >> 11;
        let jitter = length.mul_f64(dice as f64 / (1_u64 << 53) as f64 / 10.0);
        let wanted = Tick::from_nanos(self.wanted.swap(0, Relaxed));
        let until = (now + length + jitter).max(wanted);
        inner.row = (inner.row + 1).min(LONGEST_OPEN);
        inner.opened += 1;
        inner.reason = Some(reason);
        self.shut_until.store(until.nanos(), Release);
        self.enter(OPEN, inner, now);
        Some(Change::Opened { reason, length: until.since(now) })
    }

    /// Begins anew with an empty window.
    fn close(&self, inner: &mut Inner, policy: &model::Breaker, now: Tick) {
        inner.row = 0;
        inner.reason = None;
        self.wanted.store(0, Relaxed);
        let next = self.word.load(Relaxed) / ONE_CHANGE + 1;
        self.window.restart(policy.window, next, now);
        self.enter(CLOSED, inner, now);
    }

    fn enter(&self, mode: u64, inner: &mut Inner, now: Tick) {
        inner.since = now;
        let word = self.word.load(Relaxed);
        self.word.store((word & !MODE).wrapping_add(ONE_CHANGE) | mode, Release);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What a panic in between leaves is put right by the next change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

/// SplitMix64's finalizer.
const fn scatter(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
