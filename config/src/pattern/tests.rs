#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn paths() {
    let literal = |text: &str| Segment::Literal(text.to_owned());
    let param = |text: &str| Segment::Param(text.to_owned());
    let template =
        |segments: &[Segment], rest| PathMatch::Template { segments: segments.to_vec(), rest };
    for (text, meaning) in [
        ("/", PathMatch::Exact("/".to_owned())),
        ("/a/b", PathMatch::Exact("/a/b".to_owned())),
        ("/a/", PathMatch::Exact("/a/".to_owned())),
        ("/**", PathMatch::Prefix(String::new())),
        ("/a/**", PathMatch::Prefix("/a".to_owned())),
        ("/users/{id}", template(&[literal("users"), param("id")], false)),
        ("/{a}/", template(&[param("a"), literal("")], false)),
        ("/{a}/x/{b}/**", template(&[param("a"), literal("x"), param("b")], true)),
    ] {
        assert_eq!(path(text), Ok(meaning), "{text}");
        assert_eq!(show_path(&path(text).unwrap()), text);
    }
    assert_eq!(show_path(&path("~ ^/v[0-9]+/").unwrap()), "~ ^/v[0-9]+/");
    for bad in [
        "",
        "a",
        "*",
        "**",
        "^/a",
        "/a*",
        "/*/b",
        "/a/**/b",
        "/**/",
        "/a//b",
        "//",
        "//**",
        "/a/../b",
        "/.",
        "/{}",
        "/{a",
        "/a}",
        "/x{a}",
        "/{a}/{a}",
        "/{a-b}",
        "/a?b",
        "/a#b",
        "/a b",
        "~",
        "~ (",
        "~ \\p{Nope}",
        "~ ((a{100}){100}){100}",
    ] {
        assert!(path(bad).is_err(), "{bad}");
    }
}

#[test]
fn hosts() {
    for (text, meaning) in [
        ("*", HostMatch::Any),
        ("Api.Example.com", HostMatch::Exact("api.example.com".to_owned())),
        ("*.example.com", HostMatch::Wildcard(".example.com".to_owned())),
        ("localhost", HostMatch::Exact("localhost".to_owned())),
        ("127.0.0.1", HostMatch::Exact("127.0.0.1".to_owned())),
        ("[::1]", HostMatch::Exact("[::1]".to_owned())),
    ] {
        assert_eq!(host(text), Ok(meaning.clone()), "{text}");
        assert_eq!(host(&show_host(&meaning)), Ok(meaning));
    }
    for bad in ["", "a:80", "http://a", "*.", "a.*", "*a", "a..b", "bücher.de", "a b", "[::1"] {
        assert!(host(bad).is_err(), "{bad}");
    }
}

#[test]
fn templates() {
    let pieces = template("/a/{id}{x}/{**}").unwrap();
    assert_eq!(show_template(&pieces), "/a/{id}{x}/{**}");
    assert_eq!(pieces.len(), 5);
    for bad in ["{", "}", "{a", "a}", "{}", "{a b}", "{*}", "/a b", "/a\n"] {
        assert!(template(bad).is_err(), "{bad}");
    }
    let regex = path("~ ^/(?P<a>x)/(y)/(?<b>z)").unwrap();
    assert_eq!(names(&regex), ["a", "b"]);
    assert_eq!(names(&path("/{a}/{b}/**").unwrap()), ["a", "b", "**"]);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,20}|[/~*{}a(\\[.?]{0,12}") {
        let _ = (path(&text), host(&text), value(&text), template(&text));
    }

    #[test]
    fn what_is_shown_reads_back(text in "[/~*{}ab.]{0,12}") {
        if let Ok(read) = path(&text) {
            prop_assert_eq!(path(&show_path(&read)), Ok(read));
        }
        if let Ok(read) = template(&text) {
            prop_assert_eq!(show_template(&read), text);
        }
    }
}
