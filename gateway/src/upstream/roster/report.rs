//! How a roster stands, for metrics and the admin API.

use std::sync::Arc;

use super::{Inner, Member, Mode, Roster};
use crate::{
    clock::Tick,
    upstream::{breaker, load::WHOLE_SHARE},
};

/// How the endpoints of an upstream stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// All are asked because too few are well.
    pub panic: bool,
    /// In file order.
    pub endpoints: Vec<EndpointReport>,
}

/// How one endpoint stands.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointReport {
    /// Its address as it is logged.
    pub name: Arc<str>,
    /// Whether it is in use.
    pub state: State,
    /// Since when, as far as this process knows.
    pub since: Tick,
    /// Why it is out of use.
    pub reason: Option<Box<str>>,
    /// How much of what it would be picked for it takes, from 0 to 1.
    pub share: f64,
    /// How often it was ejected.
    pub ejections: u64,
    /// Checks that passed, and those that did not; `None` where nothing is checked.
    pub checks: Option<(u64, u64)>,
    /// How its breaker stands; `None` where there is none.
    pub breaker: Option<breaker::Report>,
}

/// Whether an endpoint is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is.
    Healthy,
    /// The checks have taken it out of use.
    Unhealthy,
    /// It failed too many requests in a row, and is out until then.
    Ejected(Tick),
}

impl Roster {
    /// How things stand.
    pub fn report(&self, now: Tick) -> Report {
        let panic = self.mode() == Mode::Panic;
        let inner = self.lock();
        let endpoint = |(index, member)| inner.endpoint(index, member, now);
        Report { panic, endpoints: inner.members.iter().enumerate().map(endpoint).collect() }
    }
}

impl Inner {
    fn endpoint(&self, index: usize, member: &Member, now: Tick) -> EndpointReport {
        let (state, since, reason) = match self.ejections.record(index).until() {
            // What the checks say lasts until they say otherwise.
            _ if !member.health.is_healthy() => {
                (State::Unhealthy, member.since, Some(member.reason.clone()))
            }
            Some(until) => (State::Ejected(until), member.ejected.0, Some(member.failures())),
            None => (State::Healthy, member.since, None),
        };
        EndpointReport {
            name: member.endpoint.name.clone(),
            state,
            since,
            reason,
            share: f64::from(member.endpoint.load.share()) / f64::from(WHOLE_SHARE),
            ejections: member.ejections,
            checks: self.check.as_ref().map(|_| (member.passed, member.failed)),
            breaker: member.endpoint.breaker.report(now),
        }
    }
}
