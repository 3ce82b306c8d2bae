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
/// Limits decided without the servers that keep them.
pub const RATE_LIMIT_FALLBACK: Metric = metric(
    "weir_rate_limit_fallback_total",
    Kind::Counter,
    &["route", "limit"],
    "Requests on which a limit with store redis was decided by its on_store_failure",
);
/// Keys with requests under way.
pub const CONCURRENCY_KEYS: Metric = metric(
    "weir_concurrency_keys",
    Kind::Gauge,
    &[],
    "Keys of concurrency bounds that have requests under way",
);
/// Places decided on without the servers that count them.
pub const CONCURRENCY_FALLBACK: Metric = metric(
    "weir_concurrency_fallback_total",
    Kind::Counter,
    &[],
    "Requests that a concurrency with store redis let in or not by its on_store_failure",
);
/// Whether a server counts as up.
pub const REDIS_UP: Metric = metric(
    "weir_redis_up",
    Kind::Gauge,
    &["server"],
    "Whether the gateway holds a Redis server to be up: 1 or 0",
);
/// Calls, by how they ended.
pub const REDIS_CALLS: Metric = metric(
    "weir_redis_calls_total",
    Kind::Counter,
    &["outcome"],
    "Calls of Redis servers, answered or by what was wrong",
);
/// Calls that were spared.
pub const REDIS_SKIPPED: Metric = metric(
    "weir_redis_skipped_total",
    Kind::Counter,
    &[],
    "Calls not made since the Redis server counted as down",
);
/// Requests denied without a call.
pub const REDIS_REMEMBERED: Metric = metric(
    "weir_redis_remembered_total",
    Kind::Counter,
    &[],
    "Requests denied without a call, by what Redis had said of their keys",
);
/// Requests decided on with what was fetched ahead.
pub const REDIS_LENT: Metric = metric(
    "weir_redis_lent_total",
    Kind::Counter,
    &[],
    "Requests decided without a call, by tokens that Redis had lent",
);
/// Connections.
pub const REDIS_CONNECTIONS: Metric = metric(
    "weir_redis_connections_total",
    Kind::Counter,
    &[],
    "Connections opened to Redis servers",
);
/// Scripts.
pub const REDIS_RELOADS: Metric = metric(
    "weir_redis_script_reloads_total",
    Kind::Counter,
    &[],
    "Calls for which a script had to be sent to a Redis server again",
);
