//! What is counted of idempotency keys.

use super::{Kind, Metric, metric};

/// What keys came to.
pub const IDEMPOTENCY: Metric = metric(
    "weir_idempotency_total",
    Kind::Counter,
    &["route", "upstream", "outcome"],
    "Requests with an idempotency key, by what became of them",
);
/// Keys kept.
pub const IDEMPOTENCY_KEYS: Metric = metric(
    "weir_idempotency_keys",
    Kind::Gauge,
    &[],
    "Idempotency keys that the store in memory has records of",
);
/// Bytes taken.
pub const IDEMPOTENCY_BYTES: Metric = metric(
    "weir_idempotency_bytes",
    Kind::Gauge,
    &[],
    "Bytes that the records take of idempotency.memory",
);
