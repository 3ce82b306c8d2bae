//! Idempotency keys: which requests run once, and what is stored of their outcomes.

use std::time::Duration;

use http::{HeaderName, Method};

use super::KeyPart;

/// The store in memory that all routes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyStore {
    /// Bytes that its records may take together.
    pub memory: u64,
}

/// What a route does with keyed requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteIdempotency {
    /// Request header that holds the key.
    pub header: HeaderName,
    /// Methods whose requests it concerns; never empty.
    pub methods: Vec<Method>,
    /// Whether a request of these methods must have a key.
    pub required: bool,
    /// How long an outcome is remembered.
    pub ttl: Duration,
    /// How long a claim lasts unless it is renewed: after that, what became of it is unknown.
    pub lease: Duration,
    /// Where records are kept.
    pub store: RecordStore,
    /// Whose keys are kept apart; empty is nobody's: one key is the same for all clients.
    pub scope: Vec<KeyPart>,
    /// Bytes of the longest request body.
    pub max_body: u32,
    /// What happens to a longer one.
    pub large_body: Unkept,
    /// Bytes of the longest response body that is stored.
    pub max_response: u32,
    /// Which responses are stored, by class.
    pub statuses: StatusClasses,
    /// How long a request waits for another with its key that is under way.
    pub wait: Duration,
    /// What is answered where nobody knows what became of the first request.
    pub unknown: UnknownOutcome,
    /// What happens while the store cannot be reached, or is full.
    pub on_store_failure: Unkept,
    /// Request headers that must be the same in all requests with one key.
    pub fingerprint: Vec<HeaderName>,
}

/// Where records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordStore {
    /// By this gateway, for as long as it lives.
    Memory,
    /// In Redis, for all gateways.
    Redis,
}

/// What happens to a keyed request that cannot be made to run once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unkept {
    /// It is refused.
    Refuse,
    /// It passes as if it had no key, and its response says so.
    Pass,
}

/// What is answered where nobody knows what became of the first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownOutcome {
    /// 409.
    Conflict,
    /// It runs again: the upstream knows the key.
    Redrive,
}

/// Classes of statuses; which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusClasses {
    /// 200 to 299.
    pub success: bool,
    /// 300 to 399.
    pub redirect: bool,
    /// 400 to 499.
    pub client_error: bool,
    /// 500 to 599.
    pub server_error: bool,
}

impl StatusClasses {
    /// Whether a status is of one of them.
    #[must_use]
    pub const fn contains(self, status: u16) -> bool {
        match status / 100 {
            2 => self.success,
            3 => self.redirect,
            4 => self.client_error,
            5 => self.server_error,
            _ => false,
        }
    }
}
