//! Field lines.

use super::{BAD, Bench, Want, with_fields};

#[test]
fn malformed_field_lines_are_refused() {
    let no = Want::RefusedAndClosed(BAD);
    let raw = |line: &[u8]| [b"GET /x HTTP/1.1\r\nHost: weir.test\r\n", line, b"\r\n\r\n"].concat();
    let rows: &[(&str, &[u8])] = &[
        ("folded", b"A: b\r\n c"),
        ("folded by tab", b"A: b\r\n\tc"),
        ("folded empty", b"A: b\r\n "),
        ("folded into host", b" Host: evil.test"),
        ("space before colon", b"A : b"),
        ("no colon", b"AB"),
        ("fold-name smuggle", b"Content-Length\r\n: 5"),
        ("empty name", b": b"),
        ("space in name", b"A b: c"),
        ("nul in name", b"A\0: b"),
        ("control in name", b"A\x01: b"),
        ("del in name", b"A\x7f: b"),
        ("high byte in name", b"A\xe9: b"),
        ("at in name", b"A@: b"),
        ("parenthesis in name", b"A(: b"),
        ("nul in value", b"A: b\0c"),
        ("control in value", b"A: b\x01c"),
        ("escape in value", b"A: b\x1bc"),
        ("del in value", b"A: b\x7fc"),
        ("return in value", b"A: b\rc: d"),
        ("return before the end", b"A: b\r\r"),
    ];
    let cases: Vec<_> = rows.iter().map(|(name, line)| (*name, raw(line), no)).collect();
    Bench::new().table(&cases);
}

#[test]
fn unusual_but_legal_field_lines_pass() {
    let mut bench = Bench::new();
    bench.table(&[
        ("empty value", with_fields("A:\r\n"), Want::Passed),
        ("no space", with_fields("A:b\r\n"), Want::Passed),
        ("tab inside", with_fields("A: b\tc\r\n"), Want::Passed),
        ("token name", with_fields("!#$%&'*+-.^`|~1: b\r\n"), Want::Passed),
        ("colon in value", with_fields("A: b:c\r\n"), Want::Passed),
        (
            "high bytes in value",
            b"GET /x HTTP/1.1\r\nHost: h\r\nA: \xe9\r\n\r\n".to_vec(),
            Want::Either,
        ),
    ]);
}

#[test]
fn repeated_fields_arrive_in_order() {
    let bench = Bench::new();
    bench.exchange("GET /x HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-B: 2\r\nx-a: 3\r\n\r\n");
    assert_eq!(bench.origin.completed("/x").all("x-a"), ["1", "3"]);
}

#[test]
fn a_raised_field_count_is_honoured_and_still_a_bound() {
    let bench = Bench::with(|to| to.limits("headers: { count: 200 }"));
    for (count, status) in [(150, 200), (200, 200), (201, 431)] {
        let fields = "a: 1\r\n".repeat(count - 1);
        let request = format!("GET /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        assert_eq!(bench.exchange(&request).status, status, "{count} fields");
    }
}
