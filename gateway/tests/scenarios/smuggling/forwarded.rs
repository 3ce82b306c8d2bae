//! What the gateway tells the origin about the client, and what a client cannot make it tell.

use super::Bench;
use crate::support::origin::Origin;

const SPOOFED: &str = "X-Forwarded-For: 6.6.6.6, 7.7.7.7\r\nX-Forwarded-Proto: https\r\n\
     X-Forwarded-Host: evil.test\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\n\
     Forwarded: for=6.6.6.6\r\n";

#[test]
fn forwarded_fields_of_the_client_are_replaced() {
    let bench = Bench::new();
    bench.exchange(&format!("GET /x HTTP/1.1\r\nHost: weir.test\r\n{SPOOFED}\r\n"));
    let seen = bench.origin.completed("/x");
    let head = String::from_utf8_lossy(&seen.head).into_owned();
    assert!(!head.contains("6.6.6.6") && !head.contains("evil.test"), "{head}");
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert!(matches!(seen.all("x-forwarded-host")[..], [] | ["weir.test"]), "{head}");
}

#[test]
fn trusted_hops_keep_that_many_entries_from_the_right() {
    let bench = Bench::with(|to| to.listener("trusted_hops: 1"));
    bench.exchange(&format!("GET /x HTTP/1.1\r\nHost: weir.test\r\n{SPOOFED}\r\n"));
    let seen = bench.origin.completed("/x");
    let all = seen.all("x-forwarded-for").join(", ");
    assert!(all.ends_with("7.7.7.7, 127.0.0.1"), "{all}");
    let line = bench.gateway.access_line("\"/x\"");
    assert_eq!(line["client"], "7.7.7.7", "{line}");
}

#[test]
fn every_request_has_one_id_that_origin_client_and_log_share() {
    let bench = Bench::new();
    let answer = bench.exchange("GET /x HTTP/1.1\r\nHost: weir.test\r\n\r\n");
    let id = answer.field("x-request-id").expect("the client gets the id").to_owned();
    assert_eq!(bench.origin.completed("/x").all("x-request-id"), [id.as_str()]);
    assert_eq!(bench.gateway.access_line(&id)["id"], id.as_str());
    let other = bench.exchange("GET /x HTTP/1.1\r\nHost: weir.test\r\n\r\n");
    assert_ne!(other.field("x-request-id"), Some(id.as_str()));
}

#[test]
fn via_names_the_hop_both_ways() {
    let bench = Bench::new();
    let answer = bench.exchange("GET /x HTTP/1.1\r\nHost: weir.test\r\n\r\n");
    assert!(answer.field("via").is_some_and(|v| v.contains("weir")), "{answer:?}");
    assert!(bench.origin.completed("/x").field("via").is_some_and(|v| v.contains("1.1")));
}

#[test]
fn a_client_cannot_write_lines_into_the_log() {
    let bench = Bench::before(Origin::echo(), |to| to);
    let agent = "\"},{\"status\":999,\"x\":\"\\u000a\t\\\"";
    let target = "/x%0a%22,%22status%22:999?\"}{";
    let head = format!("GET {target} HTTP/1.1\r\nHost: weir.test\r\nUser-Agent: {agent}\r\n");
    let status = bench.exchange(&format!("{head}X-Request-Id: a\"b{{\r\n\r\n")).status;
    bench.gateway.client().get("/after").unwrap();
    bench.gateway.access_line("/after");
    for line in bench.gateway.access_lines("") {
        let parsed: serde_json::Value = serde_json::from_str(&line).expect(&line);
        assert!(parsed["status"] == 200 || parsed["status"] == status, "{line}");
    }
}
