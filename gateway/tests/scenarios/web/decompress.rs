//! Requests come in a coding, and the upstream gets what they hold, or nothing.

use super::{ask, coded, example, send, text};
use crate::support::origin::Origin;

#[test]
fn the_upstream_gets_what_was_coded() {
    let origin = Origin::echo();
    let gateway = example(origin.address, origin.address);
    for coding in ["gzip", "deflate", "br", "zstd", "x-gzip"] {
        let body = coded(coding.trim_start_matches("x-"), text(100_000).as_bytes());
        let fields = format!("Content-Encoding: {coding}\r\nContent-Digest: sha-256=:x:\r\n");
        let answer = send(&gateway, &format!("/api/{coding}"), &fields, &body);
        assert_eq!((answer.status, answer.text()), (200, format!("PUT /api/{coding} 100000")));
        let seen = origin.completed(&format!("/api/{coding}"));
        assert!(seen.body == text(100_000).as_bytes(), "{coding}");
        assert_eq!((seen.field("content-encoding"), seen.field("content-digest")), (None, None));
    }
    let metrics = gateway.admin("GET", "/metrics").text();
    let labels = "{route=\"api\",upstream=\"app\",encoding=\"gzip\"}";
    assert!(metrics.contains(&format!("weir_decompressed_requests_total{labels} 2")), "{metrics}");
}

#[test]
fn bombs_are_refused_before_the_upstream_has_them() {
    let origin = Origin::echo();
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let gateway = example(origin.address, origin.address);
        let target = format!("/api/bomb-{coding}");
        let fields = format!("Content-Encoding: {coding}\r\n");
        // 16 MiB of nothing, and 2 MiB that are only too long.
        let bomb = send(&gateway, &target, &fields, &coded(coding, &vec![0; 16 << 20]));
        assert_eq!(bomb.status, 413, "{coding}: {}", bomb.text());
        let long = send(&gateway, &target, &fields, &coded(coding, text(2 << 20).as_bytes()));
        assert_eq!(long.status, 413, "{coding}: {}", long.text());
        assert!(origin.seen_at(&target).iter().all(|seen| !seen.complete), "{coding}");
        assert_eq!(gateway.access_line("bomb")["flag"], "DPE");
        assert!(gateway.resident() < 200 << 20, "{coding}: {}", gateway.resident());
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let origin = Origin::echo();
    let gateway = example(origin.address, origin.address);
    let unknown = send(&gateway, "/api/a", "Content-Encoding: compress\r\n", b"x");
    assert_eq!(unknown.status, 415);
    assert_eq!(unknown.field("accept-encoding"), Some("gzip, deflate, br, zstd"));
    let twice = send(&gateway, "/api/a", "Content-Encoding: gzip, br\r\n", b"x");
    assert_eq!(
        (twice.status, &*twice.json()["title"].to_string()),
        (415, "\"Unsupported Media Type\"")
    );
    let broken = send(&gateway, "/api/a", "Content-Encoding: gzip\r\n", b"no gzip at all");
    assert_eq!(broken.status, 400);
    let gzip = coded("gzip", text(5_000).as_bytes());
    let cut = send(&gateway, "/api/a", "Content-Encoding: gzip\r\n", &gzip[..gzip.len() - 5]);
    assert_eq!(cut.status, 400);
    assert!(origin.seen_at("/api/a").iter().all(|seen| !seen.complete));
    let none = ask(&gateway, "GET", "/api/none", "Content-Encoding: gzip\r\n");
    assert_eq!((none.status, none.text().as_str()), (200, "GET /api/none 0"));
}

#[test]
fn a_slow_upload_in_chunks_arrives() {
    let origin = Origin::echo();
    let gateway = example(origin.address, origin.address);
    let mut client = gateway.client();
    client.send(
        b"PUT /api/slow HTTP/1.1\r\nHost: a\r\nContent-Encoding: zstd\r\n\
          Transfer-Encoding: chunked\r\n\r\n",
    );
    let body = coded("zstd", text(10_000).as_bytes());
    for piece in body.chunks(body.len() / 20) {
        client.send(format!("{:x}\r\n", piece.len()).as_bytes());
        client.send(&[piece, b"\r\n"].concat());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    client.send(b"0\r\n\r\n");
    assert_eq!(client.answer("PUT").unwrap().text(), "PUT /api/slow 10000");
    assert!(origin.completed("/api/slow").body == text(10_000).as_bytes());
}

#[test]
fn the_bound_of_the_route_counts() {
    let origin = Origin::echo();
    let gateway = crate::support::gateway::Setup::yaml(&format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         limits: {{ body: 10KiB }}\nupstreams: {{ app: {{ endpoints: [\"{}\"] }} }}\n\
         routes: [{{ to: app, decompress: true, max_body: 1MiB }}]\n",
        origin.address
    ))
    .start();
    let body = coded("gzip", text(500_000).as_bytes());
    assert!(body.len() > 20 << 10);
    let answer = send(&gateway, "/long", "Content-Encoding: gzip\r\n", &body);
    assert_eq!((answer.status, answer.text()), (200, "PUT /long 500000".to_owned()));
    let longer = coded("gzip", text(2 << 20).as_bytes());
    let answer = send(&gateway, "/longer", "Content-Encoding: gzip\r\n", &longer);
    assert_eq!(answer.status, 413);
}
