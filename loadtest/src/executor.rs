//! When iterations begin and when they must have ended. Pure: all times are since the begin of the
//! test, which is after `setup()`.
//!
//! A [`Plan`] is made from a scenario and shared by all workers: worker `w` of `W` runs the VUs
//! whose place in the scenario, counted from 0, is `w` modulo `W`, and begins the `n`-th iteration
//! of an arrival-rate scenario when `n` is `w` modulo `W`.

mod arrivals;
mod vus;

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
}

#[cfg(test)]
mod tests;
