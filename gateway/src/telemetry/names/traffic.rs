//! Metrics of traffic policies.

use super::{Kind, Metric, metric};

/// Copies of requests.
pub const MIRRORS: Metric = metric(
    "weir_mirrors_total",
    Kind::Counter,
    &["route", "upstream", "outcome"],
    "Copies of requests for the route's mirror, by what came of them",
);
/// Faults made on purpose.
pub const FAULTS: Metric = metric(
    "weir_faults_total",
    Kind::Counter,
    &["route", "upstream", "kind"],
    "Requests that were held back or failed on purpose",
);
