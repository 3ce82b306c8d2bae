//! Why a route took a request, in words: for `weir route`.

use std::ops::ControlFlow;

use http::{HeaderMap, HeaderName, Method};
use weir_config::model::{HostMatch, PathMatch, Segment, ValueMatch};

use super::condition::{Conditions, MethodSet, Verdict, has_field, may_have_field};
use super::matcher::{Compiled, Found, Matched, Matcher};
use super::table::Spans;

/// A look-up with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What [`Matcher::find`] answers.
    pub found: Found,
    /// The rules of the route that was found.
    pub why: Option<Why>,
    /// More specific routes of the same host and path whose other conditions failed, in the order
    /// in which they were tried.
    pub passed_over: Vec<PassedOver>,
}

/// The rules by which a route took a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Such as `host *.example.com`.
    pub host: String,
    /// Such as `path /users/{id}`.
    pub path: String,
    /// Such as `method GET, POST`, `header x-beta = 1`, `query v ~ ^[0-9]+$`.
    pub conditions: Vec<String>,
    /// Names and values of the path's parameters.
    pub params: Vec<(String, String)>,
}

/// A route that did not take a request although host and path match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Index into [`weir_config::model::Config::routes`].
    pub route: usize,
    /// The first condition that failed.
    pub failed: Failed,
}

/// A condition that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// The method is none of these.
    Method(MethodSet),
    /// No such field, or not with such a value.
    Header(HeaderName),
    /// No such parameter, or not with such a value.
    Query(String),
}

impl Matcher {
    /// What a route takes, in words: host (unless any), path, other conditions.
    pub fn describe(&self, route: usize) -> String {
        let route = self.compiled(route);
        let host = Some(&route.host).filter(|host| **host != HostMatch::Any).map(describe_host);
        let path = std::iter::once(describe_path(&route.path));
        let all = host.into_iter().chain(path).chain(describe_conditions(&route.conditions));
        all.collect::<Vec<_>>().join(", ")
    }

    /// Does what [`Matcher::find`] does, or what is done for a CORS `preflight` with these fields,
    /// and tells why; allocates freely.
    pub fn explain(
        &self,
        host: &str,
        path: &str,
        query: Option<&str>,
        method: &Method,
        (headers, preflight): (&HeaderMap, bool),
    ) -> Explanation {
        let has = |name: &HeaderName, value: &ValueMatch| match preflight {
            true => may_have_field(headers, name, value),
            false => has_field(headers, name, value),
        };
        let mut passed_over = Vec::new();
        let mut allow = MethodSet::default();
        let taken = self.walk(host, path, |route, spans| {
            let conditions = &self.compiled(route).conditions;
            let failed = match conditions.check(query, method, has) {
                Verdict::Holds => {
                    return ControlFlow::Break(Matched { route, spans: Spans::from_slice(spans) });
                }
                Verdict::Method => {
                    allow.extend(&conditions.methods);
                    Failed::Method(conditions.methods.clone())
                }
                Verdict::Header(index) => Failed::Header(conditions.headers[index].0.clone()),
                Verdict::Query(index) => Failed::Query(conditions.query[index].0.clone()),
            };
            passed_over.push(PassedOver { route, failed });
            ControlFlow::Continue(())
        });
        let found = match taken {
            ControlFlow::Break(matched) => Found::Route(matched),
            ControlFlow::Continue(()) if allow.is_empty() => Found::NotFound,
            ControlFlow::Continue(()) => Found::MethodNotAllowed(allow),
        };
        let why = match &found {
            Found::Route(matched) => Some(Why::new(self.compiled(matched.route), matched, path)),
            Found::MethodNotAllowed(_) | Found::NotFound => None,
        };
        Explanation { found, why, passed_over }
    }
}

impl Why {
    fn new(route: &Compiled, matched: &Matched, path: &str) -> Self {
        Self {
            host: describe_host(&route.host),
            path: describe_path(&route.path),
            conditions: describe_conditions(&route.conditions),
            params: (route.params.iter().zip(&matched.spans))
                .map(|(name, span)| (name.to_string(), span.of(path).to_owned()))
                .collect(),
        }
    }
}

fn describe_host(host: &HostMatch) -> String {
    match host {
        HostMatch::Any => "any host".to_owned(),
        HostMatch::Exact(name) => format!("host {name}"),
        HostMatch::Wildcard(suffix) => format!("host *{suffix}"),
    }
}

fn describe_path(path: &PathMatch) -> String {
    match path {
        PathMatch::Exact(path) => format!("path {path}"),
        PathMatch::Prefix(prefix) => format!("path {prefix}/**"),
        PathMatch::Template { segments, rest } => {
            let segments = segments.iter().map(|segment| match segment {
                Segment::Literal(text) => format!("/{text}"),
                Segment::Param(name) => format!("/{{{name}}}"),
            });
            format!("path {}{}", segments.collect::<String>(), if *rest { "/**" } else { "" })
        }
        PathMatch::Regex(regex) => format!("path ~ {regex}"),
    }
}

fn describe_conditions(conditions: &Conditions) -> Vec<String> {
    let methods: Vec<&str> = conditions.methods.iter().map(Method::as_str).collect();
    let methods = (!methods.is_empty()).then(|| format!("method {}", methods.join(", ")));
    let headers = conditions.headers.iter();
    let headers = headers.map(|(name, value)| format!("header {name}{}", describe_value(value)));
    let query = conditions.query.iter();
    let query = query.map(|(name, value)| format!("query {name}{}", describe_value(value)));
    methods.into_iter().chain(headers).chain(query).collect()
}

fn describe_value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Exact(text) => format!(" = {text}"),
        ValueMatch::Present => String::new(),
        ValueMatch::Regex(regex) => format!(" ~ {regex}"),
    }
}
