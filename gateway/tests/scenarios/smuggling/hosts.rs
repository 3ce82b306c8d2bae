//! Exactly one valid Host.

use super::{BAD, Bench, Want};

fn host(value: &str) -> Vec<u8> {
    format!("GET /x HTTP/1.1\r\nHost: {value}\r\n\r\n").into_bytes()
}

#[test]
fn a_bad_host_is_refused() {
    let no = Want::Refused(BAD);
    let raw = |text: &str| text.as_bytes().to_vec();
    Bench::new().table(&[
        ("missing", raw("GET /x HTTP/1.1\r\n\r\n"), no),
        ("twice", raw("GET /x HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n"), no),
        ("twice the same", raw("GET /x HTTP/1.1\r\nHost: a.test\r\nhost: a.test\r\n\r\n"), no),
        ("twice apart", raw("GET /x HTTP/1.1\r\nHost: a.test\r\na: b\r\nHost: b.test\r\n\r\n"), no),
        (
            "twice under an absolute form",
            raw("GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n"),
            no,
        ),
        ("empty", host(""), no),
        ("list", host("a.test, b.test"), no),
        ("userinfo", host("u@h"), no),
        ("userinfo with port", host("u:p@h:80"), no),
        ("space", host("a b"), no),
        ("slash", host("a/b"), no),
        ("query", host("a?b"), no),
        ("fragment", host("a#b"), no),
        ("backslash", host("a\\b"), no),
        ("quote", host("a\"b"), no),
        ("angle", host("<a>"), no),
        ("nul", host("a\0b"), no),
        ("tab inside", host("a\tb"), no),
        ("port not a number", host("a.test:http"), no),
        ("port too large", host("a.test:65536"), no),
        ("negative port", host("a.test:-1"), no),
        ("two ports", host("a.test:80:80"), no),
        ("only a port", host(":80"), no),
        ("open bracket", host("[::1"), no),
        ("text after bracket", host("[::1]a"), no),
        ("not an address", host("[zz]"), no),
        ("half an escape", host("a%2"), no),
        ("high bytes", b"GET /x HTTP/1.1\r\nHost: \xc3\xa9.test\r\n\r\n".to_vec(), no),
    ]);
}

#[test]
fn every_legal_host_passes_as_it_came() {
    for value in ["a.test", "a.test:8080", "127.0.0.1", "[::1]:80", "A-b.TEST", "x_y.test"] {
        let bench = Bench::new();
        let answer = bench.exchange(&format!("GET /x HTTP/1.1\r\nHost: {value}\r\n\r\n"));
        assert_eq!(answer.status, 200, "{value}");
        let sent = bench.origin.completed("/x");
        assert!(sent.field("host").unwrap().eq_ignore_ascii_case(value), "{value} became {sent:?}");
    }
}

#[test]
fn http_1_0_may_come_without_a_host_but_the_origin_gets_one() {
    let bench = Bench::new();
    let answer = bench.exchange("GET /x HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert_eq!(bench.origin.completed("/x").all("host").len(), 1);
}
