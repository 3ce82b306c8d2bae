//! Routes that no request reaches, for the warnings of `weir check`.

use super::condition::Conditions;
use super::matcher::Matcher;

/// A route that never takes a request, since another takes all that it could.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shadowed {
    /// Index into [`weir_config::model::Config::routes`] of the route that is never reached.
    pub route: usize,
    /// The one that stands before it.
    pub by: usize,
}

impl Matcher {
    /// Finds routes of the same host and path whose other conditions are covered by one that comes
    /// first; in file order. Expressions are alike only when they are spelled alike.
    pub fn shadowed(&self) -> Vec<Shadowed> {
        let rivals = self.tables().iter().flat_map(super::table::PathTable::rivals);
        let mut shadowed: Vec<Shadowed> =
            rivals.flat_map(|rivals| self.shadowed_among(&rivals)).collect();
        shadowed.sort_unstable();
        shadowed
    }

    fn shadowed_among(&self, rivals: &[usize]) -> Vec<Shadowed> {
        let conditions = |route: usize| &self.compiled(route).conditions;
        let shadow = |(place, &route): (usize, &usize)| {
            let by = rivals[..place]
                .iter()
                .find(|&&before| covers(conditions(before), conditions(route)))?;
            Some(Shadowed { route, by: *by })
        };
        rivals.iter().enumerate().filter_map(shadow).collect()
    }
}

/// Whether every request that fulfils `narrow` fulfils `wide`.
fn covers(wide: &Conditions, narrow: &Conditions) -> bool {
    let takes_methods = wide.methods.is_empty()
        || (!narrow.methods.is_empty()
            && narrow.methods.iter().all(|method| wide.methods.contains(method)));
    takes_methods
        && wide.headers.iter().all(|condition| narrow.headers.contains(condition))
        && wide.query.iter().all(|condition| narrow.query.contains(condition))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::route::matcher::tests::{route, with_header, with_methods};

    #[test]
    fn only_covered_routes_are_shadowed() {
        let get = [Method::GET];
        let both = [Method::GET, Method::POST];
        let routes = [
            route("*", "/a/{x}"),
            route("*", "/a/{y}"),
            with_methods(route("*", "/a/{x}"), &get),
            route("b", "/a/{x}"),
            with_methods(route("*", "/b"), &both),
            with_methods(route("*", "/b"), &get),
            with_header(route("*", "/b"), "x-a", "1"),
            with_header(route("*", "/b"), "x-a", "2"),
            with_header(route("*", "/b"), "x-a", "1"),
            route("*", "~ ^/r"),
            route("*", "~ ^/r"),
            route("*", "/**"),
            route("*", "/"),
        ];
        let shadowed = Matcher::build(&routes).unwrap().shadowed();
        let pairs: Vec<_> = shadowed.iter().map(|found| (found.route, found.by)).collect();
        assert_eq!(pairs, [(1, 0), (5, 4), (8, 6), (10, 9)]);
    }
}
