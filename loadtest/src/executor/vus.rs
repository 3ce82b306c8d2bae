//! Executors in which each VU begins an iteration when it has ended the one before.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::options::{Executor, Scenario, Stage};

/// What a VU does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An iteration, now.
    Begin {
        /// Its number in the scenario, from 0.
        iteration: u64,
        /// When it is interrupted if it has not ended.
        deadline: Duration,
    },
    /// Nothing until then; then it asks again.
    Wait {
        /// Since the begin of the test.
        until: Duration,
    },
    /// Nothing any more.
    Stop,
}

/// The schedule of a scenario whose VUs are counted. Shared by the workers: the only thing that
/// changes is the number of iterations begun.
#[derive(Debug)]
pub struct Vus {
    begin: Duration,
    /// From its begin to its regular end.
    length: Duration,
    graceful_stop: Duration,
    shape: Shape,
    begun: AtomicU64,
}

#[derive(Debug)]
enum Shape {
    Constant { vus: u32 },
    Shared { vus: u32, iterations: u64 },
    PerVu { vus: u32, iterations: u64 },
    Ramping { start_vus: u64, stages: Vec<Stage>, graceful_ramp_down: Duration },
}

/// A time in which a VU may begin iterations, since the begin of the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    from: Duration,
    to: Duration,
    /// Whether a stage ended it, and not the end of the scenario.
    ramped_down: bool,
}

impl Vus {
    /// The schedule of `scenario`, which has no arrival-rate executor; of one that has, an empty
    /// one.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let (length, shape) = match &scenario.executor {
            Executor::ConstantVus { vus, duration } => (*duration, Shape::Constant { vus: *vus }),
            Executor::SharedIterations { vus, iterations, max_duration } => {
                (*max_duration, Shape::Shared { vus: *vus, iterations: *iterations })
            }
            Executor::PerVuIterations { vus, iterations, max_duration } => {
                (*max_duration, Shape::PerVu { vus: *vus, iterations: *iterations })
            }
            Executor::RampingVus { start_vus, stages, graceful_ramp_down } => {
                let shape = Shape::Ramping {
                    start_vus: u64::from(*start_vus),
                    stages: stages.clone(),
                    graceful_ramp_down: *graceful_ramp_down,
                };
                (stages.iter().map(|stage| stage.duration).sum(), shape)
            }
            Executor::ConstantArrivalRate { .. } | Executor::RampingArrivalRate { .. } => {
                (Duration::ZERO, Shape::Constant { vus: 0 })
            }
        };
        let (begin, graceful_stop) = (scenario.start_time, scenario.graceful_stop);
        Self { begin, length, graceful_stop, shape, begun: AtomicU64::new(0) }
    }

    /// What the VU at place `vu` of this scenario, counted from 0, does at `now`. It has begun
    /// `done` iterations here. A [`Step::Begin`] counts as begun.
    pub fn next(&self, vu: u32, done: u64, now: Duration) -> Step {
        if vu >= self.vus_most() {
            return Step::Stop;
        }
        let Some(since) = now.checked_sub(self.begin) else {
            return Step::Wait { until: self.begin };
        };
        let deadline = match &self.shape {
            Shape::Ramping { .. } => match self.ramping(vu, since) {
                Ok(deadline) => deadline,
                Err(step) => return step,
            },
            Shape::PerVu { iterations, .. } if done >= *iterations => return Step::Stop,
            _ if since >= self.length => return Step::Stop,
            _ => self.length + self.graceful_stop,
        };
        match self.claim() {
            Some(iteration) => Step::Begin { iteration, deadline: self.begin + deadline },
            None => Step::Stop,
        }
    }

    /// How many VUs it needs.
    pub fn vus_most(&self) -> u32 {
        match &self.shape {
            Shape::Constant { vus } | Shape::Shared { vus, .. } | Shape::PerVu { vus, .. } => *vus,
            Shape::Ramping { start_vus, stages, .. } => {
                let targets = stages.iter().map(|stage| stage.target);
                targets.fold(*start_vus, u64::max).try_into().unwrap_or(u32::MAX)
            }
        }
    }

    /// How many VUs may begin iterations at `now`.
    pub fn vus(&self, now: Duration) -> u32 {
        let Some(since) = now.checked_sub(self.begin).filter(|since| *since < self.length) else {
            return 0;
        };
        let Shape::Ramping { start_vus, stages, .. } = &self.shape else {
            return self.vus_most();
        };
        let (mut from, mut passed) = (*start_vus, Duration::ZERO);
        for Stage { duration, target } in stages {
            if since < passed + *duration {
                let (since, length) = ((since - passed).as_nanos(), duration.as_nanos());
                let steps = u128::from(from.abs_diff(*target)) * since / length;
                let steps = u64::try_from(steps).unwrap_or(u64::MAX);
                let now = if *target > from { from + steps } else { from - steps };
                return now.try_into().unwrap_or(u32::MAX);
            }
            (from, passed) = (*target, passed + *duration);
        }
        0
    }

    /// Iterations that were to be begun but never were; for executors that count them. To be asked
    /// when all VUs have stopped: k6 counts them as dropped.
    pub fn unbegun(&self) -> u64 {
        let wanted = match &self.shape {
            Shape::Shared { iterations, .. } => *iterations,
            Shape::PerVu { vus, iterations } => iterations.saturating_mul(u64::from(*vus)),
            Shape::Constant { .. } | Shape::Ramping { .. } => 0,
        };
        wanted.saturating_sub(self.begun())
    }

    /// Iterations begun so far.
    pub fn begun(&self) -> u64 {
        let begun = self.begun.load(Ordering::Relaxed);
        if let Shape::Shared { iterations, .. } = self.shape {
            begun.min(iterations)
        } else {
            begun
        }
    }

    /// Iterations there will be, for executors that count them.
    pub fn iterations(&self) -> Option<u64> {
        match &self.shape {
            Shape::Shared { iterations, .. } => Some(*iterations),
            Shape::PerVu { vus, iterations } => Some(iterations.saturating_mul(u64::from(*vus))),
            Shape::Constant { .. } | Shape::Ramping { .. } => None,
        }
    }

    /// When it begins.
    pub fn begin(&self) -> Duration {
        self.begin
    }

    /// Its regular end, at the latest.
    pub fn end(&self) -> Duration {
        self.begin + self.length
    }

    /// When iterations still running are interrupted.
    pub fn deadline(&self) -> Duration {
        self.end() + self.graceful_stop
    }

    /// The number of the iteration that begins now, if one may.
    fn claim(&self) -> Option<u64> {
        let iteration = self.begun.fetch_add(1, Ordering::Relaxed);
        match self.shape {
            Shape::Shared { iterations, .. } if iteration >= iterations => None,
            _ => Some(iteration),
        }
    }

    /// The deadline of an iteration begun now, or what to do instead.
    fn ramping(&self, vu: u32, since: Duration) -> Result<Duration, Step> {
        let Shape::Ramping { graceful_ramp_down, .. } = &self.shape else {
            return Err(Step::Stop);
        };
        let last = self.length + self.graceful_stop;
        let mut windows = self.windows(vu).into_iter().skip_while(|window| window.to <= since);
        let Some(mut window) = windows.next() else { return Err(Step::Stop) };
        if since < window.from {
            return Err(Step::Wait { until: self.begin + window.from });
        }
        // A VU that is wanted again before it was cut off simply goes on.
        for next in windows {
            if next.from > window.to + *graceful_ramp_down {
                break;
            }
            window = next;
        }
        let grace = if window.ramped_down { *graceful_ramp_down } else { self.graceful_stop };
        Ok((window.to + grace).min(last))
    }

    /// When the VU at place `vu` is wanted.
    fn windows(&self, vu: u32) -> Vec<Window> {
        let Shape::Ramping { start_vus, stages, .. } = &self.shape else { return Vec::new() };
        let vu = u64::from(vu);
        let (mut from, mut passed, mut windows) = (*start_vus, Duration::ZERO, Vec::new());
        let mut open = (*start_vus > vu).then_some(Duration::ZERO);
        for Stage { duration, target } in stages {
            // The number of VUs changes by one at even distances, the last time at the end.
            let change = |steps: u64| passed + share(*duration, steps, from.abs_diff(*target));
            if let Some(opened) = open.filter(|_| *target <= vu) {
                let window = Window { from: opened, to: change(from - vu), ramped_down: true };
                windows.extend((window.to > window.from).then_some(window));
                open = None;
            } else if open.is_none() && *target > vu {
                open = Some(change(vu + 1 - from));
            }
            (from, passed) = (*target, passed + *duration);
        }
        let rest = open.map(|from| Window { from, to: self.length, ramped_down: false });
        windows.extend(rest.filter(|window| window.to > window.from));
        windows
    }
}

/// `part / whole` of `duration`.
fn share(duration: Duration, part: u64, whole: u64) -> Duration {
    let nanos = duration.as_nanos() * u128::from(part) / u128::from(whole.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
