//! What is counted of credentials.

use super::{Kind, Metric, metric};

/// What credentials came to.
pub const AUTH: Metric = metric(
    "weir_auth_total",
    Kind::Counter,
    &["route", "method", "outcome"],
    "Requests that a way of auth was asked about, by what it said",
);
/// Fetches of sets of keys.
pub const JWKS_FETCHES: Metric = metric(
    "weir_jwks_fetches_total",
    Kind::Counter,
    &["url", "outcome"],
    "Fetches of sets of keys that tokens are checked with",
);
/// Keys in use.
pub const JWKS_KEYS: Metric = metric(
    "weir_jwks_keys",
    Kind::Gauge,
    &["url"],
    "Keys of sets that were fetched; with 0 no token can pass",
);
