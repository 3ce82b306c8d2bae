//! Every metric: name, kind, help, labels. One table, so that docs and tests can read it.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; the name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Name as scraped (for a histogram without `_bucket`, `_sum`, `_count`); the unit comes last.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it means, in one line.
    pub help: &'static str,
    /// Label names, in the order of the values.
    pub labels: &'static [&'static str],
}

mod auth;
mod endpoint;
mod idempotency;
mod limit;
mod member;
mod script;
mod trace;
mod traffic;
mod web;

pub use auth::*;
pub use endpoint::*;
pub use idempotency::*;
pub use limit::*;
pub use member::*;
pub use script::*;
pub use trace::*;
pub use traffic::*;
pub use web::*;

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, help, labels }
}

const ROUTE: &[&str] = &["route", "upstream"];
const LISTENER: &[&str] = &["listener"];
const LIMIT: &[&str] = &["upstream", "limit"];

/// Requests by status class.
pub const REQUESTS: Metric = metric(
    "weir_requests_total",
    Kind::Counter,
    &["route", "upstream", "class"],
    "Requests answered, by status class of the response",
);
/// Requests that the gateway answered itself or cut, by reason.
pub const ERRORS: Metric = metric(
    "weir_request_errors_total",
    Kind::Counter,
    &["route", "upstream", "error"],
    "Requests that the gateway answered itself or cut off, by reason",
);
/// Bytes of request bodies.
pub const REQUEST_BYTES: Metric = metric(
    "weir_request_body_bytes_total",
    Kind::Counter,
    ROUTE,
    "Bytes of request bodies received from clients",
);
/// Bytes of response bodies.
pub const RESPONSE_BYTES: Metric = metric(
    "weir_response_body_bytes_total",
    Kind::Counter,
    ROUTE,
    "Bytes of response bodies sent to clients",
);
/// Durations of requests.
pub const REQUEST_DURATION: Metric = metric(
    "weir_request_duration_seconds",
    Kind::Histogram,
    ROUTE,
    "Time from a request's head to the end of its response",
);
/// Attempts after a failure.
pub const RETRIES: Metric = metric(
    "weir_retries_total",
    Kind::Counter,
    &["route", "upstream", "outcome"],
    "Attempts after a failed one: success is an answer below 500 that went to the client",
);
/// Failures without a further attempt.
pub const RETRY_STOPS: Metric = metric(
    "weir_retry_stops_total",
    Kind::Counter,
    &["route", "upstream", "reason"],
    "Requests whose last attempt failed, by the reason why there was no further one",
);
/// Attempts beside a slow one.
pub const HEDGES: Metric = metric(
    "weir_hedges_total",
    Kind::Counter,
    &["route", "upstream", "outcome"],
    "Attempts beside a slow one: won when their answer went to the client",
);
/// Requests for which the fallback stepped in.
pub const FALLBACKS: Metric = metric(
    "weir_fallbacks_total",
    Kind::Counter,
    ROUTE,
    "Requests for which the fallback of the route stepped in; the upstream is the one that answers",
);
/// What the cache did with requests.
pub const CACHE_REQUESTS: Metric = metric(
    "weir_cache_requests_total",
    Kind::Counter,
    &["route", "upstream", "outcome"],
    "Requests of routes with a cache, by what it did with them",
);
/// What came of asking again while clients had stale answers.
pub const CACHE_REFRESHES: Metric = metric(
    "weir_cache_refreshes_total",
    Kind::Counter,
    &["route", "upstream", "outcome"],
    "Requests for fresh answers beside stale ones, by what came of them",
);
/// Responses in the cache.
pub const CACHE_ENTRIES: Metric =
    metric("weir_cache_entries", Kind::Gauge, &[], "URLs of which the cache holds responses");
/// Bytes in the cache.
pub const CACHE_BYTES: Metric = metric(
    "weir_cache_bytes",
    Kind::Gauge,
    &[],
    "Bytes that the cache takes of cache.memory, overhead included",
);
/// Responses that had to leave.
pub const CACHE_EVICTIONS: Metric = metric(
    "weir_cache_evictions_total",
    Kind::Counter,
    &[],
    "Entries that left the cache to make room for others",
);
/// Connections taken.
pub const CONNECTIONS_ACCEPTED: Metric = metric(
    "weir_connections_accepted_total",
    Kind::Counter,
    LISTENER,
    "Downstream connections accepted",
);
/// Connections open.
pub const CONNECTIONS_OPEN: Metric =
    metric("weir_connections_open", Kind::Gauge, LISTENER, "Downstream connections open");
/// Connections closed at the bound.
pub const CONNECTIONS_REFUSED: Metric = metric(
    "weir_connections_refused_total",
    Kind::Counter,
    LISTENER,
    "Downstream connections closed at once because of limits.connections",
);
/// Handshakes that failed.
pub const HANDSHAKE_FAILURES: Metric = metric(
    "weir_tls_handshake_failures_total",
    Kind::Counter,
    LISTENER,
    "Downstream TLS handshakes that failed or timed out, those of QUIC among them",
);
/// QUIC clients asked to prove their address.
pub const QUIC_RETRIES: Metric = metric(
    "weir_quic_retries_total",
    Kind::Counter,
    LISTENER,
    "QUIC clients asked to prove their address first because of limits.h3.half_open",
);
/// QUIC datagrams handed between workers.
pub const QUIC_STEERED: Metric = metric(
    "weir_quic_steered_datagrams_total",
    Kind::Counter,
    LISTENER,
    "QUIC datagrams handed to the worker whose connection they are for",
);
/// QUIC datagrams dropped between workers.
pub const QUIC_STEERED_DROPPED: Metric = metric(
    "weir_quic_steered_datagrams_dropped_total",
    Kind::Counter,
    LISTENER,
    "QUIC datagrams for another worker that it was too busy to take",
);
/// Active checks.
pub const HEALTH_CHECKS: Metric = metric(
    "weir_health_checks_total",
    Kind::Counter,
    &["upstream", "endpoint", "outcome"],
    "Health checks of the endpoint",
);
/// Permits out.
pub const LIMIT_IN_USE: Metric = metric(
    "weir_upstream_limit_in_use",
    Kind::Gauge,
    LIMIT,
    "What of the upstream's limit is taken",
);
/// Length of the queue.
pub const LIMIT_WAITING: Metric = metric(
    "weir_upstream_limit_waiting",
    Kind::Gauge,
    LIMIT,
    "Requests that wait in the queue before the upstream's limit",
);
/// Limits that follow latency.
pub const UPSTREAM_ADAPTIVE_LIMIT: Metric = metric(
    "weir_upstream_adaptive_limit",
    Kind::Gauge,
    &["upstream"],
    "Requests that may wait for the upstream's answers by limits.adaptive",
);
/// Places taken of a route's bound.
pub const ROUTE_CONCURRENCY: Metric = metric(
    "weir_route_concurrency_in_use",
    Kind::Gauge,
    &["route"],
    "Requests under way of a route that bounds them by concurrency",
);
/// Requests turned away under pressure.
pub const SHED: Metric = metric(
    "weir_shed_total",
    Kind::Counter,
    &["reason", "priority"],
    "Requests turned away because memory was short or a worker late",
);
/// Memory against its bound.
pub const MEMORY_PRESSURE: Metric = metric(
    "weir_memory_pressure_ratio",
    Kind::Gauge,
    &[],
    "Resident memory of the process as a share of limits.memory",
);
/// Lag of event loops.
pub const EVENT_LOOP_LAG: Metric = metric(
    "weir_event_loop_lag_seconds",
    Kind::Gauge,
    &[],
    "How late timers of the worker that is latest fire of late",
);
/// Reloads of the configuration.
pub const CONFIG_RELOADS: Metric = metric(
    "weir_config_reloads_total",
    Kind::Counter,
    &["outcome"],
    "Attempts to load the configuration, the first included",
);
/// When the configuration was last loaded.
pub const CONFIG_LOADED: Metric = metric(
    "weir_config_last_success_timestamp_seconds",
    Kind::Gauge,
    &[],
    "Unix time at which the configuration in force was loaded",
);
/// What runs.
pub const BUILD: Metric =
    metric("weir_build_info", Kind::Gauge, &["version"], "Always 1; the labels say what runs");
/// Since when it runs.
pub const PROCESS_START: Metric = metric(
    "process_start_time_seconds",
    Kind::Gauge,
    &[],
    "Unix time at which the process started",
);
/// Access-log lines that were thrown away.
pub const LOG_LINES_DROPPED: Metric = metric(
    "weir_access_log_lines_dropped_total",
    Kind::Counter,
    &[],
    "Access-log lines dropped because the output was slower than the traffic, or failed",
);
/// States held to be impossible.
pub const BUGS: Metric = metric(
    "weir_bugs_total",
    Kind::Counter,
    &[],
    "States that the gateway's code holds to be impossible; anything but 0 is worth a report",
);

/// All of them, in the order of a scrape.
pub const ALL: &[&Metric] = &[
    &REQUESTS,
    &ERRORS,
    &REQUEST_BYTES,
    &RESPONSE_BYTES,
    &REQUEST_DURATION,
    &RETRIES,
    &RETRY_STOPS,
    &HEDGES,
    &FALLBACKS,
    &CACHE_REQUESTS,
    &CACHE_REFRESHES,
    &IDEMPOTENCY,
    &MIRRORS,
    &FAULTS,
    &CORS_REQUESTS,
    &COMPRESSED,
    &COMPRESSION_INPUT,
    &COMPRESSION_OUTPUT,
    &DECOMPRESSED,
    &GRPC_WEB_CALLS,
    &SCRIPTS,
    &CACHE_ENTRIES,
    &CACHE_BYTES,
    &CACHE_EVICTIONS,
    &IDEMPOTENCY_KEYS,
    &IDEMPOTENCY_BYTES,
    &CONNECTIONS_ACCEPTED,
    &CONNECTIONS_OPEN,
    &CONNECTIONS_REFUSED,
    &HANDSHAKE_FAILURES,
    &QUIC_RETRIES,
    &QUIC_STEERED,
    &QUIC_STEERED_DROPPED,
    &ENDPOINT_IN_FLIGHT,
    &ENDPOINT_REQUESTS,
    &ENDPOINT_FAILURES,
    &ENDPOINT_EWMA,
    &ENDPOINT_LATENCY,
    &ENDPOINT_CONNECTIONS_OPEN,
    &ENDPOINT_CONNECTIONS_IDLE,
    &ENDPOINT_CONNECTS,
    &ENDPOINT_CONNECT_FAILURES,
    &UPSTREAM_ALT_SVC,
    &ENDPOINT_HEALTHY,
    &ENDPOINT_EJECTIONS,
    &ENDPOINT_BREAKER_STATE,
    &ENDPOINT_BREAKER_OPENED,
    &HEALTH_CHECKS,
    &UPSTREAM_PANIC,
    &DISCOVERY_ENDPOINTS,
    &DISCOVERY_FAILURES,
    &LIMIT_IN_USE,
    &LIMIT_WAITING,
    &UPSTREAM_ADAPTIVE_LIMIT,
    &ROUTE_CONCURRENCY,
    &RATE_LIMIT,
    &RATE_LIMIT_KEYS,
    &RATE_LIMIT_KEYS_LOST,
    &RATE_LIMIT_FALLBACK,
    &CONCURRENCY_KEYS,
    &AUTH,
    &JWKS_FETCHES,
    &JWKS_KEYS,
    &REDIS_UP,
    &REDIS_CALLS,
    &REDIS_SKIPPED,
    &REDIS_REMEMBERED,
    &REDIS_LENT,
    &CONCURRENCY_FALLBACK,
    &REDIS_CONNECTIONS,
    &REDIS_RELOADS,
    &MEMBERS,
    &MEMBER_GATEWAYS,
    &MEMBER_UP,
    &MEMBER_HEALTH,
    &MEMBER_CHANGES,
    &MEMBER_SUSPICIONS,
    &MEMBER_PACKETS,
    &SPANS,
    &SHED,
    &MEMORY_PRESSURE,
    &EVENT_LOOP_LAG,
    &CONFIG_RELOADS,
    &CONFIG_LOADED,
    &BUILD,
    &PROCESS_START,
    &LOG_LINES_DROPPED,
    &BUGS,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_end_as_their_kind_says() {
        let mut seen = HashSet::new();
        for metric in ALL {
            assert!(seen.insert(metric.name), "{} twice", metric.name);
            let counter = metric.kind == Kind::Counter;
            assert_eq!(metric.name.ends_with("_total"), counter, "{}", metric.name);
            assert!(metric.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
            assert!(!metric.help.contains(['\n', '\\', '"', '|']), "{}", metric.name);
        }
    }

    #[test]
    fn the_docs_list_every_metric() {
        let docs = include_str!("../../../docs/metrics.md");
        let mut rows = docs.lines().filter(|line| line.starts_with("| `"));
        for metric in ALL {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let labels = metric.labels.join(", ");
            let row = format!("| `{}` | {kind} | {labels} | {} |", metric.name, metric.help);
            assert_eq!(rows.next(), Some(row.as_str()));
        }
        assert_eq!(rows.next(), None);
    }
}
