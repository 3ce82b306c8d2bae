//! Where spans of requests go.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::{Address, At};

/// Spans of some requests, for a collector.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    /// Where it stands in the file.
    pub at: At,
    /// Who takes them: OTLP over HTTP.
    pub otlp: Collector,
    /// Share of the requests that begin a trace, from 0 to 1; those of a client's own trace follow
    /// what it says.
    pub sample: f64,
    /// What the gateway calls itself in them.
    pub service: String,
    /// Sent along, such as a token; never shown.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long the collector may take to answer.
    pub timeout: Duration,
}

/// A collector's URL, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// `https`.
    pub tls: bool,
    /// Host and port.
    pub address: Address,
    /// Path of traces there: what the URL says, and `/v1/traces`.
    pub path: String,
}
