//! The compiled routes of a configuration.
//!
//! Order of precedence, the first difference decides:
//! 1. host: exact, then wildcards from the longest suffix to the shortest, then any;
//! 2. path: exact; then templates and prefixes segment by segment from the left (a literal before
//!    a `{param}` before the `/**` that takes the rest); then regular expressions; a bare `/**`
//!    last, since it would leave nothing to an expression;
//! 3. the number of conditions on method (a list is one), headers and query: more first;
//! 4. place in the file.
//!
//! The first route in that order whose conditions all hold takes the request. A route that fails
//! on method, header or query does not hide less specific ones, be it of a less specific host.

use std::{cmp::Reverse, ops::ControlFlow};

use http::{HeaderMap, HeaderName, Method};
use weir_config::model::{At, HostMatch, PathMatch, Route, ValueMatch};

use super::condition::{Conditions, MethodSet, Verdict, has_field, may_have_field};
use super::host::HostTable;
use super::table::{PathTable, Span, Spans, param_names};
use crate::http::{headers::is_vouched_for, path::PathError};

/// A route that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route {route}: {reason}")]
pub struct BuildError {
    /// Where the route stands in the file.
    pub at: At,
    /// Its name.
    pub route: String,
    /// What is wrong with it.
    pub reason: BuildReason,
}

/// Why a route cannot be compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildReason {
    /// No request can have this path.
    #[error("{0}, so that no request can match")]
    Path(#[from] PathError),
    /// A segment of a template is empty, or holds a slash.
    #[error("empty segment in the path, so that no request can match")]
    EmptySegment,
    /// More segments than the look-up is made for.
    #[error("more than 128 segments in the path")]
    TooManySegments,
    /// The regular expressions of this host are too big together.
    #[error("the regular expressions of its host are too big together")]
    RegexSet,
}

/// What a look-up found.
#[expect(clippy::enum_variant_names, reason = "NotFound is what HTTP calls it")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A route takes the request.
    Route(Matched),
    /// Routes would, but for the method: these are the methods they take. The answer is a 405.
    MethodNotAllowed(MethodSet),
    /// No route takes the request, whatever its method.
    NotFound,
}

/// The route that takes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// Index into [`weir_config::model::Config::routes`].
    pub route: usize,
    /// Values of [`Matcher::params`], as pieces of the path that was looked up.
    pub spans: Spans,
}

/// All routes of a configuration, ready for look-ups.
#[derive(Debug)]
pub struct Matcher {
    hosts: HostTable,
    tables: Vec<PathTable>,
    routes: Box<[Compiled]>,
    reads_vouched: bool,
}

/// What a look-up, or its explanation, needs of a route.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) conditions: Conditions,
    pub(super) params: Box<[Box<str>]>,
    pub(super) host: HostMatch,
    pub(super) path: PathMatch,
}

impl Matcher {
    /// Compiles routes. Regular expressions are taken by their source, with default flags.
    ///
    /// # Errors
    /// One for every route that no request could ever match, or that is too big.
    pub fn build(routes: &[Route]) -> Result<Self, Vec<BuildError>> {
        let compiled: Box<[Compiled]> = routes.iter().map(Compiled::new).collect();
        let mut order: Vec<usize> = (0..routes.len()).collect();
        order.sort_by_key(|&route| (Reverse(compiled[route].conditions.count()), route));

        let mut errors = Vec::new();
        let mut fail = |route: usize, reason| {
            let Route { at, name, .. } = &routes[route];
            errors.push((route, BuildError { at: *at, route: name.clone(), reason }));
        };
        let mut hosts = HostTable::default();
        let mut tables: Vec<PathTable> = Vec::new();
        let mut first = Vec::new();
        for route in order {
            let group = hosts.insert(&routes[route].matches.host);
            if group == tables.len() {
                tables.push(PathTable::new());
                first.push(route);
            }
            if let Err(reason) = tables[group].insert(&routes[route].matches.path, route) {
                fail(route, reason);
            }
        }
        for (table, route) in tables.iter_mut().zip(first) {
            if let Err(reason) = table.finish() {
                fail(route, reason);
            }
        }
        if errors.is_empty() {
            let mut conditions = compiled.iter().flat_map(|route| &route.conditions.headers);
            let reads_vouched = conditions.any(|(name, _)| is_vouched_for(name));
            return Ok(Self { hosts, tables, routes: compiled, reads_vouched });
        }
        errors.sort_by_key(|(route, _)| *route);
        Err(errors.into_iter().map(|(_, error)| error).collect())
    }

    /// Whether a route has conditions on fields that the gateway vouches for.
    pub(crate) const fn reads_vouched(&self) -> bool {
        self.reads_vouched
    }

    /// Finds the route for a request.
    ///
    /// `host` comes from [`super::canonical_host`] and `path` from
    /// [`crate::http::path::normalize`]; `query` is what follows the `?`, as it came.
    pub fn find(
        &self,
        host: &str,
        path: &str,
        query: Option<&str>,
        method: &Method,
        headers: &HeaderMap,
    ) -> Found {
        let has = |name: &_, value: &_| has_field(headers, name, value);
        self.find_by(host, path, query, method, has)
    }

    /// Finds the route for the request that a CORS preflight with these fields announces. Of its
    /// fields the preflight has few: a condition counts as fulfilled where the request may
    /// fulfil it.
    pub(crate) fn find_announced(
        &self,
        host: &str,
        path: &str,
        query: Option<&str>,
        method: &Method,
        preflight: &HeaderMap,
    ) -> Found {
        let has = |name: &_, value: &_| may_have_field(preflight, name, value);
        self.find_by(host, path, query, method, has)
    }

    #[inline]
    fn find_by(
        &self,
        host: &str,
        path: &str,
        query: Option<&str>,
        method: &Method,
        has: impl Fn(&HeaderName, &ValueMatch) -> bool,
    ) -> Found {
        let mut allow = MethodSet::default();
        let taken = self.walk(host, path, |route, spans| {
            let conditions = &self.routes[route].conditions;
            match conditions.check(query, method, &has) {
                Verdict::Holds => {
                    return ControlFlow::Break(Matched { route, spans: Spans::from_slice(spans) });
                }
                Verdict::Method => allow.extend(&conditions.methods),
                Verdict::Header(_) | Verdict::Query(_) => {}
            }
            ControlFlow::Continue(())
        });
        match taken {
            ControlFlow::Break(matched) => Found::Route(matched),
            ControlFlow::Continue(()) if allow.is_empty() => Found::NotFound,
            ControlFlow::Continue(()) => Found::MethodNotAllowed(allow),
        }
    }

    /// The names of a route's parameters: `{name}` of its template and `**` for the rest of a
    /// path, or the named groups of its expression. Empty for a route that is not there.
    pub fn params(&self, route: usize) -> &[Box<str>] {
        self.routes.get(route).map_or(&[], |route| &route.params)
    }

    pub(super) fn tables(&self) -> &[PathTable] {
        &self.tables
    }

    pub(super) fn compiled(&self, route: usize) -> &Compiled {
        &self.routes[route]
    }

    /// Offers every route whose host and path match, in order of precedence, until one is taken.
    pub(super) fn walk<B>(
        &self,
        host: &str,
        path: &str,
        mut offer: impl FnMut(usize, &[Span]) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.hosts.groups(host).try_for_each(|group| self.tables[group].walk(path, &mut offer))
    }
}

impl Compiled {
    fn new(route: &Route) -> Self {
        Self {
            conditions: Conditions::new(&route.matches),
            params: param_names(&route.matches.path),
            host: route.matches.host.clone(),
            path: route.matches.path.clone(),
        }
    }
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
pub(super) mod tests;
