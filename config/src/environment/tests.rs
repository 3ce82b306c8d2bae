#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::{diagnostic::Diagnostics, source::Source};

fn fill(text: &str) -> Result<String, Diagnostics> {
    let quoted = format!("key: '{text}'");
    let source = Source::new("f", &quoted);
    let mut report = Report::new(&source);
    let variables = |name: &str| match name {
        "A" => Some("1".to_owned()),
        "EMPTY" => Some(String::new()),
        "TRICK" => Some("${A}\n- x: &a".to_owned()),
        _ => None,
    };
    let span = Span { line: 1, column: 6, length: 1 };
    substitute(text, span, &variables, &mut report).ok_or_else(|| report.finish())
}

#[test]
fn variables_defaults_and_dollars() {
    for (text, filled) in [
        ("", ""),
        ("plain", "plain"),
        ("${A}", "1"),
        ("x${A}y${A}z", "x1y1z"),
        ("${A:-2}", "1"),
        ("${B:-2}", "2"),
        ("${B:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-2}", "2"),
        ("$${A}", "${A}"),
        ("$$", "$"),
        ("^/a$", "^/a$"),
        ("$A", "$A"),
        ("${B:-a:-b}", "a:-b"),
        ("${TRICK}", "${A}\n- x: &a"),
    ] {
        assert_eq!(fill(text).unwrap(), filled, "{text}");
    }
}

#[test]
fn what_is_wrong_is_pointed_at() {
    let wrong = fill("ab ${B} c ${} ${1x} ${oops").unwrap_err();
    let seen: Vec<_> =
        wrong.iter().map(|one| (one.column, one.length, one.what.as_str())).collect();
    assert_eq!(
        seen,
        [
            (10, 4, "the environment variable `B` is not set"),
            (17, 3, "expected the name of an environment variable: letters, digits and `_`"),
            (21, 5, "expected the name of an environment variable: letters, digits and `_`"),
            (27, 2, "`${` without its `}`"),
        ]
    );
}

proptest! {
    #[test]
    fn escaping_is_undone(text in "[$${}A:\\-]{0,12}") {
        prop_assert_eq!(fill(&escape(&text)).unwrap(), text);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,20}|[$${}A:\\-é]{0,20}") {
        let _ = fill(&text);
    }
}
