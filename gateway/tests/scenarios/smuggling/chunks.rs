//! The chunked coding of requests.

use std::time::Duration;

use super::{Bench, smuggled, with_body};
use crate::support::assert_none;

/// Sends a chunked POST with this body after its first, good chunk; true when it was completed.
fn completed(bench: &mut Bench, name: &str, body: &[u8]) -> Result<bool, String> {
    let before = bench.origin.seen_at("/x").iter().filter(|s| s.complete).count();
    let mut client = bench.gateway.client();
    client.send(&with_body("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n")).send(body);
    let status = client.answer("POST").map_or(0, |a| a.status);
    let complete = bench.origin.seen_at("/x").iter().filter(|s| s.complete).count() > before;
    if complete != (status == 200) {
        return Err(format!("{name}: status {status}, complete at the origin: {complete}"));
    }
    if !complete && !matches!(status, 0 | 400 | 413 | 431) {
        return Err(format!("{name}: status {status}"));
    }
    if !complete && !client.closes_within(Duration::from_secs(3)) {
        return Err(format!("{name}: the connection goes on"));
    }
    bench.after(name)?;
    Ok(complete)
}

#[test]
fn broken_chunks_end_the_request_unfinished() {
    let tail = format!("\r\nhello\r\n0\r\n\r\n{}", smuggled());
    let mut rows: Vec<(String, Vec<u8>)> = [
        "g",
        "0x5",
        "+5",
        "-5",
        "5_",
        "_5",
        "",
        " 5",
        "5g",
        "5 5",
        "10000000000000005",
        "5\0",
        "5,5",
        "5\r",
        "\u{b}5",
        "5 \u{0}",
        "100000000000000000005",
    ]
    .iter()
    .map(|size| (format!("size {size:?}"), format!("{size}{tail}").into_bytes()))
    .collect();
    let bodies: &[(&str, &[u8])] = &[
        ("data longer than size", b"3\r\nhello\r\n0\r\n\r\n"),
        ("data longer by a digit", b"3\r\nabc0\r\n\r\n0\r\n\r\n"),
        ("no line end after data", b"5\r\nhello0\r\n\r\n"),
        ("bare line feed after data", b"5\r\nhello\n0\r\n\r\n"),
        ("bare return after data", b"5\r\nhello\r0\r\n\r\n"),
        ("line feeds after data", b"5\r\nhello\n\n0\r\n\r\n"),
        ("bare line feed after size", b"5\nhello\r\n0\r\n\r\n"),
        ("bare return after size", b"5\rhello\r\n0\r\n\r\n"),
        ("line feed in extension", b"5;a\nhello\r\n0\r\n\r\n"),
        ("return in extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("data after the last size", b"0\r\nhello\r\n\r\n"),
        ("trailer without colon", b"0\r\nhello\r\n\r\n"),
        ("trailer with space before colon", b"0\r\na : b\r\n\r\n"),
        ("folded trailer", b"0\r\na: b\r\n c\r\n\r\n"),
        ("nul in trailer", b"0\r\na: \0\r\n\r\n"),
    ];
    rows.extend(
        bodies.iter().map(|(n, b)| ((*n).to_owned(), [*b, smuggled().as_bytes()].concat())),
    );
    let mut bench = Bench::new();
    let mut failures = Vec::new();
    for (name, body) in rows {
        match completed(&mut bench, &name, &body) {
            Ok(true) => failures.push(format!("{name}: taken as whole")),
            Ok(false) => {}
            Err(why) => failures.push(why),
        }
    }
    assert_none(&failures);
}

#[test]
fn unusual_chunks_are_refused_or_made_plain() {
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(1 << 20));
    let rows: &[(&str, &[u8])] = &[
        ("nul in extension", b"5;a=\0\r\nhello\r\n0\r\n\r\n"),
        ("control in extension", b"5;a=\x01\r\nhello\r\n0\r\n\r\n"),
        ("extension", b"5;a=b\r\nhello\r\n0\r\n\r\n"),
        ("quoted extension", b"5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n"),
        ("space after size", b"5 \r\nhello\r\n0\r\n\r\n"),
        ("leading zeros", b"0005\r\nhello\r\n000\r\n\r\n"),
        ("capital digits", b"A\r\nhellohello\r\n0\r\n\r\n"),
        ("1 MiB extension", long.as_bytes()),
    ];
    let mut bench = Bench::new();
    let run = |(name, body): &(&str, &[u8])| completed(&mut bench, name, body).err();
    let failures: Vec<String> = rows.iter().filter_map(run).collect();
    assert_none(&failures);
    let seen = bench.origin.seen_at("/x");
    assert!(seen.iter().filter(|s| s.complete).all(|s| s.body.starts_with(b"abchello")));
}

#[test]
fn extensions_without_end_are_cut() {
    let mut bench = Bench::new();
    let many = "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nb\r\n".repeat(4000);
    let whole = completed(&mut bench, "many", format!("{many}0\r\n\r\n").as_bytes());
    assert_eq!(whole, Ok(false), "228 KB of extensions in one body");
}

#[test]
fn plain_chunks_arrive_whole_and_alone() {
    let mut bench = Bench::new();
    assert_eq!(completed(&mut bench, "plain", b"5\r\nhello\r\n0\r\n\r\n"), Ok(true));
    assert_eq!(bench.origin.seen_at("/x")[0].body, b"abchello");
}

#[test]
fn a_body_cut_short_never_looks_whole_to_the_origin() {
    let ends: &[(&str, &str)] = &[
        ("Transfer-Encoding: chunked\r\n", "5\r\nhe"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"),
        ("Transfer-Encoding: chunked\r\n", "FFFFFFFFFFFFFFFF\r\nhello"),
        ("Content-Length: 10\r\n", "hello"),
    ];
    let mut bench = Bench::new();
    let mut failures = Vec::new();
    for reset in [false, true] {
        for (lines, body) in ends {
            let mut client = bench.gateway.client();
            client.send(&with_body(lines, body));
            let status = if reset {
                client.reset();
                0
            } else {
                client.finish();
                client.answer("POST").map_or(0, |a| a.status)
            };
            if status == 200 {
                failures.push(format!("{lines:?} {body:?}: 200"));
            }
            failures.extend(bench.after(body).err());
        }
    }
    let whole = bench.origin.seen_at("/x").into_iter().filter(|s| s.complete);
    failures.extend(whole.map(|s| format!("whole at the origin: {:?}", s.body)));
    assert_none(&failures);
}
