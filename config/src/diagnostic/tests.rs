use proptest::prelude::*;

use super::*;

#[test]
fn secrets_are_starred_out() {
    for (line, shown) in [
        ("admin: { token: abc, bind: x }", "admin: { token: ***, bind: x }"),
        ("  token: \"a b, c\" # why", "  token: \"******\" # why"),
        ("  token: abc def", "  token: *******"),
        ("  token: ${TOKEN}", "  token: ${TOKEN}"),
        ("  token: \"${TOKEN:-abc}\"", "  token: \"*************\""),
        ("  token: { file: t }", "  token: { file: t }"),
        ("  token:", "  token:"),
        ("path: /token", "path: /token"),
    ] {
        assert_eq!(mask(line), shown);
    }
    let text = "admin: { token: s3cret, bnd: x }\nlisteners: [\":1\"]";
    let Err(wrong) = crate::load_str("f", text, &|_| None) else { panic!("`bnd` is no key") };
    assert!(!wrong.render().contains("s3cret") && !wrong.to_json().to_string().contains("s3cret"));
}

#[test]
fn names_are_suggested_when_they_are_near() {
    let names = ["listeners", "limits", "log", "p2c"];
    for (word, meant) in [
        ("listener", Some("listeners")),
        ("lsiteners", Some("listeners")),
        ("LIMITS", Some("limits")),
        ("P2C", Some("p2c")),
        ("logs", Some("log")),
        ("nothing", None),
        ("", None),
    ] {
        assert_eq!(Diagnostic::suggest(word, names), meant, "{word}");
    }
}

#[test]
fn places_of_late_errors_are_underlined() {
    let text = "listeners:\n  - { bind: \":80\" }\n  - :81\n";
    let show = |line, column| Diagnostic::error("f", text, At { line, column }, "no").to_string();
    assert_eq!(
        show(2, 13),
        "f:2:13: error: no\n  2 |   - { bind: \":80\" }\n    |             ^^^^^"
    );
    assert_eq!(show(3, 5), "f:3:5: error: no\n  3 |   - :81\n    |     ^^^");
    assert_eq!(show(0, 0), "f: error: no");
    // A place that the file does not have is no reason to fail.
    assert!(show(99, 99).starts_with("f:99:99: error: no"));
}

proptest! {
    #[test]
    fn any_place_of_any_text_can_be_shown(
        text in "\\PC{0,40}|[ a:\"'\n\r\t\u{e9}]{0,40}|token:\\PC{0,9}",
        line in 0u32..5,
        column in 0u32..50,
        length in 0u32..50,
    ) {
        let source = Source::new("f", &text);
        let span = Span { line, column, length };
        let one = Diagnostic::new(Severity::Error, &source, span, "no".to_owned());
        let _ = one.to_string();
        let _ = Diagnostic::error("f", &text, At { line, column }, "no").to_string();
        prop_assert_eq!(mask(&text).chars().count(), text.chars().count());
    }
}
