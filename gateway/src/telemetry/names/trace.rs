//! Metrics of tracing.

use super::{Kind, Metric, metric};

/// Spans by what became of them.
pub const SPANS: Metric = metric(
    "weir_spans_total",
    Kind::Counter,
    &["outcome"],
    "Spans by what became of them: sent to the collector, or dropped",
);
