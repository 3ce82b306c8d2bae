//! How often a route may be used.

use serde_json::{Map, Value, json};

use super::object;
use crate::{
    model::{
        AbsentKey, Concurrency, KeyPart, OnStoreFailure, PlaceStore, RateAlgorithm, RateLimit,
        RateStore, StoreMode,
    },
    units::{show_duration, show_rate},
};

pub(super) fn shared(limits: &[RateLimit]) -> Value {
    limits.iter().map(|one| (one.name.clone(), Value::from(limit(one)))).collect()
}

/// A limit of a route: its own, or the name of one that routes share.
pub(super) fn of_route(one: &RateLimit) -> Value {
    if one.shared {
        return json!(one.name);
    }
    let mut out = Map::from_iter([("name".to_owned(), json!(one.name))]);
    out.extend(limit(one));
    out.into()
}

pub(super) fn concurrency(concurrency: &Concurrency) -> Value {
    let keyed = !concurrency.key.is_empty();
    let (store, lease, on_failure) = match concurrency.store {
        PlaceStore::Local => ("local", None, None),
        PlaceStore::Redis { lease, on_failure } => {
            ("redis", Some(show_duration(lease)), Some(word(on_failure)))
        }
    };
    object([
        ("key", keyed.then(|| key(&concurrency.key))),
        ("absent", keyed.then(|| absent(concurrency.absent))),
        ("max", Some(json!(concurrency.max))),
        ("store", Some(json!(store))),
        ("lease", lease.map(Value::from)),
        ("on_store_failure", on_failure.map(Value::from)),
    ])
}

const fn word(on_failure: OnStoreFailure) -> &'static str {
    match on_failure {
        OnStoreFailure::Local => "local",
        OnStoreFailure::Allow => "allow",
        OnStoreFailure::Deny => "deny",
    }
}

/// Without `mode` and `on_store_failure` where counts are local, of which they say nothing.
fn limit(limit: &RateLimit) -> Map<String, Value> {
    let algorithm = match limit.algorithm {
        RateAlgorithm::TokenBucket => "token_bucket",
        RateAlgorithm::LeakyBucket => "leaky_bucket",
        RateAlgorithm::SlidingWindow => "sliding_window",
    };
    let burst = limit.algorithm != RateAlgorithm::SlidingWindow;
    let delays = limit.algorithm == RateAlgorithm::LeakyBucket;
    let cost = object([
        ("fixed", Some(json!(limit.cost.fixed))),
        ("request_header", limit.cost.request_header.as_ref().map(|name| json!(name.as_str()))),
        ("response_header", limit.cost.response_header.as_ref().map(|name| json!(name.as_str()))),
        ("response_json", limit.cost.response_json.as_ref().map(|names| json!(names.join(".")))),
    ]);
    let (store, mode, on_failure) = match limit.store {
        RateStore::Local => ("local", None, None),
        RateStore::Redis { mode, on_failure } => {
            let mode = match mode {
                StoreMode::Exact => "exact",
                StoreMode::Leased => "leased",
            };
            ("redis", Some(mode), Some(word(on_failure)))
        }
    };
    let entries = [
        ("key", Some(key(&limit.key))),
        ("absent", Some(absent(limit.absent))),
        ("rate", Some(json!(show_rate(limit.count, limit.per)))),
        ("burst", burst.then(|| json!(limit.burst))),
        ("algorithm", Some(json!(algorithm))),
        ("max_delay", delays.then(|| json!(show_duration(limit.max_delay)))),
        ("cost", Some(cost)),
        ("dry_run", Some(json!(limit.dry_run))),
        ("store", Some(json!(store))),
        ("mode", mode.map(Value::from)),
        ("on_store_failure", on_failure.map(Value::from)),
    ];
    let there = entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    there.collect()
}

pub(super) fn key(parts: &[KeyPart]) -> Value {
    match parts {
        [one] => json!(one.to_string()),
        parts => parts.iter().map(ToString::to_string).collect(),
    }
}

fn absent(absent: AbsentKey) -> Value {
    json!(match absent {
        AbsentKey::Share => "share",
        AbsentKey::Skip => "skip",
        AbsentKey::Deny => "deny",
    })
}
