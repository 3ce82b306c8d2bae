//! What was tried for a request, where not all went well: for the access log, the metrics and
//! `/upstreams`.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{retry::policy::Stop, underway::Underway};
use crate::{clock::Tick, error::Error};

/// Failed requests of an upstream that are remembered.
const REMEMBERED: usize = 16;

/// See the module's page. Made at the first failure, or when an attempt is made beside another.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// Attempts that are over, in the order in which they ended: bounded by the policy's attempts.
    pub tried: Vec<Tried>,
    /// Why there was no further one.
    pub stop: Option<Stop>,
    /// Whether the route's fallback had to step in.
    pub fallback: bool,
}

/// One attempt.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Who was asked.
    pub endpoint: Arc<str>,
    /// What it said.
    pub said: Said,
    /// How long it took.
    pub took: Duration,
    /// What kind of attempt it was.
    pub turn: Turn,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// A response that went to the client.
    Answer(u16),
    /// A response that speaks of a failure.
    Failure(u16),
    /// No response.
    Error(Error),
    /// Another attempt was faster.
    Dropped,
}

/// What kind of attempt it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The first at an upstream.
    First,
    /// After another had failed.
    Retry,
    /// Beside another that was slow.
    Hedge,
}

impl Trail {
    /// Whether the client got a fixed response of the route's fallback.
    pub(crate) fn is_replaced(&self) -> bool {
        let last = self.tried.last().map(|tried| tried.said);
        self.fallback && !matches!(last, Some(Said::Answer(_)))
    }

    /// An attempt is over, at `now`.
    pub(crate) fn note(&mut self, asked: &Underway, said: Said, turn: Turn, now: Tick) {
        let endpoint = asked.load().0.shared.name.clone();
        self.tried.push(Tried { endpoint, said, took: now.since(asked.began()), turn });
    }

    /// The response broke off behind its head, which may have been noted: nothing can follow.
    pub(crate) fn break_off(&mut self, asked: &Underway, error: Error, now: Tick) {
        match self.tried.last_mut() {
            Some(last) if matches!(last.said, Said::Answer(_)) => {
                (last.said, last.took) = (Said::Error(error), now.since(asked.began()));
            }
            _ => self.note(asked, Said::Error(error), Turn::First, now),
        }
        self.stop = Some(Stop::Final);
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(status) | Self::Failure(status) => write!(f, "{status}"),
            Self::Error(error) => f.write_str(error.name()),
            Self::Dropped => f.write_str("dropped"),
        }
    }
}

/// A request that failed on the upstream's account: the client got a 5xx, or not all of a response.
#[derive(Debug, Clone)]
pub struct FailedRequest {
    /// When it was over, in milliseconds of Unix time.
    pub unix_millis: u64,
    /// Its id.
    pub id: Box<str>,
    /// Route that took it.
    pub route: Arc<str>,
    /// Status sent.
    pub status: u16,
    /// Why the gateway answered itself, or cut the response off.
    pub error: Option<Error>,
    /// What was tried.
    pub trail: Trail,
}

/// The latest failed requests of an upstream; only failed requests touch it.
#[derive(Debug, Default)]
pub struct RecentFailures(Mutex<VecDeque<FailedRequest>>);

impl RecentFailures {
    /// Remembers one, and forgets the oldest where there are too many.
    pub fn push(&self, failed: FailedRequest) {
        // Nothing panics while it is held.
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(REMEMBERED - 1);
        recent.push_front(failed);
    }

    /// All that are remembered, the latest first.
    pub fn list(&self) -> Vec<FailedRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
