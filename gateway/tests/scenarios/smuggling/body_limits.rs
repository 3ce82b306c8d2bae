//! Bodies over the limit.

use super::{Bench, with_body};
use crate::support::client::post;

#[test]
fn a_length_over_the_limit_is_refused_before_the_origin_hears_of_it() {
    let bench = Bench::with(|to| to.limits("body: 1KiB"));
    let answer = bench.exchange(&post("/x", &"a".repeat(1025)));
    assert_eq!(answer.status, 413);
    assert!(answer.field("proxy-status").is_some_and(|v| v.contains("http_request_error")));
    assert!(bench.origin.seen_at("/x").is_empty());
    assert_eq!(bench.exchange(&post("/y", &"a".repeat(1024))).status, 200);
}

#[test]
fn chunks_over_the_limit_are_cut_and_never_look_whole() {
    let mut bench = Bench::with(|to| to.limits("body: 1KiB"));
    let mut client = bench.gateway.client();
    let chunk = format!("200\r\n{}\r\n", "a".repeat(512));
    client.send(&with_body("Transfer-Encoding: chunked\r\n", &chunk.repeat(4)));
    client.send(b"0\r\n\r\n");
    let status = client.answer("POST").map_or(0, |a| a.status);
    assert!(matches!(status, 0 | 413), "{status}");
    bench.after("chunks over the limit").unwrap();
    assert!(bench.origin.seen_at("/x").iter().all(|s| !s.complete));
    let exact = chunk.repeat(2) + "0\r\n\r\n";
    let mut client = bench.gateway.client();
    client.send(&with_body("Transfer-Encoding: chunked\r\n", &exact));
    assert_eq!(client.answer("POST").unwrap().text(), "POST /x 1024");
}
