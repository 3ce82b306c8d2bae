//! The compiled matcher against one that tries every route in turn.

use std::{cmp::Reverse, sync::LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use regex::Regex;
use weir_config::model::{HostMatch, PathMatch, Route, Segment, ValueMatch};

use super::tests::route;
use super::{Found, Matcher};

const SEED: u64 = 0x5745_4952;

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let sources = ["^/a", "b$", "^/(?P<n>[^/]+)/b", "/c/"];
    sources.into_iter().map(|source| Regex::new(source).unwrap()).collect()
});
static DIGIT: LazyLock<Regex> = LazyLock::new(|| Regex::new("^[1-2]$").unwrap());

#[derive(Debug)]
struct Request {
    host: String,
    path: String,
    query: Option<&'static str>,
    method: Method,
    headers: HeaderMap,
}

/// The answer in a form that both can give: route and parameter values, or the methods to allow.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Route(usize, Vec<String>),
    Allow(Vec<String>),
    None,
}

#[test]
fn agrees_with_a_matcher_that_tries_every_route() {
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut kinds = [0_usize; 3];
    for round in 0..1000 {
        let routes: Vec<Route> = (0..rng.usize(1..24)).map(|_| any_route(&mut rng)).collect();
        let matcher = Matcher::build(&routes).unwrap();
        for _ in 0..20 {
            let request = any_request(&mut rng);
            let expected = naive(&routes, &request);
            let Request { host, path, query, method, headers } = &request;
            let found = matcher.find(host, path, *query, method, headers);
            let answer = answer(&found, path);
            assert_eq!(answer, expected, "round {round}: {request:?} of {routes:#?}");
            assert_eq!(matcher.explain(host, path, *query, method, (headers, false)).found, found);
            kinds[match expected {
                Answer::Route(..) => 0,
                Answer::Allow(_) => 1,
                Answer::None => 2,
            }] += 1;
        }
    }
    assert!(kinds.iter().all(|&count| count > 500), "the requests are one-sided: {kinds:?}");
}

fn answer(found: &Found, path: &str) -> Answer {
    match found {
        Found::Route(matched) => Answer::Route(
            matched.route,
            matched.spans.iter().map(|span| span.of(path).to_owned()).collect(),
        ),
        Found::MethodNotAllowed(methods) => Answer::Allow(sorted(methods.iter())),
        Found::NotFound => Answer::None,
    }
}

fn sorted<'a>(methods: impl Iterator<Item = &'a Method>) -> Vec<String> {
    let mut names: Vec<_> = methods.map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    names
}

// === the naive matcher ===

fn naive(routes: &[Route], request: &Request) -> Answer {
    let mut order: Vec<usize> = (0..routes.len()).collect();
    order.sort_by_key(|&index| (specificity(&routes[index]), index));
    let mut allow = Vec::new();
    for index in order {
        let matches = &routes[index].matches;
        if !host_holds(&matches.host, &request.host) || !conditions_hold(&routes[index], request) {
            continue;
        }
        let Some(values) = path_values(&matches.path, &request.path) else { continue };
        let mut methods = matches.methods.clone();
        if methods.contains(&Method::GET) {
            methods.push(Method::HEAD);
        }
        if methods.is_empty() || methods.contains(&request.method) {
            return Answer::Route(index, values);
        }
        allow.extend(methods);
    }
    if allow.is_empty() { Answer::None } else { Answer::Allow(sorted(allow.iter())) }
}

type Specificity = (u8, Reverse<usize>, u8, Vec<u8>, Reverse<usize>);

fn specificity(route: &Route) -> Specificity {
    let matches = &route.matches;
    let (host, length) = match &matches.host {
        HostMatch::Exact(_) => (0, 0),
        HostMatch::Wildcard(suffix) => (1, suffix.len()),
        HostMatch::Any => (2, 0),
    };
    let (path, tokens) = match &matches.path {
        PathMatch::Exact(_) => (0, vec![]),
        PathMatch::Prefix(prefix) if prefix.is_empty() => (3, vec![]),
        PathMatch::Prefix(prefix) => (1, [vec![0; prefix.matches('/').count()], vec![2]].concat()),
        PathMatch::Template { segments, rest } => {
            let token = |segment: &Segment| u8::from(matches!(segment, Segment::Param(_)));
            let tokens = segments.iter().map(token).chain([if *rest { 2 } else { 0 }]);
            (1, tokens.collect())
        }
        PathMatch::Regex(_) => (2, vec![]),
    };
    let conditions =
        usize::from(!matches.methods.is_empty()) + matches.headers.len() + matches.query.len();
    (host, Reverse(length), path, tokens, Reverse(conditions))
}

fn host_holds(condition: &HostMatch, host: &str) -> bool {
    match condition {
        HostMatch::Any => true,
        HostMatch::Exact(name) => name == host,
        HostMatch::Wildcard(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
    }
}

fn path_values(condition: &PathMatch, path: &str) -> Option<Vec<String>> {
    match condition {
        PathMatch::Exact(exact) => (exact == path).then(Vec::new),
        PathMatch::Prefix(prefix) => {
            let rest = path.strip_prefix(&**prefix)?;
            (rest.is_empty() || rest.starts_with('/'))
                .then(|| vec![rest.trim_start_matches('/').to_owned()])
        }
        PathMatch::Template { segments, rest } => {
            let parts: Vec<&str> = path.split('/').skip(1).collect();
            if parts.len() < segments.len() || (!rest && parts.len() > segments.len()) {
                return None;
            }
            let mut values = Vec::new();
            for (segment, part) in segments.iter().zip(&parts) {
                match segment {
                    Segment::Literal(text) if text == part => {}
                    Segment::Param(_) if !part.is_empty() => values.push((*part).to_owned()),
                    Segment::Literal(_) | Segment::Param(_) => return None,
                }
            }
            if *rest {
                values.push(parts[segments.len()..].join("/"));
            }
            Some(values)
        }
        PathMatch::Regex(regex) => {
            let captures = regex.captures(path)?;
            let names = regex.capture_names().flatten();
            Some(names.map(|name| captures[name].to_owned()).collect())
        }
    }
}

fn conditions_hold(route: &Route, request: &Request) -> bool {
    let equals = |condition: &ValueMatch, value: &str| match condition {
        ValueMatch::Exact(expected) => expected == value,
        ValueMatch::Present => true,
        ValueMatch::Regex(regex) => regex.is_match(value),
    };
    route.matches.headers.iter().all(|(name, value)| {
        request.headers.get(name).is_some_and(|found| equals(value, found.to_str().unwrap()))
    }) && route.matches.query.iter().all(|(name, value)| {
        let pairs = request.query.unwrap_or_default().split('&');
        pairs.filter_map(|pair| pair.split_once('=')).any(|(k, v)| k == name && equals(value, v))
    })
}

// === few names, so that they often meet ===

fn any_route(rng: &mut fastrand::Rng) -> Route {
    let hosts = ["*", "*", "*", "a.b.c", "b.c", "*.c", "*.b.c"];
    let host = pick(rng, &hosts);
    let mut route = route(host, &any_route_path(rng));
    if rng.u8(..12) == 0 {
        route.matches.path = PathMatch::Regex(PATTERNS[rng.usize(..PATTERNS.len())].clone());
    }
    for method in [Method::GET, Method::POST, Method::DELETE] {
        if rng.u8(..5) == 0 {
            route.matches.methods.push(method);
        }
    }
    if rng.u8(..5) == 0 {
        let name = HeaderName::from_static(pick(rng, &["x-a", "x-b"]));
        route.matches.headers.push((name, any_value(rng)));
    }
    if rng.u8(..5) == 0 {
        route.matches.query.push((pick(rng, &["p", "q"]).into(), any_value(rng)));
    }
    route
}

fn any_value(rng: &mut fastrand::Rng) -> ValueMatch {
    match rng.u8(..3) {
        0 => ValueMatch::Present,
        1 => ValueMatch::Regex(DIGIT.clone()),
        _ => ValueMatch::Exact("1".into()),
    }
}

fn any_route_path(rng: &mut fastrand::Rng) -> String {
    let mut path = String::new();
    for index in 0..rng.usize(..4) {
        match rng.u8(..3) {
            0 => path.push_str(&format!("/{{p{index}}}")),
            _ => path.push_str(pick(rng, &["/a", "/b", "/c"])),
        }
    }
    match rng.u8(..3) {
        0 => path.push_str("/**"),
        1 if !path.is_empty() && rng.u8(..3) == 0 => path.push('/'),
        _ if path.is_empty() => path.push('/'),
        _ => {}
    }
    path
}

fn any_request(rng: &mut fastrand::Rng) -> Request {
    let mut path: String =
        (0..rng.usize(..5)).map(|_| pick(rng, &["/a", "/b", "/c", "/d"])).collect();
    if path.is_empty() || rng.u8(..5) == 0 {
        path.push('/');
    }
    let mut headers = HeaderMap::new();
    for name in ["x-a", "x-b"] {
        if rng.bool() {
            let value = pick(rng, &["1", "2", "3"]);
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    Request {
        host: pick(rng, &["a.b.c", "b.c", "c", "x.b.c", "x.y", ""]).to_owned(),
        path,
        query: rng.choice([None, Some("p=1"), Some("p=2&q=1"), Some("q=3"), Some("")]).unwrap(),
        method: rng.choice([Method::GET, Method::POST, Method::PUT]).unwrap(),
        headers,
    }
}

fn pick<'a>(rng: &mut fastrand::Rng, texts: &[&'a str]) -> &'a str {
    texts[rng.usize(..texts.len())]
}
