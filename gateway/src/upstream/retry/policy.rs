//! Whether a failed attempt may be followed by another: a pure function of what happened, of the
//! request, and of the route's policy. What it costs and where it goes is decided after.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use http::StatusCode;
use weir_config::model::{Backoff, Hedge, Retry as Config, RetryBudget, RetryOn};

use super::{backoff::full_jitter, budget::Budget};
use crate::error::{Error, Retry};

#[cfg(test)]
mod tests;

/// A route's policy, compiled.
#[derive(Debug)]
pub struct RetryPolicy {
    /// Most attempts at one request, the first included.
    pub attempts: u32,
    /// How long an attempt may take to its response's head while another may follow.
    pub attempt_timeout: Option<Duration>,
    /// Bytes of a request's body that are kept for another attempt.
    pub buffer: u32,
    /// When a second attempt is made beside the first.
    pub hedge: Option<Hedge>,
    /// How many more attempts there may be; carried over reloads.
    pub budget: Arc<Budget>,
    allowance: RetryBudget,
    backoff: Backoff,
    causes: [bool; 3],
    statuses: Statuses,
}

/// Statuses 400 to 599, one bit each.
#[derive(Debug, Default)]
struct Statuses([u64; 4]);

/// What an attempt came to, where it was not simply well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There was no response.
    Error {
        /// Why.
        error: Error,
        /// Whether a byte of the request may have been sent.
        sent: bool,
    },
    /// There was, with this status.
    Status(StatusCode),
}

/// What is known of a request when an attempt at it has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Attempts made.
    pub tries: u32,
    /// Whether to do it twice does no more than once (RFC 9110 section 9.2.2), and nothing is to
    /// become of its connection or stream but an answer.
    pub harmless: bool,
    /// Whether its body can be sent once more.
    pub repeatable: bool,
}

/// Why there was no further attempt; in the order in which it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stop {
    /// The route has no retries.
    Off,
    /// The failure is none of those that another attempt answers.
    Final,
    /// All attempts were made.
    Attempts,
    /// The endpoint may have acted, and to act twice might do harm.
    Unsafe,
    /// What was sent of the body is not there any more.
    Body,
    /// There is no endpoint to ask.
    NoEndpoint,
    /// The only endpoint left asks for more time than there is (Retry-After).
    RetryAfter,
    /// The request's time would be over before.
    Deadline,
    /// Too many requests of the route were tried again of late.
    Budget,
}

/// Causes that a policy names, by their place in [`RetryPolicy::causes`].
const CONNECT: usize = 0;
const RESET: usize = 1;
const TIMEOUT: usize = 2;

impl RetryPolicy {
    /// Compiles it, with a budget that may have been in use before.
    pub fn new(config: &Config, budget: Arc<Budget>) -> Self {
        let RetryOn { connect, reset, timeout, statuses } = &config.on;
        Self {
            attempts: config.attempts,
            attempt_timeout: config.attempt_timeout,
            buffer: config.buffer,
            hedge: config.hedge,
            budget,
            allowance: config.budget,
            backoff: config.backoff,
            causes: [*connect, *reset, *timeout],
            statuses: statuses.iter().fold(Statuses::default(), |mut all, range| {
                (400..600).filter(|status| range.contains(*status)).for_each(|s| all.add(s));
                all
            }),
        }
    }

    /// Takes over what the budget is to be. To be called when the configuration takes effect.
    pub fn adjust(&self) {
        self.budget.adjust(self.allowance);
    }

    /// Whether a response with this status is one that another attempt answers.
    pub fn names(&self, status: StatusCode) -> bool {
        self.statuses.contains(status.as_u16())
    }

    /// Whether the policy lets a request have another attempt.
    ///
    /// # Errors
    /// Why not: the first reason of several.
    pub fn allow(&self, fault: Fault, case: &Case) -> Result<(), Stop> {
        let named = match fault {
            Fault::Status(status) => self.names(status),
            Fault::Error { error, .. } => cause(error).is_some_and(|cause| self.causes[cause]),
        };
        let Case { tries, harmless, repeatable } = *case;
        match () {
            () if !named => Err(Stop::Final),
            () if tries >= self.attempts => Err(Stop::Attempts),
            () if !fault.is_unseen() && !harmless => Err(Stop::Unsafe),
            () if !repeatable => Err(Stop::Body),
            () => Ok(()),
        }
    }

    /// How long an attempt may take, where that is less than the route says: while another may
    /// follow it.
    pub fn patience(&self, case: impl FnOnce() -> Case) -> Option<Duration> {
        let follows =
            |case: Case| self.causes[TIMEOUT] && case.harmless && case.tries < self.attempts;
        self.attempt_timeout.filter(|_| follows(case()))
    }

    /// How long to wait before it; `retry` counts those before. `elsewhere` is an endpoint that was
    /// not tried yet, `retry_after` what the next one asked for with its latest answer.
    ///
    /// # Errors
    /// [`Stop::RetryAfter`].
    pub fn wait(
        &self,
        fault: Fault,
        retry: u32,
        elsewhere: bool,
        retry_after: Option<Duration>,
        rng: &mut Rng,
    ) -> Result<Duration, Stop> {
        if elsewhere && retry == 0 && fault.is_unseen() {
            return Ok(Duration::ZERO);
        }
        match retry_after.filter(|_| !elsewhere) {
            Some(time) if time > self.backoff.max => Err(Stop::RetryAfter),
            Some(time) => Ok(time),
            None => Ok(full_jitter(self.backoff, retry, rng)),
        }
    }
}

impl Statuses {
    fn add(&mut self, status: u16) {
        let place = usize::from(status - 400);
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn contains(&self, status: u16) -> bool {
        let place = usize::from(status.wrapping_sub(400));
        self.0.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }
}

impl Fault {
    /// Whether the endpoint has seen nothing of the request, or says so (RFC 9113 section 8.7).
    pub fn is_unseen(self) -> bool {
        match self {
            Self::Error { error, sent } => !sent || error == Error::UpstreamRefused,
            Self::Status(_) => false,
        }
    }
}

/// The cause by which a policy names an error; none for those that would only come again, or are
/// not the endpoint's.
fn cause(error: Error) -> Option<usize> {
    let again = error.disposition().retry != Retry::Never;
    again.then_some(match error {
        Error::UpstreamRefused | Error::UpstreamReset { .. } | Error::UpstreamGarbage => RESET,
        Error::HeadersTimeout => TIMEOUT,
        _ => CONNECT,
    })
}

impl Stop {
    /// Names in the log and in metrics, in the order of the variants.
    pub const NAMES: [&str; 9] = [
        "off",
        "final",
        "attempts",
        "unsafe",
        "body",
        "no_endpoint",
        "retry_after",
        "deadline",
        "budget",
    ];

    /// Its name in the log and in metrics.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}
