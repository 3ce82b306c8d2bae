//! What a route look-up costs, by the number of routes: `cargo bench --bench routing`.

#![allow(clippy::print_stdout, reason = "a bench reports on stdout")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{hint::black_box, time::Duration, time::Instant};

use http::{HeaderMap, Method, StatusCode};
use weir_config::model::{
    Action, At, HeaderEdits, HostMatch, PathMatch, Respond, Route, RouteMatch, RoutePriority,
    RouteTimeout, Segment, Traffic,
};
use weir_gateway::{
    http::path::normalize,
    route::{Found, Matcher, canonical_host},
};

/// Long enough for a mean that holds still, in look-ups.
const LOOKUPS: u32 = 1_000_000;

fn main() {
    println!("{:>7} {:<26} {:>10}", "routes", "request", "ns/look-up");
    for count in [10, 1_000, 10_000] {
        let matcher = Matcher::build(&routes(count)).expect("the routes of the bench are valid");
        let last = count / 5 - 1;
        let api = format!("h{last}.example.com");
        let requests = [
            ("hit, exact path", "any.example.org", format!("/exact/{last}"), true),
            ("hit, prefix", "any.example.org", format!("/static/{last}/css/site.css"), true),
            ("hit, template", "any.example.org", format!("/users/7/posts/{last}"), true),
            ("hit, exact host", &*api, "/orders/7".to_owned(), true),
            ("hit, wildcard host", "a.b.tenant0.example.net", "/orders/7".to_owned(), true),
            ("miss, path", "any.example.org", "/no/such/path".to_owned(), false),
            ("miss, deep in the trie", "any.example.org", "/users/7/posts/x/y".to_owned(), false),
            ("miss, host and path", "h.example.com", "/orders/7".to_owned(), false),
        ];
        for (name, host, path, is_hit) in requests {
            measure(&matcher, (count, name), host, &path, is_hit);
        }
    }
    let path = "/users/7/posts/12/comments";
    let time = time(|| drop(black_box(normalize(black_box(path)))));
    println!("{:>7} {:<26} {time:>10.1}", "-", "normalize a clean path");
}

fn measure(matcher: &Matcher, row: (usize, &str), host: &str, path: &str, is_hit: bool) {
    let headers = HeaderMap::new();
    let host = canonical_host(host);
    let find = || matcher.find(&host, black_box(path), None, &Method::GET, &headers);
    assert_eq!(matches!(find(), Found::Route(_)), is_hit, "{row:?}");
    let time = time(|| drop(black_box(find())));
    println!("{:>7} {:<26} {time:>10.1}", row.0, row.1);
}

/// Mean time of one call, in nanoseconds.
fn time(mut call: impl FnMut()) -> f64 {
    for _ in 0..LOOKUPS / 10 {
        call();
    }
    let start = Instant::now();
    for _ in 0..LOOKUPS {
        call();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(LOOKUPS)
}

/// A fifth each: exact paths, prefixes, templates, exact hosts, wildcard hosts.
fn routes(count: usize) -> Vec<Route> {
    let literal = |text: &str| Segment::Literal(text.into());
    let param = |name: &str| Segment::Param(name.into());
    let mut routes = Vec::with_capacity(count);
    for index in 0..count / 5 {
        let orders =
            PathMatch::Template { segments: vec![literal("orders"), param("id")], rest: false };
        let posts =
            vec![literal("users"), param("id"), literal("posts"), literal(&index.to_string())];
        let host = HostMatch::Exact(format!("h{index}.example.com"));
        let wildcard = HostMatch::Wildcard(format!(".tenant{index}.example.net"));
        routes.extend([
            route(HostMatch::Any, PathMatch::Exact(format!("/exact/{index}"))),
            route(HostMatch::Any, PathMatch::Prefix(format!("/static/{index}"))),
            route(HostMatch::Any, PathMatch::Template { segments: posts, rest: false }),
            route(host, orders.clone()),
            route(wildcard, orders),
        ]);
    }
    routes
}

fn route(host: HostMatch, path: PathMatch) -> Route {
    let respond = Respond { status: StatusCode::OK, body: String::new(), headers: Vec::new() };
    Route {
        at: At::default(),
        name: String::new(),
        matches: RouteMatch { host, path, methods: vec![], headers: vec![], query: vec![] },
        action: Action::Respond(respond),
        headers: HeaderEdits::default(),
        timeout: RouteTimeout {
            headers: Duration::from_secs(15),
            total: None,
            idle: Duration::from_secs(60),
        },
        retry: None,
        fallback: None,
        cache: None,
        idempotency: None,
        concurrency: None,
        allow: None,
        deny: None,
        auth: Vec::new(),
        rate_limits: Vec::new(),
        priority: RoutePriority::default(),
        traffic: Traffic::default(),
        web: weir_config::model::Web::default(),
        script: None,
    }
}
