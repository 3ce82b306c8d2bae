//! When iterations begin and when they must have ended. Pure: all times are since the begin of the
//! test, which is after `setup()`.
//!
//! A [`Plan`] is made from a scenario and shared by all workers: worker `w` of `W` runs the VUs
//! whose place in the scenario, counted from 0, is `w` modulo `W`, and begins the `n`-th iteration
//! of an arrival-rate scenario when `n` is `w` modulo `W`.

mod arrivals;
mod vus;

use std::time::Duration;

use crate::options::{Executor, Scenario};

pub use self::{
    arrivals::Arrivals,
    vus::{Step, Vus},
};

/// The schedule of a scenario.
#[derive(Debug)]
pub enum Plan {
    /// Each VU asks for its next iteration when it has ended one.
    Vus(Vus),
    /// Iterations begin by the clock, whoever runs them.
    Arrivals(Arrivals),
}

impl Plan {
    /// The schedule of `scenario`.
    pub fn new(scenario: &Scenario) -> Self {
        match &scenario.executor {
            Executor::SharedIterations { .. }
            | Executor::PerVuIterations { .. }
            | Executor::ConstantVus { .. }
            | Executor::RampingVus { .. } => Self::Vus(Vus::new(scenario)),
            Executor::ConstantArrivalRate { .. } | Executor::RampingArrivalRate { .. } => {
                Self::Arrivals(Arrivals::new(scenario))
            }
        }
    }

    /// When it begins.
    pub fn begin(&self) -> Duration {
        match self {
            Self::Vus(vus) => vus.begin(),
            Self::Arrivals(arrivals) => arrivals.begin(),
        }
    }

    /// Its regular end, at the latest: no iteration begins after it.
    pub fn end(&self) -> Duration {
        match self {
            Self::Vus(vus) => vus.end(),
            Self::Arrivals(arrivals) => arrivals.end(),
        }
    }

    /// When iterations still running are interrupted.
    pub fn deadline(&self) -> Duration {
        match self {
            Self::Vus(vus) => vus.deadline(),
            Self::Arrivals(arrivals) => arrivals.deadline(),
        }
    }

    /// How many VUs it uses at most.
    pub fn vus_most(&self) -> u32 {
        match self {
            Self::Vus(vus) => vus.vus_most(),
            Self::Arrivals(arrivals) => arrivals.pool().max_vus,
        }
    }
}

/// What a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// VUs at the same time; scenarios that follow one another use the same ones.
    pub vus_most: u32,
    /// From its begin until the last iteration is interrupted.
    pub duration: Duration,
}

/// What a test of these scenarios needs.
pub fn requirements<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Requirements {
    let plans: Vec<&Plan> = plans.into_iter().collect();
    // The most are busy when one of the scenarios begins.
    let busy = |at: Duration| -> u32 {
        let then = plans.iter().filter(|plan| (plan.begin()..plan.deadline()).contains(&at));
        then.fold(0, |sum, plan| sum.saturating_add(plan.vus_most()))
    };
    let vus_most = plans.iter().map(|plan| busy(plan.begin())).max().unwrap_or(0);
    let duration = plans.iter().map(|plan| plan.deadline()).max().unwrap_or_default();
    Requirements { vus_most, duration }
}

#[cfg(test)]
mod tests;
