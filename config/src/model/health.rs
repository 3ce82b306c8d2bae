//! How the gateway finds out which endpoints to ask.

use std::{fmt, time::Duration};

/// Active checks of an upstream's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// From the end of a check to the next.
    pub interval: Duration,
    /// Of a whole check.
    pub timeout: Duration,
    /// Checks that must pass in a row for an unhealthy endpoint to be healthy; at least 1.
    pub healthy: u32,
    /// Checks that must fail in a row for a healthy endpoint to be unhealthy; at least 1.
    pub unhealthy: u32,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A GET in the upstream's own protocol.
    Http {
        /// Path and query, beginning with `/`.
        path: String,
        /// Statuses that pass; never empty.
        expect: Vec<StatusRange>,
    },
    /// A call of `grpc.health.v1.Health/Check`, over HTTP/2 or HTTP/3.
    Grpc {
        /// The service asked about; empty is the server as a whole.
        service: String,
    },
    /// A connection, with its handshakes, and nothing more.
    Connect,
}

/// Statuses from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// The least, 100 or more.
    pub first: u16,
    /// The greatest, up to 599.
    pub last: u16,
}

impl StatusRange {
    /// Whether `status` is one of them.
    #[must_use]
    pub const fn contains(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first == last { first.fmt(f) } else { write!(f, "{first}-{last}") }
    }
}

/// When an endpoint that fails requests is not asked for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlier {
    /// Failures in a row that eject it; at least 1.
    pub consecutive_failures: u32,
    /// For how long the first time.
    pub ejection: Duration,
    /// Most of the endpoints ejected at a time, as a fraction of one.
    pub max_ejected: f64,
}
