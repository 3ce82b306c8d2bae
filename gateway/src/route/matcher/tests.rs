use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use regex::Regex;
use weir_config::model::{
    Action, At, HeaderEdits, HostMatch, PathMatch, Respond, Route, RouteMatch, RoutePriority,
    RouteTimeout, Segment, Traffic, ValueMatch,
};

use super::{BuildReason, Found, Matcher};
use crate::http::path::PathError;
use crate::route::table::VISITS;
use crate::route::{Failed, MethodSet};

/// A route from its host (`*` is any) and path as a file would have them.
pub(in crate::route) fn route(host: &str, path: &str) -> Route {
    Route {
        at: At::default(),
        name: format!("{host}{path}"),
        matches: RouteMatch {
            host: host_match(host),
            path: path_match(path),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
        },
        action: Action::Respond(Respond {
            status: http::StatusCode::OK,
            body: String::new(),
            headers: Vec::new(),
        }),
        headers: HeaderEdits::default(),
        timeout: RouteTimeout { headers: Duration::ZERO, total: None, idle: Duration::ZERO },
        retry: None,
        fallback: None,
        allow: None,
        deny: None,
        auth: Vec::new(),
        cache: None,
        idempotency: None,
        concurrency: None,
        rate_limits: Vec::new(),
        priority: RoutePriority::default(),
        traffic: Traffic::default(),
        web: weir_config::model::Web::default(),
        script: None,
    }
}

fn host_match(host: &str) -> HostMatch {
    match host.strip_prefix('*') {
        Some("") => HostMatch::Any,
        Some(suffix) => HostMatch::Wildcard(suffix.into()),
        None => HostMatch::Exact(host.into()),
    }
}

fn path_match(path: &str) -> PathMatch {
    if let Some(regex) = path.strip_prefix("~ ") {
        return PathMatch::Regex(Regex::new(regex).unwrap());
    }
    let (head, rest) = path.strip_suffix("/**").map_or((path, false), |head| (head, true));
    if !head.contains('{') {
        return if rest { PathMatch::Prefix(head.into()) } else { PathMatch::Exact(head.into()) };
    }
    let segment = |text: &str| match text.strip_prefix('{').and_then(|text| text.strip_suffix('}'))
    {
        Some(name) => Segment::Param(name.into()),
        None => Segment::Literal(text.into()),
    };
    PathMatch::Template { segments: head.split('/').skip(1).map(segment).collect(), rest }
}

pub(in crate::route) fn with_methods(mut route: Route, methods: &[Method]) -> Route {
    route.matches.methods = methods.to_vec();
    route
}

pub(in crate::route) fn with_header(mut route: Route, name: &'static str, value: &str) -> Route {
    let name = HeaderName::from_static(name);
    route.matches.headers.push((name, ValueMatch::Exact(value.into())));
    route
}

fn with_query(mut route: Route, name: &str, value: &str) -> Route {
    route.matches.query.push((name.into(), ValueMatch::Exact(value.into())));
    route
}

fn get(matcher: &Matcher, host: &str, path: &str) -> Option<usize> {
    match matcher.find(host, path, None, &Method::GET, &HeaderMap::new()) {
        Found::Route(matched) => Some(matched.route),
        Found::MethodNotAllowed(_) | Found::NotFound => None,
    }
}

#[test]
fn the_most_specific_path_wins_whatever_the_order_of_the_file() {
    let paths = [
        "/a/b",
        "/a/b/**",
        "/a/{x}",
        "/a/{x}/c",
        "/a/{x}/**",
        "/a/**",
        "/**",
        "~ ^/r[0-9]+/",
        "~ ^/r[0-9]+$",
    ];
    let table = [
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/**"),
        ("/a/b/c", "/a/b/**"),
        ("/a/z", "/a/{x}"),
        ("/a/z/c", "/a/{x}/c"),
        ("/a/z/d", "/a/{x}/**"),
        ("/a/z/", "/a/{x}/**"),
        ("/a/", "/a/**"),
        ("/a", "/a/**"),
        ("/ab", "/**"),
        ("/", "/**"),
        ("/r1/x", "~ ^/r[0-9]+/"),
        ("/r1", "~ ^/r[0-9]+$"),
    ];
    for reversed in [false, true] {
        let mut routes: Vec<Route> = paths.iter().map(|path| route("*", path)).collect();
        if reversed {
            routes.reverse();
        }
        let matcher = Matcher::build(&routes).unwrap();
        for (path, expected) in table {
            let found = get(&matcher, "h", path).map(|index| &routes[index].name[1..]);
            assert_eq!(found, Some(expected), "{path}, reversed: {reversed}");
        }
    }
}

#[test]
fn expressions_come_last_in_file_order() {
    let routes = [route("*", "~ ^/r"), route("*", "~ ^/r[0-9]+/"), route("*", "/r1/{x}")];
    let matcher = Matcher::build(&routes).unwrap();
    assert_eq!(get(&matcher, "h", "/r1/a/b"), Some(0));
    assert_eq!(get(&matcher, "h", "/r1/a"), Some(2));
    assert_eq!(get(&matcher, "h", "/x"), None);
    let routes = [route("*", "~ ^/r"), with_methods(route("*", "~ ^/r[0-9]+/"), &[Method::GET])];
    assert_eq!(get(&Matcher::build(&routes).unwrap(), "h", "/r1/a"), Some(1));
}

#[test]
fn less_specific_hosts_are_tried_when_a_more_specific_one_has_no_route() {
    let routes = [
        route("*", "/**"),
        route("*.example.com", "/w/**"),
        route("*.b.example.com", "/w/deep"),
        route("a.b.example.com", "/exact"),
        with_methods(route("a.b.example.com", "/w/deep"), &[Method::POST]),
    ];
    let matcher = Matcher::build(&routes).unwrap();
    let table = [
        ("a.b.example.com", "/exact", 3),
        ("a.b.example.com", "/w/deep", 2),
        ("a.b.example.com", "/w/x", 1),
        ("a.b.example.com", "/x", 0),
        ("example.com", "/w/deep", 0),
        ("other", "/exact", 0),
    ];
    for (host, path, expected) in table {
        assert_eq!(get(&matcher, host, path), Some(expected), "{host} {path}");
    }
}

#[test]
fn more_conditions_win_and_failed_ones_hide_nothing() {
    let routes = [
        route("*", "/p"),
        with_header(route("*", "/p"), "x-beta", "1"),
        with_query(with_header(route("*", "/p"), "x-beta", "1"), "v", "2"),
        with_query(route("*", "/p"), "v", "2"),
        with_query(route("*", "/**"), "v", "3"),
    ];
    let matcher = Matcher::build(&routes).unwrap();
    let mut beta = HeaderMap::new();
    beta.insert("x-beta", HeaderValue::from_static("1"));
    let none = HeaderMap::new();
    let table = [
        (&none, None, 0),
        (&beta, None, 1),
        (&beta, Some("v=2"), 2),
        (&none, Some("v=2"), 3),
        (&none, Some("v=3"), 0),
    ];
    for (headers, query, expected) in table {
        let found = matcher.find("h", "/p", query, &Method::GET, headers);
        assert!(matches!(found, Found::Route(matched) if matched.route == expected), "{query:?}");
    }
    let found = matcher.find("h", "/q", Some("v=3"), &Method::GET, &none);
    assert!(matches!(found, Found::Route(matched) if matched.route == 4));
    assert_eq!(get(&matcher, "h", "/q"), None);
}

#[test]
fn a_wrong_method_alone_is_told_with_the_right_ones() {
    let routes = [
        with_methods(route("*", "/p"), &[Method::POST, Method::PUT]),
        with_methods(route("*", "/{x}"), &[Method::DELETE]),
        with_header(with_methods(route("*", "/p"), &[Method::PATCH]), "x-beta", "1"),
        with_methods(route("*", "/q/**"), &[Method::POST]),
    ];
    let matcher = Matcher::build(&routes).unwrap();
    let find = |path, method| matcher.find("h", path, None, &method, &HeaderMap::new());
    let allowed = |methods: &[Method]| -> Found {
        Found::MethodNotAllowed(methods.iter().collect::<MethodSet>())
    };
    assert_eq!(find("/p", Method::GET), allowed(&[Method::POST, Method::PUT, Method::DELETE]));
    assert!(matches!(find("/p", Method::DELETE), Found::Route(matched) if matched.route == 1));
    assert_eq!(find("/q/z", Method::GET), allowed(&[Method::POST]));
    assert_eq!(find("/x/y", Method::GET), Found::NotFound);
}

#[test]
fn what_takes_get_takes_head() {
    let routes = [
        with_methods(route("*", "/p"), &[Method::GET]),
        with_methods(route("*", "/q"), &[Method::HEAD]),
        with_methods(route("*", "/q"), &[Method::GET]),
    ];
    let matcher = Matcher::build(&routes).unwrap();
    let find = |path, method| matcher.find("h", path, None, &method, &HeaderMap::new());
    let taken = |found: Found| match found {
        Found::Route(matched) => matched.route,
        other => panic!("{other:?}"),
    };
    assert_eq!(taken(find("/p", Method::HEAD)), 0);
    assert_eq!(taken(find("/q", Method::HEAD)), 1);
    assert_eq!(taken(find("/q", Method::GET)), 2);
    let Found::MethodNotAllowed(allow) = find("/p", Method::POST) else { panic!("taken") };
    assert_eq!(allow.to_allow(), "GET, HEAD");
    let why =
        matcher.explain("h", "/p", None, &Method::HEAD, (&HeaderMap::new(), false)).why.unwrap();
    assert_eq!(why.conditions, ["method GET, HEAD"]);
}

#[test]
fn connect_is_taken_only_where_it_is_named() {
    let routes = [
        route("db", "/"),
        route("db", "/**"),
        with_methods(route("db", "/**"), &[Method::GET, Method::CONNECT]),
        route("*", "/**"),
    ];
    let matcher = Matcher::build(&routes).unwrap();
    let find = |host, method| matcher.find(host, "/", None, &method, &HeaderMap::new());
    assert!(matches!(find("db", Method::CONNECT), Found::Route(matched) if matched.route == 2));
    assert!(matches!(find("db", Method::POST), Found::Route(matched) if matched.route == 0));
    assert_eq!(find("other", Method::CONNECT), Found::NotFound);
}

#[test]
fn parameters_are_pieces_of_the_path() {
    let routes = [
        route("*", "/users/{id}/posts/{post}"),
        route("*", "/files/{name}/**"),
        route("*", "/static/**"),
        route("*", "~ ^/v(?P<major>[0-9]+)(?:-(?P<pre>[a-z]+))?/(?P<tail>.*)$"),
    ];
    let matcher = Matcher::build(&routes).unwrap();
    let table: [(&str, &[(&str, &str)]); 8] = [
        ("/users/7/posts/a%2Fb", &[("id", "7"), ("post", "a%2Fb")]),
        ("/files/f", &[("name", "f"), ("**", "")]),
        ("/files/f/", &[("name", "f"), ("**", "")]),
        ("/files/f/x/y", &[("name", "f"), ("**", "x/y")]),
        ("/static", &[("**", "")]),
        ("/static/a/", &[("**", "a/")]),
        ("/v12-rc/a/b", &[("major", "12"), ("pre", "rc"), ("tail", "a/b")]),
        ("/v12/", &[("major", "12"), ("pre", ""), ("tail", "")]),
    ];
    for (path, expected) in table {
        let explained = matcher.explain("h", path, None, &Method::GET, (&HeaderMap::new(), false));
        let params = explained.why.unwrap().params;
        let params: Vec<_> = params.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(params, expected, "{path}");
    }
}

#[test]
fn empty_segments_fill_no_parameter() {
    let matcher = Matcher::build(&[route("*", "/u/{id}"), route("*", "/d/{id}/")]).unwrap();
    assert_eq!(get(&matcher, "h", "/u/"), None);
    assert_eq!(get(&matcher, "h", "/u"), None);
    assert_eq!(get(&matcher, "h", "/u/1/"), None);
    assert_eq!(get(&matcher, "h", "/d/1/"), Some(1));
    assert_eq!(get(&matcher, "h", "/d/1"), None);
    assert_eq!(get(&matcher, "h", "*"), None);
    assert_eq!(get(&matcher, "h", ""), None);
}

#[test]
fn routes_are_normalized_as_requests_are() {
    let routes = [route("*", "/caf\u{e9}/{x}"), route("*", "/%41//b"), route("*", "/a b/**")];
    let matcher = Matcher::build(&routes).unwrap();
    assert_eq!(get(&matcher, "h", "/caf%C3%A9/1"), Some(0));
    assert_eq!(get(&matcher, "h", "/A/b"), Some(1));
    assert_eq!(get(&matcher, "h", "/a%20b/c"), Some(2));
}

#[test]
fn routes_that_can_never_match_are_errors_all_at_once() {
    let deep = "/x".repeat(200) + "/{p}";
    let routes = [
        route("*", "/fine"),
        route("*", "/a%00"),
        route("*", "no-slash"),
        route("*", "/a//{x}"),
        route("*", &deep),
        route("*", "/../{x}"),
    ];
    let errors = Matcher::build(&routes).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (&*error.route, error.reason)).collect();
    let expected = [
        ("*/a%00", BuildReason::Path(PathError::Control)),
        ("*no-slash", BuildReason::Path(PathError::NotAbsolute)),
        ("*/a//{x}", BuildReason::EmptySegment),
        (&format!("*{deep}"), BuildReason::TooManySegments),
        ("*/../{x}", BuildReason::Path(PathError::AboveRoot)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn an_explanation_names_the_rules_and_what_was_passed_over() {
    let beta = with_header(route("*.example.com", "/users/{id}"), "x-beta", "1");
    let routes = [
        beta,
        with_methods(route("*.example.com", "/users/{id}"), &[Method::POST]),
        with_query(with_methods(route("*", "/users/**"), &[Method::GET]), "v", "2"),
    ];
    let matcher = Matcher::build(&routes).unwrap();
    let explained = matcher.explain(
        "a.example.com",
        "/users/7",
        Some("v=2"),
        &Method::GET,
        (&HeaderMap::new(), false),
    );
    let why = explained.why.unwrap();
    assert_eq!((&*why.host, &*why.path), ("any host", "path /users/**"));
    assert_eq!(why.conditions, ["method GET, HEAD", "query v = 2"]);
    let passed: Vec<_> = explained.passed_over.into_iter().map(|p| (p.route, p.failed)).collect();
    let post = [Method::POST].iter().collect();
    let expected =
        [(0, Failed::Header(HeaderName::from_static("x-beta"))), (1, Failed::Method(post))];
    assert_eq!(passed, expected);
}

#[test]
fn a_look_up_does_not_grow_with_the_routes_that_do_not_match() {
    let visits = |count: usize| -> Vec<usize> {
        let mut routes = vec![
            route("api.example.com", "/orders/{id}/items"),
            route("*.example.com", "/static/**"),
            route("*", "/exact"),
        ];
        for index in 0..count {
            routes.push(route("*", &format!("/e{index}/exact")));
            routes.push(route("*", &format!("/p{index}/**")));
            routes.push(route("*", &format!("/t{index}/{{id}}/x")));
            routes.push(route(&format!("h{index}.example.com"), "/**"));
            routes.push(route("api.example.com", &format!("/orders/{{id}}/items/{index}")));
        }
        let matcher = Matcher::build(&routes).unwrap();
        let requests = [
            ("api.example.com", "/orders/7/items"),
            ("api.example.com", "/static/a/b/c"),
            ("api.example.com", "/exact"),
            ("api.example.com", "/none/of/these"),
            ("unknown", "/none/of/these"),
        ];
        let count = |(host, path): (&str, &str)| {
            VISITS.set(0);
            get(&matcher, host, path);
            VISITS.get()
        };
        requests.into_iter().map(count).collect()
    };
    let few = visits(2);
    assert!(few.iter().all(|&visits| (1..12).contains(&visits)), "{few:?}");
    assert_eq!(visits(2000), few);
}

/// A matcher of one route.
pub(in crate::route) fn matcher_of(path: PathMatch) -> Matcher {
    let mut route = route("*", "/");
    route.matches.path = path;
    Matcher::build(&[route]).unwrap()
}

#[test]
fn a_preflight_finds_the_route_of_the_request_that_it_announces() {
    let routes = [
        with_header(route("*", "/v"), "x-version", "2"),
        with_header(route("*", "/v"), "content-type", "application/json"),
        with_header(route("*", "/o"), "origin", "https://a"),
        route("*", "/v"),
    ];
    let matcher = Matcher::build(&routes).unwrap();
    let find = |path: &str, fields: &[(&'static str, &'static str)]| {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let fields: HeaderMap = fields.collect();
        match matcher.find_announced("h", path, None, &Method::PUT, &fields) {
            Found::Route(matched) => Some(matched.route),
            Found::MethodNotAllowed(_) | Found::NotFound => None,
        }
    };
    let names = "access-control-request-headers";
    assert_eq!(find("/v", &[(names, "x-a, X-Version")]), Some(0), "whatever its value will be");
    assert_eq!(find("/v", &[(names, "x-a")]), Some(1), "a field that no preflight names");
    assert_eq!(find("/v", &[("x-version", "1")]), Some(1), "another value");
    assert_eq!(find("/v", &[("x-version", "2")]), Some(0), "as a proxy before us may add it");
    assert_eq!(find("/o", &[("origin", "https://a")]), Some(2));
    assert_eq!(find("/o", &[("origin", "https://b")]), None);
}
