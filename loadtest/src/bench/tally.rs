//! What happened.

use std::{collections::BTreeMap, time::Duration};

use crate::metrics::Trend;

/// Different errors that are told apart; the rest counts as `other`.
const ERRORS_MAX: usize = 32;

/// One request that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) status: u16,
    /// Of the body.
    pub(super) bytes: u64,
}

/// Counts and times, of one thread or of all.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// From sending to the last byte, in milliseconds.
    pub(super) service: Trend,
    /// From the scheduled start to the last byte, in milliseconds, where there is a schedule.
    pub(super) response: Trend,
    /// From the scheduled start to when this program was ready to send, in milliseconds: its own
    /// lateness, without waits for a connection.
    pub(super) lateness: Trend,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) bytes: u64,
}

impl Tally {
    /// A request was answered.
    pub(super) fn answer(&mut self, answered: Answered, service: Duration) {
        self.service.add(milliseconds(service));
        *self.statuses.entry(answered.status).or_default() += 1;
        self.bytes += answered.bytes;
    }

    /// A request failed.
    pub(super) fn fail(&mut self, error: String) {
        let known = self.errors.len() < ERRORS_MAX || self.errors.contains_key(&error);
        let error = if known { error } else { "other".to_owned() };
        *self.errors.entry(error).or_default() += 1;
    }

    /// Adds all that `other` counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.service.merge(&other.service);
        self.response.merge(&other.response);
        self.lateness.merge(&other.lateness);
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
        self.bytes += other.bytes;
    }

    /// Requests answered.
    pub(super) fn answered(&self) -> u64 {
        self.service.count()
    }

    /// Requests that failed.
    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// A time in milliseconds.
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up_and_are_bounded() {
        let mut all = Tally::default();
        for ms in 1..=10 {
            let mut one = Tally::default();
            one.answer(Answered { status: 200, bytes: 7 }, Duration::from_millis(ms));
            (0..10).for_each(|i| one.fail(format!("error {ms} {i}")));
            all.merge(&one);
        }
        assert_eq!((all.answered(), all.failed(), all.bytes), (10, 100, 70));
        assert!((all.service.percentile(50.0) - 5.5).abs() < 0.6);
        let mut one = Tally::default();
        (0..100).for_each(|i| one.fail(format!("error {i}")));
        assert_eq!((one.errors.len(), one.failed()), (ERRORS_MAX + 1, 100));
    }
}
