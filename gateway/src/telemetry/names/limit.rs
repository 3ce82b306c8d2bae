//! What is counted of rate limits.

use super::{Kind, Metric, metric};

/// What limits said.
pub const RATE_LIMIT: Metric = metric(
    "weir_rate_limit_total",
    Kind::Counter,
    &["route", "limit", "outcome"],
    "Requests that a rate limit was asked about, by what became of them",
);
/// Keys kept.
pub const RATE_LIMIT_KEYS: Metric =
    metric("weir_rate_limit_keys", Kind::Gauge, &[], "Keys that rate limits keep counts of");
/// Keys given up.
pub const RATE_LIMIT_KEYS_LOST: Metric = metric(
    "weir_rate_limit_keys_lost_total",
    Kind::Counter,
    &[],
    "Keys whose counts made room for others before they were as good as new",
);
