//! What clients and operators are told of keys: fields, problem documents (RFC 9457), outcomes.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response, header::RETRY_AFTER};
use serde_json::Map;

use super::key::RecordKey;
use crate::{
    error::Error,
    http::{
        body::Body,
        exchange::Exchange,
        problem::{self, Problem},
    },
};

static IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
static IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");

/// Longest time that a client is asked to stay away while another request has its key.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// What a key came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its request ran.
    First,
    /// It was answered with what was stored.
    Replayed,
    /// Another one with the same key is under way.
    InFlight,
    /// The key was used for something else.
    Mismatch,
    /// Nobody knows what became of the first one.
    Unknown,
    /// The first one ran, but its response was not stored.
    NotReplayable,
    /// It passed as if it had no key.
    Ignored,
    /// There was something wrong with it.
    Refused,
    /// The store could not take it.
    StoreDown,
}

impl Outcome {
    /// Their names, in order.
    pub(crate) const NAMES: [&'static str; 9] = [
        "first",
        "replayed",
        "in_flight",
        "mismatch",
        "unknown",
        "not_replayable",
        "ignored",
        "refused",
        "store_down",
    ];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What is known of a keyed request, for its response and for the log.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) outcome: Outcome,
    /// Its record, once its key is read.
    pub(crate) key: Option<RecordKey>,
    /// Whole seconds after which it may come again.
    retry_after: Option<u64>,
    takes_problem: bool,
}

impl Told {
    pub(super) fn new(outcome: Outcome, headers: &HeaderMap) -> Self {
        let takes_problem = problem::is_taken(headers);
        Self { outcome, key: None, retry_after: None, takes_problem }
    }

    /// Notes why it was not run, and for how long that holds at least.
    pub(super) fn refuse(&mut self, outcome: Outcome, left: Option<Duration>) {
        self.outcome = outcome;
        self.retry_after = left.map(|left| left.min(BUSY_MAX).as_secs_f64().ceil().max(1.0) as u64);
    }

    /// Whether its request may run only once.
    pub(crate) const fn is_kept(&self) -> bool {
        self.key.is_some()
    }
}

/// Marks a response that is not what its key asks for.
pub(crate) fn tell(exchange: &Exchange, headers: &mut HeaderMap) {
    match exchange.idempotency.as_ref().map(|told| told.outcome) {
        Some(Outcome::Ignored) => {
            headers.insert(&IDEMPOTENCY_STATUS, HeaderValue::from_static("ignored"));
        }
        Some(Outcome::Replayed) => {
            headers.insert(&IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        _ => {}
    }
}

/// Makes the answer to a key that is refused say why, but to a gRPC call, whose status does.
pub(crate) fn explain(
    exchange: &Exchange,
    error: Error,
    grpc: bool,
    response: &mut Response<Body>,
) {
    let Some(told) = &exchange.idempotency else { return };
    let Some((kind, title, detail)) = words(error) else { return };
    if let Some(seconds) = told.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if grpc || !told.takes_problem {
        return;
    }
    let problem = Problem { kind, title, status: response.status(), detail };
    problem::put(response, problem.text(Map::new()).into());
}

/// Name, title and detail of the problem that an error is.
fn words(error: Error) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match error {
        Error::IdempotencyKeyMissing => (
            "idempotency-key-missing",
            "Idempotency-Key is missing",
            "This operation runs once for each key: send one, such as a random UUID, and send the \
             same one again when you repeat the request.",
        ),
        Error::IdempotencyKeyMalformed => (
            "idempotency-key-malformed",
            "Idempotency-Key is malformed",
            "A request has one key of 1 to 255 visible ASCII characters, in quotes or not.",
        ),
        Error::IdempotencyKeyUnscoped => (
            "idempotency-key-unscoped",
            "Idempotency-Key is nobody's",
            "Keys are kept apart by who sends them, and this request does not say who does. Send \
             the credentials that the route's `idempotency.scope` names; the operator may write \
             `scope: none` where a key means the same whoever sends it.",
        ),
        Error::IdempotencyKeyReused => (
            "idempotency-key-reused",
            "Idempotency-Key is already used",
            "The key was sent before with another request: another method, target, body or type \
             of it. Nothing was run. Use a new key for a new request.",
        ),
        Error::IdempotencyKeyInFlight => (
            "idempotency-key-in-flight",
            "A request is outstanding for this Idempotency-Key",
            "The first request with this key is still under way. Send it again later, with the \
             same key, to get its outcome.",
        ),
        Error::IdempotencyKeyUnknown => (
            "idempotency-outcome-unknown",
            "The outcome is unknown",
            "The first request with this key was sent, and nobody knows what became of it. It is \
             not run again. Look whether it took effect before you use a new key.",
        ),
        Error::IdempotencyKeySpent => (
            "idempotency-not-replayable",
            "The outcome cannot be replayed",
            "The first request with this key did run, but its response was too long or a stream, \
             and was not stored. It is not run again.",
        ),
        Error::IdempotencyKeyTooLarge => (
            "idempotency-body-too-large",
            "The request is too large for an Idempotency-Key",
            "The body of a request with a key is longer than the route takes.",
        ),
        Error::IdempotencyKeyStoreDown => (
            "idempotency-store-unavailable",
            "Idempotency keys cannot be kept",
            "Whether this request ran before cannot be known or kept at the moment, so it was not \
             run. Send it again later, with the same key.",
        ),
        _ => return None,
    })
}
