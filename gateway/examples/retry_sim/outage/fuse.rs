//! Failing fast: after many failures nothing is sent for a while, then a few probes.

use std::{collections::VecDeque, time::Duration};

use weir_gateway::clock::Tick;

/// Over how long, and from how many outcomes on, more failures than answers open it.
const WINDOW: Duration = Duration::from_secs(10);
const LEAST: usize = 20;
/// For how long nothing is sent.
const OPEN: Duration = Duration::from_secs(1);
/// Probes that must all be answered then.
const PROBES: u32 = 3;

/// Under which state a request was let through; what comes of it counts only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Leave(u32);

#[derive(Debug)]
enum State {
    Closed,
    Open { until: Tick },
    HalfOpen { sent: u32, answered: u32 },
}

/// One for all clients.
#[derive(Debug)]
pub(super) struct Fuse {
    state: State,
    /// Times that the state has changed.
    changes: u32,
    /// Outcomes of late: when, and whether it was an answer.
    outcomes: VecDeque<(Tick, bool)>,
    failures: usize,
}

impl Fuse {
    pub(super) const fn new() -> Self {
        Self { state: State::Closed, changes: 0, outcomes: VecDeque::new(), failures: 0 }
    }

    /// Whether a request may be sent.
    pub(super) fn admit(&mut self, now: Tick) -> Option<Leave> {
        match &mut self.state {
            State::Closed => {}
            State::Open { until } if now < *until => return None,
            State::Open { .. } => self.change(State::HalfOpen { sent: 1, answered: 0 }),
            State::HalfOpen { sent, .. } if *sent == PROBES => return None,
            State::HalfOpen { sent, .. } => *sent += 1,
        }
        Some(Leave(self.changes))
    }

    /// Takes note of what came of it.
    pub(super) fn record(&mut self, leave: Leave, success: bool, now: Tick) {
        if leave != Leave(self.changes) {
            return;
        }
        let open = State::Open { until: now + OPEN };
        match &mut self.state {
            State::HalfOpen { .. } if !success => self.change(open),
            State::HalfOpen { answered, .. } => {
                *answered += 1;
                if *answered == PROBES {
                    self.change(State::Closed);
                }
            }
            State::Closed => {
                if self.tips(success, now) {
                    self.change(open);
                }
            }
            State::Open { .. } => {}
        }
    }

    fn tips(&mut self, success: bool, now: Tick) -> bool {
        self.outcomes.push_back((now, success));
        self.failures += usize::from(!success);
        while let Some(&(at, answered)) = self.outcomes.front()
            && now.since(at) > WINDOW
        {
            self.outcomes.pop_front();
            self.failures -= usize::from(!answered);
        }
        self.outcomes.len() >= LEAST && self.failures * 2 > self.outcomes.len()
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.changes += 1;
        self.outcomes.clear();
        self.failures = 0;
    }
}
