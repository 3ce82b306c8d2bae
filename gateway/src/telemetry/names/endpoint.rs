//! What is counted of endpoints.

use super::{Kind, Metric, metric};

const ENDPOINT: &[&str] = &["upstream", "endpoint"];

/// Requests under way at an endpoint.
pub const ENDPOINT_IN_FLIGHT: Metric = metric(
    "weir_endpoint_in_flight_requests",
    Kind::Gauge,
    ENDPOINT,
    "Requests under way at the endpoint",
);
/// Attempts at an endpoint.
pub const ENDPOINT_REQUESTS: Metric = metric(
    "weir_endpoint_requests_total",
    Kind::Counter,
    ENDPOINT,
    "Attempts sent to the endpoint",
);
/// Failed attempts.
pub const ENDPOINT_FAILURES: Metric = metric(
    "weir_endpoint_failures_total",
    Kind::Counter,
    ENDPOINT,
    "Attempts at the endpoint that failed",
);
/// Estimate used by `balance: peak_ewma`.
pub const ENDPOINT_EWMA: Metric = metric(
    "weir_endpoint_latency_ewma_seconds",
    Kind::Gauge,
    ENDPOINT,
    "Peak-sensitive latency estimate that balancing uses",
);
/// Quantiles of the latency.
pub const ENDPOINT_LATENCY: Metric = metric(
    "weir_endpoint_latency_seconds",
    Kind::Gauge,
    &["upstream", "endpoint", "quantile"],
    "Time to the endpoint's response head of late, by quantile",
);
/// Connections open.
pub const ENDPOINT_CONNECTIONS_OPEN: Metric = metric(
    "weir_endpoint_connections_open",
    Kind::Gauge,
    ENDPOINT,
    "Connections open to the endpoint",
);
/// Connections idle.
pub const ENDPOINT_CONNECTIONS_IDLE: Metric = metric(
    "weir_endpoint_connections_idle",
    Kind::Gauge,
    ENDPOINT,
    "Connections to the endpoint that wait for a request",
);
/// Connections established.
pub const ENDPOINT_CONNECTS: Metric = metric(
    "weir_endpoint_connects_total",
    Kind::Counter,
    ENDPOINT,
    "Connections established to the endpoint",
);
/// Connections that were not established.
pub const ENDPOINT_CONNECT_FAILURES: Metric = metric(
    "weir_endpoint_connect_failures_total",
    Kind::Counter,
    ENDPOINT,
    "Connections to the endpoint that failed or timed out",
);
/// Endpoints in use.
pub const ENDPOINT_HEALTHY: Metric = metric(
    "weir_endpoint_healthy",
    Kind::Gauge,
    ENDPOINT,
    "1 while the endpoint is in use, 0 while it is ejected or its checks fail",
);
/// Ejections.
pub const ENDPOINT_EJECTIONS: Metric = metric(
    "weir_endpoint_ejections_total",
    Kind::Counter,
    ENDPOINT,
    "Times that the endpoint was ejected because of failures in a row",
);
/// State of the breaker.
pub const ENDPOINT_BREAKER_STATE: Metric = metric(
    "weir_endpoint_breaker_state",
    Kind::Gauge,
    ENDPOINT,
    "0 while the endpoint's breaker is closed, 1 half open, 2 open",
);
/// Openings of the breaker.
pub const ENDPOINT_BREAKER_OPENED: Metric = metric(
    "weir_endpoint_breaker_opened_total",
    Kind::Counter,
    ENDPOINT,
    "Times that the endpoint's breaker opened",
);
/// Endpoints found.
pub const DISCOVERY_ENDPOINTS: Metric = metric(
    "weir_discovery_endpoints",
    Kind::Gauge,
    &["upstream"],
    "Endpoints that the source of the upstream told last",
);
/// Sources that did not answer.
pub const DISCOVERY_FAILURES: Metric = metric(
    "weir_discovery_failures_total",
    Kind::Counter,
    &["upstream"],
    "Times that the source of the upstream gave no usable answer",
);
/// Too few endpoints are well.
pub const UPSTREAM_PANIC: Metric = metric(
    "weir_upstream_panic",
    Kind::Gauge,
    &["upstream"],
    "1 while all endpoints are used because fewer than half of them are well",
);
/// Attempts at HTTP/3.
pub const UPSTREAM_ALT_SVC: Metric = metric(
    "weir_upstream_alt_svc_total",
    Kind::Counter,
    &["upstream", "endpoint", "outcome"],
    "Attempts to connect over HTTP/3 because the endpoint's Alt-Svc says so",
);
