//! Who a client is, once it has said so and been believed.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

/// A client that was believed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Identity {
    /// What it is called; `None` where the credential does not say.
    pub(crate) name: Option<Box<str>>,
    /// What else the credential says.
    pub(crate) claims: Map<String, Value>,
    /// What is told upstream of it.
    pub(crate) told: Vec<(HeaderName, HeaderValue)>,
}

impl Identity {
    /// One of which nothing but a name is known.
    pub(crate) fn named(name: &str) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// A claim as a text, if there is one that can be one.
    pub(crate) fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        find(&self.claims, name).and_then(text)
    }
}

/// A claim by its name, or by the names of the objects it lies in and its own, with dots.
pub(crate) fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    // Names with dots of their own, such as URLs, were looked for as a whole.
    let (first, rest) = name.split_once('.')?;
    let mut value = claims.get(first)?;
    for step in rest.split('.') {
        value = value.as_object()?.get(step)?;
    }
    Some(value)
}

/// A claim as one text; a list as its entries, with commas.
pub(crate) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) => Some(Cow::Owned(value.to_string())),
        Value::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(text).collect();
            texts.map(|texts| Cow::Owned(texts.join(",")))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// Takes away what a client may not say of itself: fields of these names, and those that some
/// servers take for them since they write `-` as `_`.
pub(crate) fn strip(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
    let alias = |name: &&HeaderName| {
        let text = name.as_str();
        text.contains('_') && {
            let plain = text.replace('_', "-");
            names.iter().any(|name| name.as_str().replace('_', "-") == plain)
        }
    };
    let aliases: Vec<HeaderName> = headers.keys().filter(alias).cloned().collect();
    for name in aliases {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(claims: Value) -> Identity {
        let Value::Object(claims) = claims else { panic!("an object") };
        Identity { claims, ..Identity::default() }
    }

    #[test]
    fn claims_are_found_by_name_and_by_path() {
        let identity = identity(json!({
            "sub": "ann", "org": { "name": "x", "no": 7 }, "https://a.b/c": true, "a.b": "whole",
            "a": { "b": "part" }, "roles": ["r", "w"], "none": null, "deep": { "a": { "b": "c" } },
        }));
        for (name, value) in [
            ("sub", "ann"),
            ("org.name", "x"),
            ("org.no", "7"),
            ("https://a.b/c", "true"),
            ("a.b", "whole"),
            ("roles", "r,w"),
            ("deep.a.b", "c"),
        ] {
            assert_eq!(identity.claim(name).as_deref(), Some(value), "{name}");
        }
        for name in ["none", "org", "org.x", "sub.x", "", ".", "deep.a", "x.y"] {
            assert_eq!(identity.claim(name), None, "{name}");
        }
    }

    #[test]
    fn what_looks_like_a_told_field_goes_too() {
        let mut headers = HeaderMap::new();
        for name in ["x-user-id", "x_user_id", "x-user_id", "x-user", "x_other"] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("me"));
        }
        strip(&mut headers, &[HeaderName::from_static("x-user-id")]);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-user", "x_other"]);
    }
}
