//! Malformed requests (RFC 9114 4.1.2 to 4.3): refused on their stream, and nothing of them
//! reaches the origin.

use super::{Expect, MALFORMED, Row, SPOILED, post, run_rows};
use crate::support::h3_wire::{DATA, frame, headers, request};

type Lines = Vec<(&'static str, &'static str)>;

const FINE: Expect = Expect::Status(200);
/// What is no fault of HTTP/3 but of any HTTP, as it is answered in every version.
const BAD: Expect = Expect::Status(400);

/// An ordinary GET of `/x` with more fields.
fn and(more: &[(&'static str, &'static str)]) -> Lines {
    [&request("GET", "/x")[..], more].concat()
}

/// An ordinary GET of `/x` behind these fields.
fn after(first: &[(&'static str, &'static str)]) -> Lines {
    [first, &request("GET", "/x")[..]].concat()
}

/// An ordinary GET of `/x` in which one pseudo-header is another, or absent.
fn but(name: &'static str, value: Option<&'static str>) -> Lines {
    let mut lines = Vec::new();
    for (n, v) in request("GET", "/x") {
        match value {
            Some(value) if n == name => lines.push((n, value)),
            None if n == name => {}
            _ => lines.push((n, v)),
        }
    }
    lines
}

fn run_fields(rows: Vec<(&'static str, Lines, Expect)>) {
    run_rows(rows.into_iter().map(|(name, lines, e)| (name, headers(&lines), e)).collect());
}

/// Fields that no `str` can hold.
fn run_bytes(rows: &[(&'static str, &[u8], &[u8], Expect)]) {
    let row = |(name, field, value, expect): &(&'static str, &[u8], &[u8], Expect)| -> Row {
        let mut lines: Vec<(&[u8], &[u8])> = Vec::new();
        let base = request("GET", "/x");
        let replaces = base.iter().any(|(n, _)| n.as_bytes() == *field);
        for (n, v) in &base {
            let v = if n.as_bytes() == *field { *value } else { v.as_bytes() };
            lines.push((n.as_bytes(), v));
        }
        if !replaces {
            lines.push((field, value));
        }
        (name, headers(&lines), *expect)
    };
    run_rows(rows.iter().map(row).collect());
}

#[test]
fn pseudo_headers_come_first_once_and_are_known() {
    run_fields(vec![
        ("after a field", after(&[("a", "b")]), MALFORMED),
        (
            "path after a field",
            [&but(":path", None)[..], &[("a", "b"), (":path", "/x")]].concat(),
            MALFORMED,
        ),
        (
            "authority after a field",
            [&but(":authority", None)[..], &[("a", "b"), (":authority", "edge.test")]].concat(),
            MALFORMED,
        ),
        ("a second path, late", and(&[("a", "b"), (":path", "/y")]), MALFORMED),
        ("status", and(&[(":status", "200")]), MALFORMED),
        ("status alone", vec![(":status", "200")], MALFORMED),
        ("status late", and(&[("a", "b"), (":status", "200")]), MALFORMED),
        ("unknown", and(&[(":foo", "b")]), MALFORMED),
        ("unknown first", after(&[(":foo", "b")]), MALFORMED),
        ("a colon alone", and(&[(":", "b")]), MALFORMED),
        ("two methods", after(&[(":method", "GET")]), MALFORMED),
        ("two schemes", after(&[(":scheme", "https")]), MALFORMED),
        ("two authorities", after(&[(":authority", "edge.test")]), MALFORMED),
        ("two paths", after(&[(":path", "/x")]), MALFORMED),
        ("two different methods", and(&[(":method", "POST")]), MALFORMED),
        ("two different paths", and(&[(":path", "/y")]), MALFORMED),
        ("upper case", and(&[(":Path", "/y")]), MALFORMED),
        ("protocol of a GET", and(&[(":protocol", "websocket")]), MALFORMED),
    ]);
}

#[test]
fn pseudo_headers_are_all_there() {
    run_fields(vec![
        ("none", vec![("a", "b")], MALFORMED),
        ("no fields at all", vec![], MALFORMED),
        ("no method", but(":method", None), MALFORMED),
        ("no scheme", but(":scheme", None), MALFORMED),
        ("no path", but(":path", None), MALFORMED),
        ("no authority, no host", but(":authority", None), MALFORMED),
        ("empty path", but(":path", Some("")), MALFORMED),
        ("empty method", but(":method", Some("")), MALFORMED),
        ("empty scheme", but(":scheme", Some("")), MALFORMED),
        ("empty authority", but(":authority", Some("")), MALFORMED),
        ("empty host", [&but(":authority", None)[..], &[("host", "")]].concat(), MALFORMED),
        ("host alone", [&but(":authority", None)[..], &[("host", "edge.test")]].concat(), FINE),
    ]);
}

#[test]
fn targets_are_paths() {
    run_fields(vec![
        ("no slash", but(":path", Some("x")), MALFORMED),
        ("a whole URL", but(":path", Some("https://edge.test/x")), MALFORMED),
        ("an authority", but(":path", Some("edge.test:443")), MALFORMED),
        ("asterisk with GET", but(":path", Some("*")), MALFORMED),
        ("query alone", but(":path", Some("?q=1")), MALFORMED),
        ("space", but(":path", Some("/x y")), MALFORMED),
        ("a request line", but(":path", Some("/x HTTP/1.1\r\nHost: evil\r\n\r\n")), MALFORMED),
        ("line feed", but(":path", Some("/x\n")), MALFORMED),
        ("nul", but(":path", Some("/x\0")), MALFORMED),
        ("scheme ftp", but(":scheme", Some("ftp")), BAD),
        ("scheme with colon", but(":scheme", Some("https:")), MALFORMED),
        ("scheme of a URL", but(":scheme", Some("https://evil.test/?")), MALFORMED),
        ("scheme with space", but(":scheme", Some("ht tp")), MALFORMED),
        ("scheme http", but(":scheme", Some("http")), FINE),
        ("scheme in capitals", but(":scheme", Some("HTTPS")), FINE),
        ("query", but(":path", Some("/x?a=b&c=%00")), FINE),
    ]);
}

#[test]
fn hosts_are_hosts() {
    let host = |host| but(":authority", Some(host));
    run_fields(vec![
        ("userinfo", host("u@h"), MALFORMED),
        ("userinfo with password", host("u:p@edge.test"), MALFORMED),
        ("userinfo, empty", host("@edge.test"), MALFORMED),
        ("space", host("a b"), MALFORMED),
        ("slash", host("a/b"), MALFORMED),
        ("question mark", host("a?b"), MALFORMED),
        ("fragment", host("a#b"), MALFORMED),
        ("backslash", host("a\\b"), MALFORMED),
        ("line", host("a\r\nX: y"), MALFORMED),
        ("list", host("a,b"), BAD),
        ("port too large", host("a:65536"), BAD),
        ("port of letters", host("a:b"), BAD),
        ("two ports", host("a:1:2"), MALFORMED),
        ("port alone", host(":443"), BAD),
        ("half a v6", host("[::1"), MALFORMED),
        ("nul", host("a\0"), MALFORMED),
        ("a name with port", host("edge.test:8443"), FINE),
        ("v6", host("[::1]:443"), FINE),
        (
            "host field of userinfo",
            [&but(":authority", None)[..], &[("host", "u@h")]].concat(),
            BAD,
        ),
        ("two host fields", and(&[("host", "edge.test"), ("host", "evil.test")]), MALFORMED),
        (
            "two hosts, no authority",
            [&but(":authority", None)[..], &[("host", "a"), ("host", "b")]].concat(),
            BAD,
        ),
        ("an invalid host field", and(&[("host", "a b")]), MALFORMED),
        ("an empty host field", and(&[("host", "")]), MALFORMED),
        ("an equal host field", and(&[("host", "edge.test")]), FINE),
    ]);
}

#[test]
fn methods_are_tokens_and_not_for_tunnels() {
    let method = |method| but(":method", Some(method));
    let not_allowed = Expect::Status(405);
    let authority = (":authority", "edge.test:443");
    run_fields(vec![
        ("space", method("GET /smuggled"), MALFORMED),
        ("lines", method("GET / HTTP/1.1\r\nA: "), MALFORMED),
        ("nul", method("GE\0T"), MALFORMED),
        ("colon", method("GET:"), MALFORMED),
        ("lower case", method("get"), FINE),
        ("unknown", method("BREW"), FINE),
        ("trace", method("TRACE"), not_allowed),
        ("connect", vec![(":method", "CONNECT"), authority], not_allowed),
        ("connect with a path", method("CONNECT"), MALFORMED),
        (
            "connect with a scheme",
            vec![(":method", "CONNECT"), (":scheme", "https"), authority],
            MALFORMED,
        ),
        ("connect without authority", vec![(":method", "CONNECT")], MALFORMED),
        ("connect with host", vec![(":method", "CONNECT"), ("host", "edge.test:443")], MALFORMED),
    ]);
}

#[test]
fn extended_connect_needs_all_of_it() {
    let protocol = (":protocol", "websocket");
    let connect = |name| {
        let mut lines: Lines = but(":method", Some("CONNECT"));
        lines.retain(|(n, _)| *n != name);
        lines.push(protocol);
        lines
    };
    let other = Expect::Status(501);
    run_fields(vec![
        ("no scheme", connect(":scheme"), MALFORMED),
        ("no path", connect(":path"), MALFORMED),
        ("no authority", connect(":authority"), MALFORMED),
        ("two protocols", [&connect("")[..], &[protocol]].concat(), MALFORMED),
        (
            "protocol late",
            [&but(":method", Some("CONNECT"))[..], &[("a", "b"), protocol]].concat(),
            MALFORMED,
        ),
        (
            "empty protocol",
            [&but(":method", Some("CONNECT"))[..], &[(":protocol", "")]].concat(),
            MALFORMED,
        ),
        (
            "another protocol",
            [&but(":method", Some("CONNECT"))[..], &[(":protocol", "connect-udp")]].concat(),
            other,
        ),
    ]);
}

#[test]
fn fields_of_a_connection_are_malformed() {
    run_fields(vec![
        ("connection", and(&[("connection", "close")]), MALFORMED),
        ("connection naming", and(&[("connection", "x-a"), ("x-a", "b")]), MALFORMED),
        ("empty connection", and(&[("connection", "")]), MALFORMED),
        ("keep-alive", and(&[("keep-alive", "timeout=5")]), MALFORMED),
        ("proxy-connection", and(&[("proxy-connection", "keep-alive")]), MALFORMED),
        ("transfer-encoding", and(&[("transfer-encoding", "chunked")]), MALFORMED),
        ("transfer-encoding identity", and(&[("transfer-encoding", "identity")]), MALFORMED),
        ("upgrade", and(&[("upgrade", "h2c")]), MALFORMED),
        ("upgrade to websocket", and(&[("upgrade", "websocket")]), MALFORMED),
        ("te", and(&[("te", "gzip")]), MALFORMED),
        ("te and more", and(&[("te", "trailers, deflate")]), MALFORMED),
        ("te trailers", and(&[("te", "trailers")]), FINE),
        ("http2-settings", and(&[("http2-settings", "AAMAAABkAAQAoAAA")]), BAD),
    ]);
}

#[test]
fn names_are_lower_case_tokens() {
    run_fields(vec![
        ("upper case", and(&[("X-A", "b")]), MALFORMED),
        ("one capital", and(&[("x-A", "b")]), MALFORMED),
        ("capital host", and(&[("Host", "edge.test")]), MALFORMED),
        ("empty", and(&[("", "b")]), MALFORMED),
        ("space", and(&[("x a", "b")]), MALFORMED),
        ("space at the end", and(&[("x-a ", "b")]), MALFORMED),
        ("colon", and(&[("x:a", "b")]), MALFORMED),
        ("lines", and(&[("x\r\ny", "b")]), MALFORMED),
        ("nul", and(&[("x\0", "b")]), MALFORMED),
        ("tab", and(&[("x\ty", "b")]), MALFORMED),
        ("quotes", and(&[("\"x\"", "b")]), MALFORMED),
        ("every kind of token", and(&[("x!#$%&'*+-.^`|~09az", "b")]), FINE),
    ]);
    run_bytes(&[
        ("delete", b"x\x7f", b"b", MALFORMED),
        ("high bytes", b"x\xff", b"b", MALFORMED),
        ("utf-8", "é".as_bytes(), b"b", MALFORMED),
    ]);
}

#[test]
fn values_hold_no_control_bytes() {
    run_fields(vec![
        ("nul", and(&[("x-a", "b\0c")]), MALFORMED),
        ("lines", and(&[("x-a", "b\r\nx-b: c")]), MALFORMED),
        ("line feed", and(&[("x-a", "b\nc")]), MALFORMED),
        ("return", and(&[("x-a", "b\rc")]), MALFORMED),
        ("return at the end", and(&[("x-a", "b\r")]), MALFORMED),
        ("space before", and(&[("x-a", " b")]), MALFORMED),
        ("space after", and(&[("x-a", "b ")]), MALFORMED),
        ("tab before", and(&[("x-a", "\tb")]), MALFORMED),
        ("space alone", and(&[("x-a", " ")]), MALFORMED),
        ("space inside", and(&[("x-a", "b c")]), FINE),
        ("tab inside", and(&[("x-a", "b\tc")]), FINE),
        ("empty", and(&[("x-a", "")]), FINE),
    ]);
    run_bytes(&[
        ("delete", b"x-a", b"b\x7f", MALFORMED),
        ("bell", b"x-a", b"b\x07c", MALFORMED),
        ("escape", b"x-a", b"\x1b[31m", MALFORMED),
        ("high bytes", b"x-a", b"\x80\xff", FINE),
        ("high bytes in path", b":path", b"/x\xff", MALFORMED),
        ("high bytes in authority", b":authority", b"\xff.test", MALFORMED),
        ("high bytes in method", b":method", b"G\xff", MALFORMED),
    ]);
}

#[test]
fn trailers_hold_no_pseudo_headers() {
    let with = |name: &'static str, lines: &[(&str, &str)], expect| -> Row {
        (name, [post(), frame(DATA, b"hello"), headers(lines)].concat(), expect)
    };
    run_rows(vec![
        with("path", &[(":path", "/smuggled")], SPOILED),
        with("status", &[(":status", "200")], SPOILED),
        with("method late", &[("x-a", "b"), (":method", "GET")], SPOILED),
        with("unknown", &[(":x", "b")], SPOILED),
        with("upper case", &[("X-A", "b")], SPOILED),
        with("connection", &[("connection", "close")], SPOILED),
        with("transfer-encoding", &[("transfer-encoding", "chunked")], SPOILED),
        with("lines", &[("x-a", "b\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")], SPOILED),
        with("content-length", &[("content-length", "5")], FINE),
        with("host", &[("host", "evil.test")], FINE),
        with("x-sum", &[("x-sum", "1")], FINE),
    ]);
}

#[test]
fn lengths_are_plain_numbers() {
    let length = |name: &'static str, values: &[&'static str], expect| -> Row {
        let lengths: Lines = values.iter().map(|v| ("content-length", *v)).collect();
        let head = headers(&[&request("POST", "/x")[..], &lengths].concat());
        (name, [head, frame(DATA, b"hello")].concat(), expect)
    };
    let large = Expect::Status(413);
    run_rows(vec![
        length("right", &["5"], FINE),
        length("signed", &["+5"], BAD),
        length("negative", &["-5"], BAD),
        length("empty", &[""], BAD),
        length("hexadecimal", &["0x5"], BAD),
        length("decimals", &["5.0"], BAD),
        length("space", &["5 5"], BAD),
        length("list", &["5, 5"], BAD),
        length("different", &["5", "6"], BAD),
        length("empty first", &["", "5"], BAD),
        length("too many digits", &["99999999999999999999"], BAD),
        length("2^64", &["18446744073709551616"], BAD),
        length("2^63", &["9223372036854775808"], large),
        length("twice the same", &["5", "5"], FINE),
        length("leading zeros", &["0005"], FINE),
    ]);
}
