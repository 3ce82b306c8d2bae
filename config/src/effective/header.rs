//! Header fields, and edits of them.

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::object;
use crate::model::{HeaderEdit, HeaderEdits};

pub(super) fn edits(edits: &HeaderEdits) -> Option<Value> {
    let edit = |edit: &HeaderEdit| {
        let remove: Vec<_> = edit.remove.iter().map(|name| json!(name.as_str())).collect();
        let remove = Some(remove).filter(|list| !list.is_empty()).map(Value::from);
        let edit =
            object([("set", pairs(&edit.set)), ("add", pairs(&edit.add)), ("remove", remove)]);
        Some(edit).filter(|edit| edit.as_object().is_some_and(|map| !map.is_empty()))
    };
    let both = object([("request", edit(&edits.request)), ("response", edit(&edits.response))]);
    Some(both).filter(|both| both.as_object().is_some_and(|map| !map.is_empty()))
}

/// Header fields by name; the values of a name that stands there more than once as a list.
pub(super) fn pairs(list: &[(HeaderName, HeaderValue)]) -> Option<Value> {
    let mut out: Map<String, Value> = Map::new();
    for (name, value) in list {
        let value = json!(String::from_utf8_lossy(value.as_bytes()));
        match out.get_mut(name.as_str()) {
            None => {
                out.insert(name.to_string(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(one) => *one = json!([one.take(), value]),
        }
    }
    Some(out).filter(|map| !map.is_empty()).map(Value::from)
}
