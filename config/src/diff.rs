//! What a reload would change.

use std::{collections::HashMap, fmt};

use serde::Serialize;
use serde_json::Value;

use crate::{
    defaults::{Kind, keys},
    diagnostic::mask_urls,
    effective::{self, Secrets},
    explain::inline,
    fields::REDACTED,
    model::Config,
    yaml::shorten,
};

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// It has another value.
    Changed,
}

/// One difference between two configurations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// Where, such as `listeners[:8080].trusted_hops`; entries of lists by what identifies them.
    pub path: String,
    /// The value before.
    pub old: Option<String>,
    /// The value after.
    pub new: Option<String>,
    /// What a reload does about it, when that is more than using the new value.
    pub note: Option<&'static str>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<String>| shorten(value.as_deref().unwrap_or_default());
        match self.kind {
            ChangeKind::Added => write!(f, "+ {}: {}", self.path, show(&self.new))?,
            ChangeKind::Removed => write!(f, "- {}: {}", self.path, show(&self.old))?,
            ChangeKind::Changed => {
                write!(f, "~ {}: {} -> {}", self.path, show(&self.old), show(&self.new))?;
            }
        }
        self.note.map_or(Ok(()), |note| write!(f, "  ({note})"))
    }
}

/// Every difference, in the order of the file; none when both mean the same.
///
/// Listeners are the same by address, upstreams and routes by name, endpoints by address.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let (old, new) = (effective::tree(old, Secrets::Plain), effective::tree(new, Secrets::Plain));
    let mut changes = Vec::new();
    compare("", &old, &new, &mut changes);
    changes
}

fn compare(path: &str, old: &Value, new: &Value, out: &mut Vec<Change>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, old) in before {
                let path = join(path, key);
                match after.get(key) {
                    Some(new) => compare(&path, old, new, out),
                    None => push(ChangeKind::Removed, path, Some(old), None, out),
                }
            }
            for (key, new) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                push(ChangeKind::Added, join(path, key), None, Some(new), out);
            }
        }
        (Value::Array(before), Value::Array(after)) if identity(path).is_some() => {
            entries(path, before, after, out);
        }
        _ => push(ChangeKind::Changed, path.to_owned(), Some(old), Some(new), out),
    }
}

/// Lists of things with a name of their own.
fn entries(path: &str, before: &[Value], after: &[Value], out: &mut Vec<Change>) {
    let (before, after) = (named(path, before), named(path, after));
    let old: HashMap<&str, &Value> = before.iter().map(|(id, value)| (&**id, *value)).collect();
    let new: HashMap<&str, &Value> = after.iter().map(|(id, value)| (&**id, *value)).collect();
    for (id, value) in &before {
        let path = format!("{path}[{id}]");
        match new.get(&**id) {
            Some(now) => compare(&path, value, now, out),
            None => push(ChangeKind::Removed, path, Some(value), None, out),
        }
    }
    for (id, value) in after.iter().filter(|(id, _)| !old.contains_key(&**id)) {
        push(ChangeKind::Added, format!("{path}[{id}]"), None, Some(value), out);
    }
    if path != "routes" {
        return;
    }
    let kept = before.iter().map(|(id, _)| id).filter(|id| new.contains_key(id.as_str()));
    let now = after.iter().map(|(id, _)| id).filter(|id| old.contains_key(id.as_str()));
    if let Some((was, is)) = kept.zip(now).find(|(was, is)| was != is) {
        out.push(Change {
            kind: ChangeKind::Changed,
            path: "routes".to_owned(),
            old: Some(format!("`{was}` before `{is}`")),
            new: Some(format!("`{is}` before `{was}`")),
            note: Some("among equally specific ones the first in the file wins"),
        });
    }
}

/// The key that identifies the entries of a list.
fn identity(path: &str) -> Option<&'static str> {
    match path {
        "listeners" => Some("bind"),
        "routes" => Some("name"),
        _ if path.ends_with("].rate_limit") => Some("name"),
        _ if path.ends_with(".endpoints") => Some("address"),
        _ if path.ends_with(".tls.certificates") => Some("cert"),
        _ => None,
    }
}

/// Entries with their names; equal names are counted.
fn named<'v>(path: &str, list: &'v [Value]) -> Vec<(String, &'v Value)> {
    let key = identity(path).unwrap_or_default();
    let mut seen: HashMap<&str, u32> = HashMap::new();
    let entry = |value: &'v Value| {
        // A limit that routes share is its name.
        let id = value.get(key).unwrap_or(value).as_str().unwrap_or_default();
        let count = seen.entry(id).and_modify(|count| *count += 1).or_insert(1);
        let id = if *count > 1 { format!("{id}#{count}") } else { id.to_owned() };
        (id, value)
    };
    list.iter().map(entry).collect()
}

fn push(
    kind: ChangeKind,
    path: String,
    old: Option<&Value>,
    new: Option<&Value>,
    out: &mut Vec<Change>,
) {
    let show = |value: &Value| match value {
        _ if is_secret(&path) => REDACTED.to_owned(),
        Value::Object(map) if ["admin", "membership", "redis"].contains(&&*path) => {
            let shown = map.iter().filter(|(key, _)| !is_secret(&join(&path, key)));
            mask_urls(&inline(&shown.map(|(key, value)| (key.clone(), value.clone())).collect()))
        }
        value if path.starts_with("routes") => inline(&hidden(value)),
        value if path.starts_with("redis.") => mask_urls(&inline(value)),
        value => inline(value),
    };
    let (old, new) = (old.map(show), new.map(show));
    let note = note(kind, &path);
    out.push(Change { kind, path, old, new, note });
}

/// A route without the secrets of its `auth`.
fn hidden(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(hidden).collect(),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                let secret = matches!((key.as_str(), value), ("secret" | "jwk", Value::String(_)))
                    || matches!((key.as_str(), value), ("users", Value::Object(_)));
                let value = if secret { REDACTED.into() } else { hidden(value) };
                (key.clone(), value)
            };
            map.iter().map(entry).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Whether a key's value never shows.
fn is_secret(path: &str) -> bool {
    keys().any(|key| matches!(key.kind, Kind::Secret | Kind::Secrets) && key.path == path)
}

/// What a reload does beyond using the new value.
fn note(kind: ChangeKind, path: &str) -> Option<&'static str> {
    let inside = path.rsplit(']').next().unwrap_or_default();
    let entry = path.ends_with(']');
    let limits = path.starts_with("rate_limits.") || path.contains("].rate_limit[");
    let last = path.rsplit('.').next().unwrap_or_default();
    match kind {
        ChangeKind::Changed if path == "workers" => Some("takes a restart"),
        _ if path.starts_with("membership.") => match last {
            "bind" | "advertise" | "name" | "label" => Some("refused by a reload: restart"),
            "secrets" => Some("members speak on while they share one"),
            _ => None,
        },
        ChangeKind::Added if entry && path.starts_with("listeners[") => Some("the listener opens"),
        ChangeKind::Removed if entry && path.starts_with("listeners[") => {
            Some("the listener drains")
        }
        ChangeKind::Changed if limits && matches!(last, "key" | "algorithm" | "store") => {
            Some("its counts begin anew")
        }
        _ if path == "redis.secret" => Some("all shared counts begin anew"),
        ChangeKind::Changed if path == "redis.urls" => {
            Some("counts of keys that move to another server begin anew")
        }
        _ if path.starts_with("listeners[") && !inside.is_empty() => Some("for new connections"),
        ChangeKind::Removed if entry && path.starts_with("upstreams.") => {
            Some("no new requests; those under way end in peace")
        }
        ChangeKind::Removed if path.starts_with("upstreams.") && !path[10..].contains('.') => {
            Some("requests under way end in peace")
        }
        _ => None,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests;
