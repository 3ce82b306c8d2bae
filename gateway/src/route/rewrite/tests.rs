use http::{HeaderMap, Method};
use proptest::prelude::*;
use regex::Regex;
use weir_config::model::{PathMatch, Piece, Rewrite, Segment};

use super::{Location, PathRewrite, join};
use crate::http::path::{PathError, normalize};
use crate::route::{Origin, RewriteError, Span, Spans, TemplateError};

/// `/new/{id}` as the configuration would parse it.
fn pieces(template: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap();
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        pieces.push(Piece::Param(name.into()));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.into()));
    }
    pieces
}

/// Names and values as a matcher finds them: `/a/{x}/**` over the path, or a regex.
fn matched(pattern: &str, path: &str) -> (Vec<Box<str>>, Spans) {
    let path_match = match pattern.strip_prefix("~ ") {
        Some(regex) => PathMatch::Regex(Regex::new(regex).unwrap()),
        None => {
            let (head, rest) = pattern.strip_suffix("/**").map_or((pattern, false), |p| (p, true));
            let segment = |text: &str| match text.strip_prefix('{') {
                Some(name) => Segment::Param(name.trim_end_matches('}').into()),
                None => Segment::Literal(text.into()),
            };
            PathMatch::Template { segments: head.split('/').skip(1).map(segment).collect(), rest }
        }
    };
    let matcher = crate::route::matcher::tests::matcher_of(path_match);
    match matcher.find("h", path, None, &Method::GET, &HeaderMap::new()) {
        crate::route::Found::Route(found) => (matcher.params(0).to_vec(), found.spans),
        other => panic!("{pattern} does not match {path}: {other:?}"),
    }
}

fn rewritten(
    pattern: &str,
    template: &str,
    path: &str,
    query: Option<&str>,
) -> Result<String, RewriteError> {
    let (params, spans) = matched(pattern, path);
    let rewrite = PathRewrite::compile(&Rewrite::Template(pieces(template)), &params).unwrap();
    let target = rewrite.apply(path, query, &spans)?.expect("templates change the path");
    Ok(target.to_string())
}

fn located(pattern: &str, to: &str, origin: &Origin<'_>) -> Result<String, RewriteError> {
    let (params, spans) = matched(pattern, origin.path);
    let location = Location::compile(&pieces(to), &params).unwrap();
    Ok(location.render(origin, &spans)?.to_str().unwrap().to_owned())
}

fn origin<'a>(path: &'a str, query: Option<&'a str>) -> Origin<'a> {
    Origin { scheme: "https", host: "www.example.com", path, query }
}

#[test]
fn keep_changes_nothing() {
    let rewrite = PathRewrite::compile(&Rewrite::Keep, &[]).unwrap();
    assert_eq!(rewrite.apply("/a", Some("q"), &[]), Ok(None));
    assert_eq!(join("/a", Some("q=%zz")).unwrap(), "/a?q=%zz");
    assert_eq!(join("/a", None).unwrap(), "/a");
    assert_eq!(join("/a", Some("")).unwrap(), "/a?");
    assert_eq!(join("/a", Some("q#f")), Err(RewriteError::Target));
    assert_eq!(join("/a", Some("q\r\nx: y")), Err(RewriteError::Target));
}

#[test]
fn prefixes_are_stripped_at_segment_borders() {
    let table = [
        ("/v1", "/v1/a", Some("/a")),
        ("/v1", "/v1", Some("/")),
        ("/v1", "/v1/", Some("/")),
        ("/v1/", "/v1/a/", Some("/a/")),
        ("/v1", "/v10/a", None),
        ("/v1", "/v2/v1/a", None),
        ("/a/b", "/a/b/c", Some("/c")),
        ("/a b", "/a%20b/c", Some("/c")),
        ("/", "/a", None),
        ("", "/a", None),
    ];
    for (prefix, path, expected) in table {
        let rewrite = PathRewrite::compile(&Rewrite::StripPrefix(prefix.into()), &[]).unwrap();
        let target = rewrite.apply(path, None, &[]).unwrap();
        assert_eq!(target.as_ref().map(|target| target.as_str()), expected, "{prefix} of {path}");
    }
    let rewrite = PathRewrite::compile(&Rewrite::StripPrefix("/v1".into()), &[]).unwrap();
    assert_eq!(rewrite.apply("/v1/a", Some("x=1"), &[]).unwrap().unwrap(), "/a?x=1");
}

#[test]
fn templates_are_filled_in() {
    let table = [
        ("/u/{id}", "/new/{id}", "/u/7", None, "/new/7"),
        ("/u/{id}", "/new/{id}.json", "/u/7", Some("x=1"), "/new/7.json?x=1"),
        ("/u/{id}", "/q?id={id}", "/u/7", None, "/q?id=7"),
        ("/u/{id}", "/q?id={id}", "/u/7", Some("x=1"), "/q?id=7&x=1"),
        ("/u/{id}", "/q?id={id}", "/u/a&b=c+d", None, "/q?id=a%26b%3Dc%2Bd"),
        ("/u/{id}", "/q?id={id}", "/u/a%2Fb%26", None, "/q?id=a%2Fb%26"),
        ("/u/{id}", "/fixed", "/u/7", None, "/fixed"),
        ("/u/{id}", "/{id}/{id}", "/u/7", None, "/7/7"),
        ("/old/**", "/new/{**}", "/old/a/b", None, "/new/a/b"),
        ("/old/**", "/new/{**}", "/old", None, "/new"),
        ("/old/**", "/new/{**}", "/old/", None, "/new/"),
        ("/old/**", "/{**}", "/old", None, "/"),
        ("/old/**", "/x?p={**}", "/old/a/b", None, "/x?p=a%2Fb"),
        ("/f/{n}/**", "/{**}/of/{n}", "/f/x/a/b", None, "/a/b/of/x"),
        ("~ ^/(?P<all>.*)$", "/new/{all}", "/a/b/", None, "/new/a/b/"),
        ("~ ^(?P<all>/.*)$", "/new/{all}", "/a/b", None, "/new/a/b"),
        ("/u/{id}", "/caf\u{e9} x/{id}", "/u/7", None, "/caf%C3%A9%20x/7"),
    ];
    for (pattern, template, path, query, expected) in table {
        let target = rewritten(pattern, template, path, query);
        assert_eq!(target.as_deref(), Ok(expected), "{pattern} {template} {path}");
    }
}

#[test]
fn values_cannot_leave_the_directory_of_the_template() {
    let table = [
        ("~ ^/(?P<d>.)a/x$", "/t/.{d}/secret", "/.a/x", RewriteError::DotSegment),
        ("~ ^/a(?P<d>..)$", "/t/{d}", "/a..", RewriteError::DotSegment),
        ("~ ^/a(?P<d>..)$", "/t/{d}%2Fx", "/a..", PathError::HiddenDotSegment.into()),
        ("~ ^/a(?P<d>..)$", "/{d}", "/a..", PathError::AboveRoot.into()),
        ("~ ^/(?P<d>%4)", "/t/{d}", "/%40", PathError::Escape.into()),
    ];
    for (pattern, template, path, expected) in table {
        assert_eq!(rewritten(pattern, template, path, None), Err(expected), "{template} {path}");
    }
}

#[test]
fn redirects_are_filled_in() {
    let table = [
        ("/**", "https://{host}{path}", "/a/b", None, "https://www.example.com/a/b"),
        ("/**", "https://{host}{path}?{query}", "/a", Some("x=1"), "https://www.example.com/a?x=1"),
        ("/**", "https://{host}{path}?{query}", "/a", None, "https://www.example.com/a"),
        ("/**", "https://{host}{path}?{query}", "/a", Some(""), "https://www.example.com/a"),
        ("/**", "{scheme}://{host}:8443/", "/a", None, "https://www.example.com:8443/"),
        ("/**", "{scheme}://new.example.com", "/a", None, "https://new.example.com/"),
        (
            "/**",
            "https://new.example.com?from={host}",
            "/",
            None,
            "https://new.example.com/?from=www.example.com",
        ),
        ("/**", "{path}?a=1&{query}", "/a", Some("b=2"), "/a?a=1&b=2"),
        ("/**", "{path}?a=1&{query}", "/a", None, "/a?a=1"),
        ("/**", "{path}?{query}&a=1", "/a", None, "/a?a=1"),
        ("/**", "/login?next={path}", "/a/b", None, "/login?next=%2Fa%2Fb"),
        ("/**", "/new{path}#top", "/a", None, "/new/a#top"),
        ("/u/{id}", "/new#{id}", "/u/a%20b=", None, "/new#a%20b%3D"),
        ("/u/{path}", "/new{path}", "/u/7", None, "/new/u/7"),
        ("/old/**", "/{**}", "/old/x", None, "/x"),
        ("/old/**", "/new/{**}", "/old", None, "/new"),
    ];
    for (pattern, to, path, query, expected) in table {
        let location = located(pattern, to, &origin(path, query));
        assert_eq!(location.as_deref(), Ok(expected), "{pattern} {to} {path}");
    }
}

#[test]
fn hostile_requests_choose_neither_host_nor_header() {
    // As the gateway has it: the path is normalized before it is matched.
    for raw in ["//evil.example", "/\\evil.example", "/%5Cevil.example", "/%2F%2Fevil.example"] {
        let path = normalize(raw).unwrap();
        for to in ["{path}", "/{**}", "https://{host}{path}"] {
            let location = located("/**", to, &origin(&path, None)).unwrap();
            let target = location.strip_prefix("https://www.example.com").unwrap_or(&location);
            assert!(target.starts_with('/'), "{raw} {to}: {location}");
            assert!(!target.starts_with("//") && !target.contains('\\'), "{raw} {to}: {location}");
        }
    }
    for host in [
        "",
        "a\r\nset-cookie: x",
        "a/b",
        "user@evil",
        "a?b",
        "a#b",
        "a b",
        "\u{e9}",
        "%41",
        "]",
        "[",
        "[]",
        "[::1",
        "a:b",
    ] {
        let origin = Origin { scheme: "http", host, path: "/", query: None };
        assert_eq!(located("/**", "https://{host}/", &origin), Err(RewriteError::Host), "{host:?}");
    }
    let query = Some("a=\r\nset-cookie: x&b=<\"\\#\u{e9}");
    let location = located("/**", "{path}?{query}", &origin("/", query)).unwrap();
    assert_eq!(location, "/?a=%0D%0Aset-cookie:%20x&b=%3C%22%5C%23%C3%A9");
}

#[test]
fn wrong_templates_are_errors_of_the_file() {
    let params: Vec<Box<str>> = vec!["id".into(), "**".into()];
    let redirect = |to: &str| Location::compile(&pieces(to), &params).unwrap_err().to_string();
    let cases = [
        ("", "a redirect must begin"),
        ("x", "a redirect must begin"),
        ("//evil.example", "a redirect must begin"),
        ("{id}/x", "a redirect must begin"),
        ("{scheme}{host}", "a redirect must begin"),
        ("://x/", "a redirect must begin"),
        ("ht tp://x/", "a redirect must begin"),
        ("https://", "no valid host"),
        ("https:///x", "no valid host"),
        ("{scheme}", "no valid host"),
        ("https://a b/", "no valid host"),
        ("https://u@h/", "no valid host"),
        ("https://[x/", "no valid host"),
        ("https://x{id}/", "directly behind the host"),
        ("https://x{**}", "directly behind the host"),
        ("https://{query}/", "directly behind the host"),
        ("/a{query}", "behind a '?'"),
        ("/a#{query}", "behind a '?'"),
        ("/a/{nope}", "no parameter {nope} here; there are: {scheme}, {host}"),
        ("/a%zz", "invalid percent escape"),
        ("/a\r\nx: y", "control character"),
        ("/a/../b", "dot segment"),
        ("/../b", "above the root"),
    ];
    for (to, expected) in cases {
        let error = redirect(to);
        assert!(error.contains(expected), "{to}: {error}");
    }
    let rewrite = |template: &str| {
        PathRewrite::compile(&Rewrite::Template(pieces(template)), &params).unwrap_err()
    };
    assert_eq!(rewrite("{**}"), TemplateError::NotAbsolute);
    assert_eq!(rewrite("https://x/"), TemplateError::NotAbsolute);
    assert_eq!(rewrite("/a#b"), TemplateError::Fragment);
    assert!(matches!(rewrite("/{host}"), TemplateError::UnknownParam { .. }));
    let strip = PathRewrite::compile(&Rewrite::StripPrefix("v1".into()), &[]);
    assert!(matches!(strip, Err(TemplateError::Path(_))));
}

proptest! {
    /// Even paths, queries and hosts that were never checked cannot break out.
    #[test]
    fn no_input_breaks_out(
        path in "/(\\PC|[\r\n\0?#%/.\\\\;])*",
        query in "(\\PC|[\r\n\0#&%])*",
        host in "(\\PC|[\r\n/]|[a-z.:]){0,8}",
    ) {
        let params: Vec<Box<str>> = vec!["id".into()];
        let spans = [Span::last_of(&path)];
        let origin = Origin { scheme: "https", host: &host, path: &path, query: Some(&query) };
        for (to, head) in [
            ("https://{host}/d/{id}?{query}", format!("https://{host}/")),
            ("https://x/d{path}?a={id}#{id}", "https://x/d/".to_owned()),
            ("/d/{id}?{query}&p={path}", "/d/".to_owned()),
        ] {
            let location = Location::compile(&pieces(to), &params).unwrap();
            let Ok(value) = location.render(&origin, &spans) else { continue };
            let value = value.to_str().unwrap();
            prop_assert!(value.starts_with(&head), "{value}");
            prop_assert!(value.parse::<http::Uri>().is_ok(), "{value}");
            prop_assert!(!value.contains("/../") && !value.contains(['\r', '\n', '\\', ' ']));
        }
        let rewrite = Rewrite::Template(pieces("/d/{id}?a={id}"));
        let rewrite = PathRewrite::compile(&rewrite, &params).unwrap();
        if let Ok(target) = rewrite.apply(&path, None, &spans) {
            let target = target.unwrap();
            let (start, query) = (target.path(), target.query().unwrap_or("a="));
            prop_assert!(start.starts_with("/d/") && start.matches('/').count() == 2, "{target}");
            prop_assert!(query.starts_with("a=") && !query.contains('&'), "{target}");
        }
    }
}
