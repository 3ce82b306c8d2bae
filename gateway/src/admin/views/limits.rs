//! `/limits`.

use serde_json::{Map, Value, json};
use weir_config::model::{
    Concurrency, KeyPart, OnStoreFailure, PlaceStore, RateAlgorithm, RateLimit, RateStore,
    StoreMode,
};

use crate::{
    limit::{Rule, key::word, tally::Outcome},
    snapshot::{Route, Snapshot},
    telemetry::registry::Registry,
};

/// Keys of each limit that are listed as denied most.
const LISTED: usize = 10;

/// `/limits`.
pub(in crate::admin) fn limits(snapshot: &Snapshot, registry: &Registry) -> Value {
    let of_route = |route: &Route| {
        let rules = route.limits.as_ref().map_or(&[][..], |limits| limits.rules());
        rules.iter().map(|rule| limit(route, rule, registry)).collect::<Vec<_>>()
    };
    let store = &snapshot.limit_store;
    let usage = store.local().usage();
    json!({
        "limits": snapshot.routes.iter().flat_map(of_route).collect::<Vec<_>>(),
        "keys": {
            "kept": usage.keys,
            "max": store.max_keys(),
            "bytes": usage.bytes,
            "lost": usage.lost,
            "under_way": store.concurrency().keys(),
        },
        "redis": redis(snapshot),
    })
}

/// How the servers that gateways share fare; nothing where there are none.
pub(super) fn redis(snapshot: &Snapshot) -> Value {
    let Some(store) = &snapshot.shared_store else { return Value::Null };
    let counters = store.servers().counters();
    let standing = store.servers().standing();
    let servers = standing.map(|(server, up)| json!({ "server": &*server, "up": up }));
    let faults = counters.faults().filter(|(_, count)| *count > 0);
    let faults: Map<String, Value> =
        faults.map(|(fault, count)| (fault.name().to_owned(), json!(count))).collect();
    json!({
        "servers": servers.collect::<Vec<_>>(),
        "answered": counters.answered(),
        "faults": faults,
        "skipped": counters.skipped(),
        "remembered": counters.remembered(),
        "lent": counters.lent(),
        "concurrency_fallbacks": counters.alone(),
        "connections": counters.connections(),
        "script_reloads": counters.reloads(),
    })
}

fn limit(route: &Route, rule: &Rule, registry: &Registry) -> Value {
    let config = rule.config();
    let policy = rule.limit().policy();
    let totals = registry.limit_totals(&route.name, &config.name);
    let counts = Outcome::NAMES.iter().zip(totals.counts);
    let counts: Map<String, Value> =
        counts.map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
    let denied = totals.denied();
    let denied = denied
        .iter()
        .take(LISTED)
        .map(|entry| json!({ "key": &*entry.label, "count": entry.count, "error": entry.error }));
    let (store, mode, on_failure) = match config.store {
        RateStore::Local => ("local", "exact", None),
        RateStore::Redis { mode: StoreMode::Exact, on_failure } => {
            ("redis", "exact", Some(words_of(on_failure)))
        }
        RateStore::Redis { mode: StoreMode::Leased, on_failure } => {
            ("redis", "leased", Some(words_of(on_failure)))
        }
    };
    json!({
        "route": &*route.name,
        "name": config.name,
        "shared": config.shared,
        "key": words(&config.key),
        "algorithm": algorithm(config),
        "rate": { "count": config.count, "per_seconds": config.per.as_secs_f64() },
        "burst": config.burst,
        "policy": { "quota": policy.quota, "window_seconds": policy.window_seconds },
        "dry_run": config.dry_run,
        "store": store,
        "mode": mode,
        "on_store_failure": on_failure,
        "fallbacks": totals.fallbacks,
        "counts": counts,
        "denied_most": denied.collect::<Vec<_>>(),
    })
}

/// A bound on requests under way, for each key.
pub(super) fn places(bound: &Concurrency) -> Value {
    let mut out = Map::new();
    out.insert("max".to_owned(), json!(bound.max));
    out.insert("key".to_owned(), json!(words(&bound.key)));
    if let PlaceStore::Redis { lease, on_failure } = bound.store {
        out.insert("store".to_owned(), json!("redis"));
        out.insert("lease_seconds".to_owned(), json!(lease.as_secs_f64()));
        out.insert("on_store_failure".to_owned(), json!(words_of(on_failure)));
    }
    out.into()
}

/// A key as the file has it.
pub(super) fn words(key: &[KeyPart]) -> Vec<String> {
    key.iter().map(word).collect()
}

const fn words_of(on_failure: OnStoreFailure) -> &'static str {
    match on_failure {
        OnStoreFailure::Local => "local",
        OnStoreFailure::Allow => "allow",
        OnStoreFailure::Deny => "deny",
    }
}

const fn algorithm(config: &RateLimit) -> &'static str {
    match config.algorithm {
        RateAlgorithm::TokenBucket => "token_bucket",
        RateAlgorithm::LeakyBucket => "leaky_bucket",
        RateAlgorithm::SlidingWindow => "sliding_window",
    }
}
