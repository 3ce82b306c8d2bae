//! A bound on the requests that wait for an upstream's answer, found by watching how long they do.
//!
//! The gradient of Netflix's concurrency-limits (Gradient2): while answers take about as long as
//! usual the limit grows by its square root, and when they take longer it shrinks in proportion. A
//! window of samples is concluded at a time, which lasts at least half a round of what is under
//! way, so that the limit's last change shows in it. While less than half of the limit is in use
//! nothing is changed: an idle upstream proves nothing.
//!
//! What is usual cannot be read off an upstream that is full: its queue is the limit's own doing,
//! and an average that follows it up lets the limit run away. So the estimate follows freely only
//! while the limit is not in the way. When it is, the limit is moved by a quarter from time to
//! time: latency that moves with it is a queue, and the estimate is lowered a little; latency that
//! does not is the upstream's own, and the estimate comes after it.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use weir_config::model::Adaptive;

use super::{limit::Gate, load::Outcome};
use crate::clock::Tick;

#[cfg(test)]
mod tests;

/// Shortest window.
const WINDOW: Duration = Duration::from_millis(100);
/// Fewest samples of a window.
const SAMPLES_LEAST: f64 = 10.0;
/// A sample counts for so many times the usual latency at most.
const OUTLIER: f64 = 10.0;
/// A window shrinks the limit to this share at most, before smoothing (Netflix).
const GRADIENT_LEAST: f64 = 0.5;
/// Share of a window's verdict in the next limit (Netflix).
const SMOOTHING: f64 = 0.2;
/// Share of a window in the usual latency when it is shorter, and when it is longer.
const FALL: f64 = 1.0 / 20.0;
const RISE: f64 = 1.0 / 200.0;
/// Windows with the limit in the way after which it is moved.
const PROBE_EVERY: u32 = 20;
/// What it is moved to: down, or up where it is at its least.
const PROBE_DOWN: f64 = 0.75;
const PROBE_UP: f64 = 4.0 / 3.0;
/// How much of the move latency must follow to be a queue, as an exponent.
const ELASTIC: f64 = 0.5;
/// What is left of the usual latency then.
const LOWERED: f64 = 0.8;
/// How far the estimate goes after latency that did not follow.
const RAISED: f64 = 0.5;

/// How the limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Most requests that may wait for their answers.
    pub limit: u32,
    /// How long answers usually take; zero before the first were there.
    pub usual: Duration,
}

/// The limit of one upstream over all workers; off unless configured.
#[derive(Debug, Default)]
pub struct AdaptiveLimit {
    on: AtomicBool,
    gradient: Mutex<Option<Gradient>>,
}

impl AdaptiveLimit {
    /// Takes over what is configured; `max` is the fixed bound above. What was learnt stays.
    pub fn adjust(&self, policy: Option<Adaptive>, max: u32, gate: &Gate) {
        let mut gradient = self.lock();
        *gradient = policy.map(|policy| match gradient.take() {
            Some(before) => before.with(policy, max),
            None => Gradient::new(policy, max),
        });
        gate.set_ahead(gradient.as_ref().map(Gradient::limit));
        self.on.store(gradient.is_some(), Ordering::Relaxed);
    }

    /// Takes a sample: the time to a response's head, or a failure. Never waits; a sample that
    /// meets another worker's is lost.
    pub fn record(&self, gate: &Gate, took: Duration, outcome: Outcome, now: Tick) {
        if !self.on.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut gradient) = self.gradient.try_lock() else { return };
        let Some(gradient) = &mut *gradient else { return };
        if let Some(limit) = gradient.record(took, outcome, gate.in_use_ahead(), now) {
            gate.set_ahead(Some(limit));
        }
    }

    /// How it stands; `None` when it is off.
    pub fn standing(&self) -> Option<Standing> {
        let usual = |gradient: &Gradient| Duration::from_nanos(gradient.usual as u64);
        self.lock().as_ref().map(|one| Standing { limit: one.limit(), usual: usual(one) })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Gradient>> {
        // Nothing panics in between.
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pure part: samples in, limits out.
#[derive(Debug)]
pub struct Gradient {
    min: f64,
    max: f64,
    tolerance: f64,
    limit: f64,
    /// Latency without a queue, in nanoseconds; 0 before it is known.
    usual: f64,
    /// Whether the limit was never in the way yet: it doubles with each window until it is.
    starting: bool,
    window: Window,
    /// Windows in which the limit was in the way, since it was last moved.
    full: u32,
    probe: Option<Probe>,
}

/// Samples of a while.
#[derive(Debug, Default)]
struct Window {
    began: Option<Tick>,
    answers: u32,
    failures: u32,
    nanos: f64,
    /// Most requests that were waiting.
    in_use: u32,
}

/// The limit is moved, to see whether latency moves with it.
#[derive(Debug, Clone, Copy)]
struct Probe {
    factor: f64,
    /// Latency before.
    before: f64,
    /// When what was under way before is over.
    settled: Tick,
}

impl Window {
    fn latency(&self) -> Option<f64> {
        (self.answers > 0).then(|| self.nanos / f64::from(self.answers))
    }

    fn share_of_failures(&self) -> f64 {
        f64::from(self.failures) / f64::from(self.failures + self.answers).max(1.0)
    }
}

impl Gradient {
    /// Begins at the least.
    pub fn new(policy: Adaptive, max: u32) -> Self {
        let this = Self {
            min: 1.0,
            max: 1.0,
            tolerance: 1.0,
            limit: f64::from(policy.min),
            usual: 0.0,
            starting: true,
            window: Window::default(),
            full: 0,
            probe: None,
        };
        this.with(policy, max)
    }

    /// The same with other bounds.
    fn with(mut self, policy: Adaptive, max: u32) -> Self {
        self.max = f64::from(max.max(1));
        self.min = f64::from(policy.min.max(1)).min(self.max);
        self.tolerance = policy.tolerance;
        self.limit = self.limit.clamp(self.min, self.max);
        self
    }

    /// The limit in force.
    pub fn limit(&self) -> u32 {
        let factor = self.probe.map_or(1.0, |probe| probe.factor);
        (self.limit * factor).clamp(self.min, self.max) as u32
    }

    /// Takes a sample: `in_use` requests were waiting, this one included. A new limit, if there is.
    pub fn record(
        &mut self,
        took: Duration,
        outcome: Outcome,
        in_use: u32,
        now: Tick,
    ) -> Option<u32> {
        if self.probe.is_some_and(|probe| now < probe.settled) {
            return None;
        }
        let window = &mut self.window;
        let began = *window.began.get_or_insert(now);
        window.in_use = window.in_use.max(in_use);
        match outcome {
            Outcome::Failure => window.failures += 1,
            Outcome::Success => {
                let most = if self.usual > 0.0 { self.usual * OUTLIER } else { f64::MAX };
                window.nanos += (took.as_nanos() as f64).min(most);
                window.answers += 1;
            }
        }
        let samples = f64::from(window.answers + window.failures);
        if now.since(began) < WINDOW || samples < (self.limit / 2.0).max(SAMPLES_LEAST) {
            return None;
        }
        let window = mem::take(&mut self.window);
        let before = self.limit();
        match self.probe.take() {
            Some(probe) => self.judge(probe, &window),
            None => self.conclude(&window, now),
        }
        let after = self.limit();
        (after != before).then_some(after)
    }

    /// What a window says of the limit.
    fn conclude(&mut self, window: &Window, now: Tick) {
        let full = f64::from(window.in_use) * 2.0 >= self.limit;
        let latency = window.latency();
        if let Some(latency) = latency {
            self.follow(latency, full);
        }
        if !full {
            self.full = 0;
            return;
        }
        let by_latency = latency.map_or(1.0, |latency| self.tolerance * self.usual / latency);
        let gradient = by_latency.min(1.0) * (1.0 - window.share_of_failures());
        let gradient = gradient.max(GRADIENT_LEAST);
        self.starting &= gradient >= 1.0;
        let next = if self.starting {
            self.limit * 2.0
        } else {
            let next = self.limit * gradient + self.limit.sqrt();
            self.limit + (next - self.limit) * SMOOTHING
        };
        self.limit = next.clamp(self.min, self.max);
        self.full += 1;
        if let Some(before) = latency
            && by_latency < 1.0
            && self.full >= PROBE_EVERY
        {
            self.full = 0;
            let down = self.limit * PROBE_DOWN >= self.min;
            let factor = if down { PROBE_DOWN } else { PROBE_UP };
            let settled = now + Duration::from_nanos(before as u64) * 2;
            self.probe = Some(Probe { factor, before, settled });
        }
    }

    /// Takes a window into the usual latency; with the limit in the way only a shorter one.
    fn follow(&mut self, latency: f64, full: bool) {
        if self.usual == 0.0 {
            self.usual = latency;
        } else if latency < self.usual {
            self.usual += (latency - self.usual) * FALL;
        } else if !full {
            self.usual += (latency - self.usual) * RISE;
        }
    }

    /// Whose doing latency is.
    fn judge(&mut self, probe: Probe, window: &Window) {
        let moved = (self.limit * probe.factor).clamp(self.min, self.max);
        let factor = moved / self.limit;
        // Without enough traffic, or with failures, the limit was not what was tried.
        let tried =
            f64::from(window.in_use) >= moved * 0.9 && window.failures * 10 < window.answers;
        let Some(latency) = window.latency().filter(|_| tried && factor != 1.0) else { return };
        if (latency / probe.before).ln() / factor.ln() >= ELASTIC {
            self.usual *= LOWERED;
        } else if latency > self.usual {
            self.usual += (latency - self.usual) * RAISED;
        }
    }
}
