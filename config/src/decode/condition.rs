//! `match` of a route.

use std::collections::HashSet;

use http::Method;

use super::{Complaint, Decoder, header};
use crate::{
    defaults::{PATH, VALUE},
    diagnostic::Diagnostic,
    fields::Fields,
    model::{HostMatch, PathMatch, RouteMatch, ValueMatch},
    pattern,
    yaml::{Node, Value, shorten},
};

/// Most conditions of a kind.
const CONDITIONS: usize = 64;

const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "QUERY"];

/// What the route takes; everything when there is no `match`. The path is `None` when wrong.
pub(super) fn read(d: &mut Decoder<'_>, node: Option<&Node>) -> (RouteMatch, bool) {
    let mut matches = RouteMatch {
        host: HostMatch::Any,
        path: PathMatch::Prefix(String::new()),
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
    };
    let Some(node) = node else { return (matches, true) };
    if let Value::Text(_) = &node.value {
        let path = d.pattern(node, PATH, pattern::path);
        let good = path.is_some();
        matches.path = path.unwrap_or(matches.path);
        return (matches, good);
    }
    let fields = Fields::open(d, node, "routes[].match");
    matches.host = fields.parsed(d, "host", pattern::host).unwrap_or(HostMatch::Any);
    let path = fields.at(d, "path", |d, node| d.pattern(node, PATH, pattern::path));
    let good = !matches!(path, Some(None)) && !fields.is_broken();
    let path = path.flatten();
    matches.path = path.unwrap_or(matches.path);
    matches.methods = methods(d, &fields);
    let mut seen = HashSet::new();
    matches.headers = fields.pairs(d, "headers", CONDITIONS, |d, word, node| {
        let name = header::name(&word.text).and_then(|name| match seen.insert(name.clone()) {
            true => Ok(name),
            false => Err(header::twice(&name)),
        });
        let name = name.map_err(|complaint| d.complain(word.span, &word.text, complaint)).ok();
        let value = value(d, node);
        name.zip(value)
    });
    matches.query = fields.pairs(d, "query", CONDITIONS, |d, word, node| {
        if word.text.is_empty() || word.text.len() > 256 {
            d.report.error(word.span, "a parameter's name has from 1 to 256 bytes");
        }
        value(d, node).map(|value| (word.text.clone(), value))
    });
    fields.finish();
    (matches, good)
}

/// A condition on a value.
pub(super) fn value(d: &mut Decoder<'_>, node: &Node) -> Option<ValueMatch> {
    d.pattern(node, VALUE, pattern::value)
}

fn methods(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Method> {
    let read = |d: &mut Decoder<'_>, node: &Node| {
        if node.is_empty_list() {
            d.report.error(node.span, "`methods` is empty: the route would take nothing").hint =
                Some("leave it out for any method".to_owned());
        }
        d.each(node, CONDITIONS, |d, node| d.parsed(node, "an HTTP method", method))
    };
    let mut methods: Vec<Method> = fields.at(d, "methods", read).unwrap_or_default();
    let mut seen = Vec::new();
    methods.retain(|method| {
        let new = !seen.contains(method);
        seen.push(method.clone());
        new
    });
    methods
}

/// A method's name.
pub(super) fn method(text: &str) -> Result<Method, Complaint> {
    let complaint =
        || Complaint::new(format!("expected an HTTP method, found `{}`", shorten(text)));
    if text.is_empty() || text.len() > 32 {
        return Err(complaint());
    }
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        let upper = text.to_ascii_uppercase();
        let hint = Diagnostic::suggest(&upper, METHODS).unwrap_or(&upper);
        return Err(complaint().hint(format!("methods are upper case: `{hint}`")));
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| complaint())
}
