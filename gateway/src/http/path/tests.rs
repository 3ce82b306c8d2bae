use std::borrow::Cow;

use proptest::prelude::*;

use super::{PathError, normalize, push_encoded};

#[test]
fn paths_in_normal_form_are_borrowed() {
    let clean = [
        "/",
        "/a",
        "/a/",
        "/a/b.c/~d",
        "/.well-known/acme",
        "/...",
        "/a..b/..c/d..",
        "/a;v=1/b,c",
        "/a:b@c!$&'()*+=",
        "/a%2Fb",
        "/a%2F%2Fb",
        "/a%5Cb",
        "/%C3%A9",
        "/%25",
        "/%252e%252e",
        "/.a%2Fb.",
        "/a%2F...",
        "/.hidden;x",
    ];
    for path in clean {
        assert!(matches!(normalize(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
    }
}

#[test]
fn paths_are_brought_into_normal_form() {
    let table = [
        ("//", "/"),
        ("//a///b//", "/a/b/"),
        ("/./a/.", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/../", "/a/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2e/b", "/a/b"),
        ("/a//../b", "/b"),
        ("/%41%7e%2D", "/A~-"),
        ("/%2c%c3%a9", "/%2C%C3%A9"),
        ("/\u{e9}", "/%C3%A9"),
        ("/a b\"<>[]^`{|}", "/a%20b%22%3C%3E%5B%5D%5E%60%7B%7C%7D"),
        ("/a\\b%5c%2f", "/a%5Cb%5C%2F"),
        ("/%3f%23", "/%3F%23"),
        ("/a/%2e%2e%2e/b", "/a/.../b"),
    ];
    for (raw, expected) in table {
        assert_eq!(normalize(raw).as_deref(), Ok(expected), "{raw}");
    }
}

#[test]
fn paths_without_a_safe_reading_are_refused() {
    use PathError::{AboveRoot, Control, Delimiter, Escape, HiddenDotSegment, NotAbsolute};
    let table = [
        ("", NotAbsolute),
        ("*", NotAbsolute),
        ("a/b", NotAbsolute),
        ("\\a", NotAbsolute),
        ("/..", AboveRoot),
        ("/../a", AboveRoot),
        ("/a/../../b", AboveRoot),
        ("//../a", AboveRoot),
        ("/%2e%2e/", AboveRoot),
        ("/%", Escape),
        ("/%4", Escape),
        ("/%4/", Escape),
        ("/%zz", Escape),
        ("/%+1", Escape),
        ("/%\u{661}1", Escape),
        ("/%00", Control),
        ("/a%0d%0ab", Control),
        ("/%7F", Control),
        ("/a\0", Control),
        ("/a\r\nb", Control),
        ("/a\u{7f}", Control),
        ("/a?b", Delimiter),
        ("/a#b", Delimiter),
        ("/a/..%2fb", HiddenDotSegment),
        ("/a/..%2F", HiddenDotSegment),
        ("/a/%2e%2e%2fb", HiddenDotSegment),
        ("/a/b%2f..", HiddenDotSegment),
        ("/a/b%2f..%2fc", HiddenDotSegment),
        ("/a/..\\b", HiddenDotSegment),
        ("/a/b%5c..", HiddenDotSegment),
        ("/a/.%2fb", HiddenDotSegment),
        ("/a/..;/b", HiddenDotSegment),
        ("/a/..;x=1/b", HiddenDotSegment),
        ("/a/..%3b/b", HiddenDotSegment),
        ("/a/.;/b", HiddenDotSegment),
        ("/a/b%2f..;x", HiddenDotSegment),
    ];
    for (raw, expected) in table {
        assert_eq!(normalize(raw), Err(expected), "{raw}");
    }
}

#[test]
fn appended_text_stays_data() {
    let mut out = String::from("/");
    assert_eq!(push_encoded(&mut out, "a?b#c d%2fe/f"), Ok(()));
    assert_eq!(out, "/a%3Fb%23c%20d%2Fe/f");
    assert_eq!(push_encoded(&mut out, "\r\n"), Err(PathError::Control));
}

fn assert_normal(path: &str) -> Result<(), TestCaseError> {
    prop_assert!(path.starts_with('/'));
    prop_assert!(!path.contains("//"));
    prop_assert!(!path.contains(['?', '#', '\\', ' ', '\r', '\n', '\0']));
    prop_assert!(path.is_ascii());
    for piece in path.replace("%2F", "/").replace("%5C", "/").split('/') {
        let name = piece.split(';').next().unwrap_or_default();
        prop_assert!(name != "." && name != "..", "{path}");
    }
    prop_assert!(matches!(normalize(path), Ok(Cow::Borrowed(_))), "not idempotent: {path}");
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_normalized_or_refused(raw in "\\PC*") {
        if let Ok(path) = normalize(&raw) {
            assert_normal(&path)?;
        }
    }

    #[test]
    fn any_mix_of_tricks_is_normalized_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "/", "/", ".", "..", "%2e", "%2E", "%2f", "%5C", "\\", ";", "%3b", "a", "%41", "%25",
            "%", "2e", "\u{e9}", "%00", "?", " ",
        ]), 0..12)
    ) {
        let raw = format!("/{}", pieces.concat());
        if let Ok(path) = normalize(&raw) {
            assert_normal(&path)?;
        }
    }
}
