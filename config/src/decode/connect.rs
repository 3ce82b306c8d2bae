//! What a route that carries CONNECT out must be: bytes have no path, and nothing is read in them.

use http::Method;

use super::{Decoder, Names};
use crate::{
    fields::Fields,
    model::{HeaderEdit, HeaderEdits, PathMatch, RouteMatch},
    source::Span,
    yaml::{Entry, Node, Value, shorten},
};

/// Checks a route that names CONNECT among its methods; others pass.
pub(super) fn check(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    matches: &RouteMatch,
    headers: &HeaderEdits,
    names: &Names,
) {
    if !matches.methods.contains(&Method::CONNECT) {
        return;
    }
    let every = matches!(&matches.path, PathMatch::Prefix(prefix) if prefix.is_empty());
    for (key, wrong) in [("path", !every), ("query", !matches.query.is_empty())] {
        if let Some(span) = condition(fields, key).filter(|_| wrong) {
            let what = format!("a CONNECT has no {key}, which the route asks for");
            d.report.error(span, what).hint =
                Some(format!("leave `{key}` out, or give CONNECT a route of its own"));
        }
    }
    for key in ["strip_prefix", "rewrite", "set_host", "redirect", "respond", "files"] {
        if let Some(entry) = fields.entry(key) {
            let what = format!("`{key}` does not go with CONNECT, which hands on bytes alone");
            d.report.error(entry.key.span, what).hint =
                Some("give CONNECT a route of its own with `to: upstream`".to_owned());
        }
    }
    if let (Some(entry), false) =
        (fields.entry("headers"), headers.request == HeaderEdit::default())
    {
        let what = "a CONNECT sends no header upstream that `request` could edit";
        d.report.error(entry.key.span, what).hint =
            Some("leave `request` out, or give CONNECT a route of its own".to_owned());
    }
    if let Some(respond) = fallback(fields, "respond") {
        let what = "`respond` does not go with CONNECT, which hands on bytes alone";
        d.report.error(respond.key.span, what).hint =
            Some("name an upstream with `to`, or give CONNECT a route of its own".to_owned());
    }
    for (span, name) in upstreams(fields) {
        if names.get(name).is_some_and(|named| !named.raw) {
            let what =
                format!("`{}` takes no CONNECT: its connections are not plain", shorten(name));
            d.report.error(span, what).hint =
                Some("name an upstream without `tls` and with `protocol: h1`".to_owned());
        }
    }
}

/// Where a condition of `match` stands.
fn condition(fields: &Fields<'_>, key: &str) -> Option<Span> {
    let Value::Map(entries) = &fields.node("match")?.value else { return None };
    entries.iter().find(|entry| entry.key.text == key).map(|entry| entry.key.span)
}

/// A key of the long form of `fallback`.
fn fallback<'n>(fields: &Fields<'n>, key: &str) -> Option<&'n Entry> {
    let Value::Map(entries) = &fields.node("fallback")?.value else { return None };
    entries.iter().find(|entry| entry.key.text == key)
}

/// The names in `to`, `split` and `fallback`, and where they stand.
fn upstreams<'n>(fields: &Fields<'n>) -> impl Iterator<Item = (Span, &'n str)> {
    let name = |node: &'n Node| match &node.value {
        Value::Text(name) if !node.is_off() => Some((node.span, name.as_str())),
        _ => None,
    };
    let to = fields.node("to").and_then(name);
    let fallback = match fallback(fields, "to") {
        Some(entry) => name(&entry.value),
        None => fields.node("fallback").and_then(name),
    };
    let split = match fields.node("split").map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    let split = split.iter().map(|entry| (entry.key.span, entry.key.text.as_str()));
    to.into_iter().chain(split).chain(fallback)
}
