//! What is turned away: `limits.memory`, `limits.lag`, `routes[].concurrency` and
//! `routes[].priority`.

use http::HeaderName;

use super::{Complaint, Decoder, header, key, limit};
use crate::{
    fields::Fields,
    model::{
        AbsentKey, Concurrency, KeyPart, MemoryLimit, PathMatch, PlaceStore, Priority,
        RoutePriority,
    },
    yaml::Node,
};

/// The memory at which requests are turned away.
pub(super) fn memory(d: &mut Decoder<'_>, limits: &Fields<'_>) -> MemoryLimit {
    if limits.node("memory").is_some_and(Node::is_off) {
        return MemoryLimit::Off;
    }
    limits.size_or(d, "memory").map_or(MemoryLimit::Auto, MemoryLimit::Bytes)
}

/// How many requests of a route may be under way; `None` is no bound.
pub(super) fn concurrency(
    d: &mut Decoder<'_>,
    route: &Fields<'_>,
    paths: &PathMatch,
) -> Option<Concurrency> {
    let fields = route.policy(d, "concurrency", "routes[].concurrency")?;
    let max = fields.count(d, "max");
    let mut key = key::read(d, &fields);
    let mut absent = key::absent(d, &fields);
    let store = place_store(d, &fields);
    fields.finish();
    if fields.node("max").is_none() {
        fields.missing(d, "max", "such as `max: 64`");
    }
    key::lint(d, &fields, &key, Some(paths));
    match store {
        PlaceStore::Local if key == [KeyPart::Route] => key.clear(),
        PlaceStore::Redis { .. } if key.is_empty() => key.push(KeyPart::Route),
        PlaceStore::Local | PlaceStore::Redis { .. } => {}
    }
    if let Some(entry) =
        fields.entry("absent").filter(|_| key.iter().all(|part| *part == KeyPart::Route))
    {
        let what = "`absent` has no effect: no part of a key can be missing";
        d.report.warn(entry.key.span, what);
        absent = AbsentKey::default();
    }
    Some(Concurrency { max, key, absent, store })
}

/// Where requests under way are counted. Of those that are counted here, the rest says nothing.
fn place_store(d: &mut Decoder<'_>, fields: &Fields<'_>) -> PlaceStore {
    let store = limit::is_shared(d, fields);
    let on_failure = limit::on_failure(d, fields, store);
    let lease = fields.duration(d, "lease");
    if let Some(node) = fields.node("lease").filter(|_| !store) {
        d.report.error(node.span, "only places on servers have a lease").hint =
            Some("write `store: redis`, or remove it".to_owned());
    }
    if store { PlaceStore::Redis { lease, on_failure } } else { PlaceStore::Local }
}

/// How urgent a route's requests are.
pub(super) fn priority(d: &mut Decoder<'_>, route: &Fields<'_>) -> RoutePriority {
    let Some(fields) = route.policy(d, "priority", "routes[].priority") else {
        return RoutePriority::default();
    };
    let level = match fields.choice(d, "level") {
        "low" => Priority::Low,
        "high" => Priority::High,
        _ => Priority::Normal,
    };
    let header = fields.parsed(d, "header", end_to_end);
    fields.finish();
    if let (Priority::Low, Some(_), Some(entry)) = (level, &header, fields.entry("header")) {
        let what = "`header` has no effect: it only lowers, and `level` is `low` already";
        d.report.warn(entry.key.span, what);
    }
    RoutePriority { level, header }
}

/// A header that a client's word can come in.
fn end_to_end(text: &str) -> Result<HeaderName, Complaint> {
    let name = header::name(text)?;
    if header::is_hop_by_hop(&name) {
        let what = format!("`{name}` belongs to the connection: no priority comes in it");
        return Err(Complaint::new(what).hint("name another one, such as `x-priority`"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
