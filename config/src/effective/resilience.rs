//! What happens when an attempt fails, or too much comes at once.

use std::time::Duration;

use serde_json::{Value, json};

use super::{action::respond, object, upstream_name};
use crate::{
    model::{
        Adaptive, Breaker, CacheKey, Config, Fallback, Hedge, MemoryLimit, ParameterName,
        Parameters, Priority, Retry, RetryOn, RouteCache, RoutePriority, SlowCalls,
    },
    units::{show_duration, show_percent, show_size},
};

pub(super) fn memory(memory: MemoryLimit) -> Value {
    match memory {
        MemoryLimit::Auto => json!("auto"),
        MemoryLimit::Bytes(bytes) => json!(show_size(bytes)),
        MemoryLimit::Off => Value::Null,
    }
}

pub(super) fn breaker(breaker: &Breaker) -> Value {
    let slow = |slow: SlowCalls| {
        let (over, rate) = (show_duration(slow.over), show_percent(slow.rate));
        json!({ "over": over, "rate": rate })
    };
    json!({
        "failure_rate": show_percent(breaker.failure_rate),
        "window": show_duration(breaker.window),
        "min_requests": breaker.min_requests,
        "open": show_duration(breaker.open),
        "probes": breaker.probes,
        "slow": breaker.slow.map(slow),
    })
}

pub(super) fn adaptive(adaptive: Adaptive) -> Value {
    json!({ "min": adaptive.min, "tolerance": adaptive.tolerance })
}

pub(super) fn retry(retry: &Retry) -> Value {
    let RetryOn { connect, reset, timeout, statuses } = &retry.on;
    let words = [(connect, "connect"), (reset, "reset"), (timeout, "timeout")];
    let words = words.iter().filter(|(on, _)| **on).map(|(_, word)| (*word).to_owned());
    let on: Vec<_> = words.chain(statuses.iter().map(ToString::to_string)).collect();
    json!({
        "attempts": retry.attempts,
        "on": on,
        "backoff": {
            "base": show_duration(retry.backoff.base),
            "max": show_duration(retry.backoff.max),
        },
        "budget": {
            "percent": show_percent(retry.budget.percent),
            "min_per_sec": retry.budget.min_per_sec,
            "window": show_duration(retry.budget.window),
        },
        "attempt_timeout": retry.attempt_timeout.map(show_duration),
        "buffer": show_size(retry.buffer.into()),
        "hedge": retry.hedge.map(|hedge| json!({ "after": match hedge {
            Hedge::After(after) => show_duration(after),
            Hedge::P95 => "p95".to_owned(),
        } })),
    })
}

pub(super) fn fallback(fallback: &Fallback, config: &Config) -> Value {
    match fallback {
        Fallback::Upstream(index) => json!({ "to": upstream_name(config, *index) }),
        Fallback::Respond(one) => json!({ "respond": respond(one) }),
    }
}

pub(super) fn cache(cache: &RouteCache) -> Value {
    let window = |length: Duration| (!length.is_zero()).then(|| show_duration(length));
    json!({
        "ttl": cache.ttl.map(show_duration),
        "heuristics": cache.heuristics,
        "stale_while_revalidate": window(cache.stale_while_revalidate),
        "stale_if_error": window(cache.stale_if_error),
        "max_object": show_size(cache.max_object),
        "variants": cache.variants,
        "lock_timeout": show_duration(cache.lock_timeout),
        "client_directives": cache.client_directives,
        "set_cookie": cache.set_cookie,
        "key": key(&cache.key),
    })
}

fn key(key: &CacheKey) -> Value {
    let names = |names: &[ParameterName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (keep, drop) = match &key.query.parameters {
        Parameters::All => (None, None),
        Parameters::Only(kept) => (Some(json!(names(kept))), None),
        Parameters::Without(dropped) => (None, Some(json!(names(dropped)))),
    };
    let headers: Vec<_> = key.headers.iter().map(http::HeaderName::as_str).collect();
    let sort = Some(json!(key.query.sort));
    json!({
        "query": object([("keep", keep), ("drop", drop), ("sort", sort)]),
        "headers": headers,
        "cookies": key.cookies,
        "lua": key.lua.iter().map(|value| &value.text).collect::<Vec<_>>(),
    })
}

pub(super) fn priority(priority: &RoutePriority) -> Value {
    let level = match priority.level {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
    };
    let header = priority.header.as_ref().map(|name| json!(name.as_str()));
    object([("level", Some(json!(level))), ("header", header)])
}
