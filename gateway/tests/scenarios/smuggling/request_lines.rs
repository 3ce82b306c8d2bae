//! The request line: forms, versions, methods, sizes.

use super::{BAD, Bench, Want};

fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: weir.test\r\n\r\n").into_bytes()
}

#[test]
fn malformed_request_lines_are_refused() {
    let refused = Want::RefusedAndClosed(&[400, 505, 0]);
    let rows: &[(&str, &[u8])] = &[
        ("0.9", b"GET /x\r\n\r\n"),
        ("0.9 spelled", b"GET /x HTTP/0.9\r\nHost: weir.test\r\n\r\n"),
        ("2.0", b"GET /x HTTP/2.0\r\nHost: weir.test\r\n\r\n"),
        ("9.9", b"GET /x HTTP/9.9\r\nHost: weir.test\r\n\r\n"),
        ("1.10", b"GET /x HTTP/1.10\r\nHost: weir.test\r\n\r\n"),
        ("1.2", b"GET /x HTTP/1.2\r\nHost: weir.test\r\n\r\n"),
        ("one number", b"GET /x HTTP/1\r\nHost: weir.test\r\n\r\n"),
        ("lower case version", b"GET /x http/1.1\r\nHost: weir.test\r\n\r\n"),
        ("other protocol", b"GET /x HTTPS/1.1\r\nHost: weir.test\r\n\r\n"),
        ("no target", b"GET HTTP/1.1\r\nHost: weir.test\r\n\r\n"),
        ("nul in target", b"GET /x\0 HTTP/1.1\r\nHost: weir.test\r\n\r\n"),
        ("control in target", b"GET /x\x01 HTTP/1.1\r\nHost: weir.test\r\n\r\n"),
        ("del in target", b"GET /x\x7f HTTP/1.1\r\nHost: weir.test\r\n\r\n"),
        ("space in target", b"GET /x y HTTP/1.1\r\nHost: weir.test\r\n\r\n"),
        ("tab for space", b"GET\t/x\tHTTP/1.1\r\nHost: weir.test\r\n\r\n"),
        ("double space", b"GET  /x HTTP/1.1\r\nHost: weir.test\r\n\r\n"),
        ("leading space", b" GET /x HTTP/1.1\r\nHost: weir.test\r\n\r\n"),
        ("cr in line", b"GET /x\rHTTP/1.1\r\nHost: weir.test\r\n\r\n"),
        ("text after version", b"GET /x HTTP/1.1 x\r\nHost: weir.test\r\n\r\n"),
        ("colon in method", b"G:T /x HTTP/1.1\r\nHost: weir.test\r\n\r\n"),
        ("nul in method", b"G\0T /x HTTP/1.1\r\nHost: weir.test\r\n\r\n"),
        ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    ];
    let cases: Vec<_> = rows.iter().map(|(name, bytes)| (*name, bytes.to_vec(), refused)).collect();
    Bench::new().table(&cases);
}

#[test]
fn only_origin_absolute_and_asterisk_forms_are_served() {
    Bench::new().table(&[
        ("no slash", line("GET x HTTP/1.1"), Want::Refused(BAD)),
        ("authority form", line("GET weir.test:80 HTTP/1.1"), Want::Refused(BAD)),
        ("asterisk with GET", line("GET * HTTP/1.1"), Want::Refused(BAD)),
        // The library cuts a fragment off before the gateway sees it; none is ever forwarded.
        ("fragment", line("GET /x#y HTTP/1.1"), Want::Either),
        ("userinfo", line("GET http://u@weir.test/x HTTP/1.1"), Want::Refused(BAD)),
        ("no authority", line("GET http:///x HTTP/1.1"), Want::Refused(BAD)),
        ("other scheme", line("GET ftp://weir.test/x HTTP/1.1"), Want::Refused(&[400, 421])),
        ("backslash", line("GET \\x HTTP/1.1"), Want::Refused(BAD)),
        ("absolute form", line("GET http://weir.test/x HTTP/1.1"), Want::Passed),
        ("query", line("GET /x?a=b&c=%20d HTTP/1.1"), Want::Passed),
        ("own method", line("PURGE /x HTTP/1.1"), Want::Passed),
        ("bare line feeds", b"GET /x HTTP/1.1\nHost: weir.test\n\n".to_vec(), Want::Either),
        ("empty line first", [b"\r\n", &line("GET /x HTTP/1.1")[..]].concat(), Want::Either),
        (
            "high bytes",
            b"GET /x\xc3\xa9 HTTP/1.1\r\nHost: weir.test\r\n\r\n".to_vec(),
            Want::Either,
        ),
    ]);
}

#[test]
fn connect_and_trace_are_refused() {
    let never = Want::Refused(&[400, 403, 405, 501]);
    Bench::new().table(&[
        ("connect", line("CONNECT weir.test:80 HTTP/1.1"), never),
        ("connect path", line("CONNECT /x HTTP/1.1"), never),
        ("trace", line("TRACE /x HTTP/1.1"), never),
        ("track", line("TRACK /x HTTP/1.1"), Want::Either),
    ]);
}

#[test]
fn the_host_of_an_absolute_form_wins_over_the_field() {
    let bench = Bench::new();
    let answer =
        bench.exchange("GET http://inner.test:81/x?q HTTP/1.1\r\nHost: outer.test\r\n\r\n");
    assert_eq!(answer.status, 200);
    let seen = bench.origin.completed("/x");
    assert_eq!((seen.target.as_str(), seen.field("host")), ("/x?q", Some("inner.test:81")));
}

#[test]
fn options_asterisk_is_answered() {
    let bench = Bench::new();
    let answer = bench.exchange("OPTIONS * HTTP/1.1\r\nHost: weir.test\r\n\r\n");
    assert!(matches!(answer.status, 200 | 204 | 404), "{answer:?}");
}

#[test]
fn too_much_head_is_refused_by_its_kind() {
    let mut bench = Bench::new();
    let many: String = (0..101).map(|n| format!("x-{n}: v\r\n")).collect();
    let fits: String = (0..80).map(|n| format!("x-{n}: v\r\n")).collect();
    bench.table(&[
        ("long target", line(&format!("GET /x{} HTTP/1.1", "a".repeat(70_000))), LONG),
        (
            "target of the head's size",
            line(&format!("GET /x{} HTTP/1.1", "a".repeat(33_000))),
            LONG,
        ),
        ("long field", super::with_fields(&format!("x-a: {}\r\n", "a".repeat(33_000))), LARGE),
        ("longest field", super::with_fields(&format!("x-a: {}\r\n", "a".repeat(1 << 20))), LARGE),
        ("101 fields", super::with_fields(&many), LARGE),
        ("80 fields", super::with_fields(&fits), Want::Passed),
        (
            "8 KiB field",
            super::with_fields(&format!("x-a: {}\r\n", "a".repeat(8192))),
            Want::Passed,
        ),
        ("long method", line(&format!("{} /x HTTP/1.1", "A".repeat(40_000))), ODD),
    ]);
}

const LONG: Want = Want::Refused(&[414, 431]);
const LARGE: Want = Want::Refused(&[431]);
const ODD: Want = Want::Refused(&[400, 431, 501, 414, 0]);

#[test]
fn a_path_cannot_climb_out_of_its_route() {
    let origin = crate::support::origin::Origin::echo();
    let yaml = format!(
        "admin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\nupstreams:\n  \
         a: {{ endpoints: [\"{}\"] }}\nroutes:\n  - {{ match: {{ path: \"/open/**\" }}, to: a }}\n",
        origin.address
    );
    let gateway = crate::support::gateway::Setup::yaml(&yaml).start();
    let mut failures = Vec::new();
    for path in
        ["/open/../secret", "/open/%2e%2e/secret", "/open/.%2E/secret", "/open//../../secret"]
    {
        let status = gateway.client().get(path).unwrap().status;
        if !matches!(status, 400 | 404 | 301 | 307 | 308) {
            failures.push(format!("{path}: {status}"));
        }
    }
    failures.extend(origin.seen().iter().map(|s| format!("arrived: {}", s.target)));
    crate::support::assert_none(&failures);
}
