use http::{Method, Request as HttpRequest};

use super::*;

/// Fri, 20 Nov 2026 12:00:00 GMT
const NOW: u64 = 1_795_176_000;

fn facts() -> Facts {
    Facts {
        length: 10,
        modified: NOW as i64 - 86_400,
        modified_nanos: 7,
        inode: 0xabc,
        kind: Kind::of(b"a.css"),
        coding: None,
        varies: true,
    }
}

fn ask(method: Method, facts: &Facts, fields: &[(&str, &str)]) -> Respond {
    let mut request = HttpRequest::builder().method(method);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let request = Request::new(&head.method, &head.headers);
    let date = HeaderValue::from_static("Fri, 20 Nov 2026 12:00:00 GMT");
    respond(&request, facts, Time::from_seconds(NOW), date, 0xfeed)
}

fn get(fields: &[(&str, &str)]) -> Respond {
    ask(Method::GET, &facts(), fields)
}

fn field<'a>(respond: &'a Respond, name: &str) -> &'a str {
    respond.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

const TAG: &str = "\"6afee4c0.7-a-abc\"";
const MODIFIED: &str = "Thu, 19 Nov 2026 12:00:00 GMT";

#[test]
fn the_whole_is_described() {
    let whole = get(&[]);
    assert_eq!(whole.status, StatusCode::OK);
    for (name, value) in [
        ("content-type", "text/css; charset=utf-8"),
        ("content-length", "10"),
        ("accept-ranges", "bytes"),
        ("last-modified", MODIFIED),
        ("vary", "accept-encoding"),
        ("content-encoding", ""),
    ] {
        assert_eq!(field(&whole, name), value, "{name}");
    }
    assert_eq!(field(&whole, "etag"), TAG);
    assert_eq!(whole.slices.as_slice(), [Slice::File(0..10)]);
    let head = ask(Method::HEAD, &facts(), &[]);
    assert_eq!((field(&head, "content-length"), head.slices.len()), ("10", 0));
}

#[test]
fn conditions_are_met() {
    for fields in [
        &[("if-none-match", TAG)][..],
        &[("if-none-match", "W/\"6afee4c0.7-a-abc\"")],
        &[("if-modified-since", MODIFIED)],
        &[("if-match", TAG), ("if-none-match", "*")],
    ] {
        let known = get(fields);
        assert_eq!(known.status, StatusCode::NOT_MODIFIED, "{fields:?}");
        assert!(known.slices.is_empty() && field(&known, "etag") == TAG);
        assert_eq!((field(&known, "content-type"), field(&known, "content-length")), ("", ""));
    }
    for fields in [
        &[("if-match", "\"x\"")][..],
        &[("if-unmodified-since", "Wed, 18 Nov 2026 12:00:00 GMT")],
        &[("if-match", "\"x\""), ("if-none-match", TAG)],
    ] {
        let refused = get(fields);
        assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{fields:?}");
        assert_eq!(field(&refused, "content-length"), "0");
    }
    for fields in [
        &[("if-none-match", "\"x\"")][..],
        &[("if-modified-since", "Wed, 18 Nov 2026 12:00:00 GMT")],
        &[("if-none-match", "\"x\""), ("if-modified-since", MODIFIED)],
        &[("if-match", "*")],
    ] {
        assert_eq!(get(fields).status, StatusCode::OK, "{fields:?}");
    }
}

#[test]
fn ranges_are_parts() {
    let part = get(&[("range", "bytes=2-4")]);
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(field(&part, "content-range"), "bytes 2-4/10");
    assert_eq!((field(&part, "content-length"), part.slices[0].len()), ("3", 3));
    let several = get(&[("range", "bytes=0-1,-1")]);
    assert_eq!(several.status, StatusCode::PARTIAL_CONTENT);
    assert!(field(&several, "content-type").starts_with("multipart/byteranges; boundary=0000"));
    let length: u64 = several.slices.iter().map(Slice::len).sum();
    assert_eq!(field(&several, "content-length"), length.to_string());
    let files: Vec<_> =
        several.slices.iter().filter(|slice| matches!(slice, Slice::File(_))).collect();
    assert_eq!(files, [&Slice::File(0..2), &Slice::File(9..10)]);
    let none = get(&[("range", "bytes=10-")]);
    assert_eq!(none.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(
        (field(&none, "content-range"), field(&none, "content-length")),
        ("bytes */10", "0")
    );
    for fields in [
        &[("range", "lines=1-2")][..],
        &[("range", "bytes=2-4"), ("if-range", "\"x\"")],
        &[("range", "bytes=2-4"), ("if-range", "W/\"6afee4c0.7-a-abc\"")],
        &[("range", "bytes=2-4"), ("if-range", "Wed, 18 Nov 2026 12:00:00 GMT")],
    ] {
        assert_eq!(get(fields).status, StatusCode::OK, "{fields:?}");
    }
    for same in [TAG, MODIFIED] {
        let part = get(&[("range", "bytes=2-4"), ("if-range", same)]);
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT, "{same}");
    }
    let head = ask(Method::HEAD, &facts(), &[("range", "bytes=2-4")]);
    assert_eq!((head.status, field(&head, "content-length")), (StatusCode::OK, "10"));
}

#[test]
fn a_file_that_was_just_changed_has_a_weak_tag() {
    let fresh = Facts { modified: NOW as i64 - 1, ..facts() };
    assert!(field(&ask(Method::GET, &fresh, &[]), "etag").starts_with("W/\""));
    let settled = Facts { modified: NOW as i64 - 2, ..facts() };
    assert!(field(&ask(Method::GET, &settled, &[]), "etag").starts_with('"'));
    let future = Facts { modified: NOW as i64 + 3600, ..facts() };
    let future = ask(Method::GET, &future, &[]);
    assert!(field(&future, "etag").starts_with("W/\""));
    assert_eq!(field(&future, "last-modified"), "Fri, 20 Nov 2026 12:00:00 GMT");
    let old = Facts { modified: -5, ..facts() };
    let old = field(&ask(Method::GET, &old, &[]), "last-modified").to_owned();
    assert_eq!(old, "Thu, 01 Jan 1970 00:00:00 GMT");
}

#[test]
fn an_empty_file_has_no_body() {
    let empty = Facts { length: 0, ..facts() };
    let empty = ask(Method::GET, &empty, &[]);
    assert_eq!((empty.status, field(&empty, "content-length")), (StatusCode::OK, "0"));
    assert!(empty.slices.is_empty());
}

#[test]
fn a_redirect_stays_on_this_host() {
    for (path, query, wanted) in [
        ("/a", None, "/a/"),
        ("/a", Some("b=c"), "/a/?b=c"),
        ("//evil.test", None, "/evil.test/"),
        ("/\\evil.test/%2e%2e/a", None, "/a/"),
        ("/\\evil.test", None, "/%5Cevil.test/"),
        ("/.//evil.test", None, "/evil.test/"),
    ] {
        let response = moved(path, query);
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
        assert_eq!(response.headers()[header::LOCATION], wanted);
    }
}
