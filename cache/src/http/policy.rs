//! What a route asks of its cache.

use std::time::Duration;

/// The settings that the decisions depend on. What an origin says comes before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a response is fresh that says nothing of it, if its status lets it be cached by
    /// default (RFC 9110 section 15.1) and is no error. None: such a response is not fresh at all.
    pub ttl: Option<Duration>,
    /// Whether a response that says nothing of it, but has a `Last-Modified`, is fresh for a tenth
    /// of its age, up to a day (RFC 9111 section 4.2.2). Before `ttl`.
    pub heuristics: bool,
    /// How long a stale response is served while it is fetched anew, unless it says otherwise.
    pub stale_while_revalidate: Duration,
    /// How long a stale response is served in the place of an error, unless it says otherwise.
    pub stale_if_error: Duration,
    /// How long a stale response with a validator is kept to be asked for.
    pub keep: Duration,
    /// What one response may weigh, in bytes of its headers and body.
    pub object_max: u64,
    /// How many variants one URL may have (RFC 9111 section 4.1). The oldest goes for a new one.
    pub variants_max: usize,
    /// How many surrogate tags one response may carry. One with more is not stored: a purge would
    /// miss it.
    pub tags_max: usize,
    /// Whether a response with `Set-Cookie` is stored.
    pub store_cookies: bool,
    /// Whether clients' `Cache-Control` counts: `no-cache`, `max-age`, `min-fresh`, `max-stale` and
    /// `only-if-cached`. Their `no-store` always does.
    pub client_directives: bool,
}

impl Default for Policy {
    /// Only what origins ask for, and nothing longer than they ask for.
    fn default() -> Self {
        Self {
            ttl: None,
            heuristics: false,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            keep: Duration::from_secs(600),
            object_max: 1 << 20,
            variants_max: 16,
            tags_max: 64,
            store_cookies: false,
            client_directives: true,
        }
    }
}
