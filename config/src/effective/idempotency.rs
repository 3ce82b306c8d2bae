//! Which requests run once.

use http::HeaderName;
use serde_json::{Value, json};

use super::limit;
use crate::{
    model::{RecordStore, RouteIdempotency, Unkept, UnknownOutcome},
    units::{show_duration, show_size},
};

pub(super) fn route(one: &RouteIdempotency) -> Value {
    let names = |names: &[HeaderName]| -> Value { names.iter().map(HeaderName::as_str).collect() };
    let methods: Vec<_> = one.methods.iter().map(http::Method::as_str).collect();
    let classes = [
        (one.statuses.success, "2xx"),
        (one.statuses.redirect, "3xx"),
        (one.statuses.client_error, "4xx"),
        (one.statuses.server_error, "5xx"),
    ];
    let statuses: Vec<_> = classes.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    json!({
        "header": one.header.as_str(),
        "methods": methods,
        "required": one.required,
        "ttl": show_duration(one.ttl),
        "lease": show_duration(one.lease),
        "store": match one.store {
            RecordStore::Memory => "memory",
            RecordStore::Redis => "redis",
        },
        "scope": if one.scope.is_empty() { json!("none") } else { limit::key(&one.scope) },
        "max_body": show_size(one.max_body.into()),
        "large_body": match one.large_body {
            Unkept::Refuse => "refuse",
            Unkept::Pass => "pass",
        },
        "max_response": show_size(one.max_response.into()),
        "statuses": statuses,
        "wait": (!one.wait.is_zero()).then(|| show_duration(one.wait)),
        "unknown": match one.unknown {
            UnknownOutcome::Conflict => "conflict",
            UnknownOutcome::Redrive => "redrive",
        },
        "on_store_failure": match one.on_store_failure {
            Unkept::Refuse => "deny",
            Unkept::Pass => "pass",
        },
        "fingerprint": names(&one.fingerprint),
    })
}
