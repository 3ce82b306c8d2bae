//! Responses come in a coding that their client takes, and nobody else sees it.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use super::{ask, decoded, example, text};
use crate::support::{
    gateway::Setup,
    origin::{Exchange, Next, Origin},
};

const PAGE: &str = "Content-Type: text/html\r\nETag: \"a\"\r\nCache-Control: max-age=60\r\n\
                    Accept-Ranges: bytes\r\n";

/// Answers `/long` with chunks, and other targets with a page, or a 304 to who has its tag.
fn pages() -> Origin {
    Origin::start(|x: &mut Exchange| {
        x.read_body()?;
        if x.target().starts_with("/long") {
            x.send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n",
            )?;
            for piece in text(2 << 20).as_bytes().chunks(50_000) {
                x.send(format!("{:x}\r\n", piece.len()))?;
                x.send([piece, b"\r\n"].concat())?;
            }
            x.send("0\r\n\r\n")?;
            return Ok(Next::Keep);
        }
        let tags = x.seen.field("if-none-match").unwrap_or_default().to_owned();
        // By the text, as some do.
        if tags.split(", ").any(|tag| tag == "\"a\"") {
            x.send(format!("HTTP/1.1 304 Not Modified\r\n{PAGE}\r\n"))?;
            return Ok(Next::Keep);
        }
        x.reply(200, PAGE, &text(20_000))
    })
}

#[test]
fn each_client_gets_the_coding_that_it_takes() {
    let origin = pages();
    let gateway = example(origin.address, origin.address);
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, deflate, br", Some("br")),
        ("gzip", Some("gzip")),
        ("br;q=0, gzip;q=0.1", Some("gzip")),
        ("deflate", None),
        ("identity", None),
    ] {
        for target in ["/page", "/long"] {
            let fields = format!("Accept-Encoding: {accepted}\r\n");
            let answer = ask(&gateway, "GET", target, &fields);
            let whole = if target == "/page" { text(20_000) } else { text(2 << 20) };
            assert_eq!(answer.status, 200);
            assert_eq!(answer.field("content-encoding"), coding, "{accepted}: {target}");
            assert_eq!(answer.field("vary"), Some("accept-encoding"), "{accepted}: {target}");
            let body = coding.map_or_else(|| answer.body.clone(), |c| decoded(c, &answer.body));
            assert!(body == whole.as_bytes(), "{accepted}: {target}");
            if target == "/page" {
                let tag = if coding.is_some() { "W/\"a\"" } else { "\"a\"" };
                assert_eq!(answer.field("etag"), Some(tag));
                assert_eq!(answer.field("accept-ranges").is_some(), coding.is_none());
            }
            assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
            assert_eq!(answer.field("strict-transport-security"), None, "no TLS");
        }
    }
    assert_eq!(origin.seen_at("/page").len(), 1, "one answer is kept for all codings");
    let line = gateway.access_line("\"encoding\":\"br\"");
    // Whichever of the two lines its worker wrote first.
    let plain = if line["path"] == "/page" { 20_000 } else { 2 << 20 };
    assert!(line["bytes_out"].as_u64().unwrap() < plain, "{line}");
    let metrics = gateway.admin("GET", "/metrics").text();
    let labels = "{route=\"pages\",upstream=\"app\",encoding=\"zstd\"}";
    assert!(metrics.contains(&format!("weir_compressed_responses_total{labels} 2")), "{metrics}");
    let plain = 20_000 + (2 << 20);
    assert!(metrics.contains(&format!("weir_compression_input_bytes_total{labels} {plain}")));
}

#[test]
fn what_is_kept_answers_conditions_and_ranges() {
    let origin = pages();
    let gateway = example(origin.address, origin.address);
    let get = |fields: &str| ask(&gateway, "GET", "/page", fields);
    assert_eq!(get("Accept-Encoding: gzip\r\n").field("etag"), Some("W/\"a\""));
    let same = get("Accept-Encoding: gzip\r\nIf-None-Match: W/\"a\"\r\n");
    assert_eq!((same.status, same.field("etag")), (304, Some("W/\"a\"")));
    assert!(same.field("vary").is_some());
    let part = get("Accept-Encoding: gzip\r\nRange: bytes=10-19\r\n");
    assert_eq!((part.status, part.field("content-encoding")), (206, None));
    assert_eq!(part.field("vary"), Some("accept-encoding"), "of the whole, which would be coded");
    let plain = get("Range: bytes=10-19\r\n");
    assert_eq!((plain.status, plain.field("vary")), (206, Some("accept-encoding")));
    let known = get("If-None-Match: \"a\"\r\n");
    assert_eq!((known.status, known.field("vary")), (304, Some("accept-encoding")));
    assert_eq!(part.body, &text(20_000).as_bytes()[10..20]);
    let whole = get("Accept-Encoding: gzip\r\nRange: bytes=10-19\r\nIf-Range: W/\"a\"\r\n");
    assert_eq!((whole.status, whole.field("content-encoding")), (200, Some("gzip")));
    assert_eq!(origin.seen().len(), 1);
    // The same past the cache: the upstream hears of the tag in its own words.
    let past =
        get("Accept-Encoding: gzip\r\nIf-None-Match: W/\"a\"\r\nCache-Control: no-cache\r\n");
    assert_eq!((past.status, past.field("etag")), (304, Some("W/\"a\"")));
}

#[test]
fn head_says_what_get_would() {
    let origin = pages();
    let gateway = example(origin.address, origin.address);
    for _ in 0..2 {
        let head = ask(&gateway, "HEAD", "/page", "Accept-Encoding: gzip\r\n");
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.field("content-encoding"), Some("gzip"));
        assert_eq!((head.field("etag"), head.field("content-length")), (Some("W/\"a\""), None));
        ask(&gateway, "GET", "/page", "Accept-Encoding: br\r\n");
    }
}

#[test]
fn answers_with_secrets_are_left_alone() {
    let origin = Origin::start(|x: &mut Exchange| {
        x.read_body()?;
        let cookie = if x.target() == "/login" { "Set-Cookie: sid=1\r\n" } else { "" };
        x.reply(200, &format!("Content-Type: text/html\r\n{cookie}"), &text(5_000))
    });
    let gateway = Setup::to(&[origin.address]).route("compress: true").start();
    let of = |target: &str, fields: &str| {
        let answer = ask(&gateway, "GET", target, &format!("Accept-Encoding: br\r\n{fields}"));
        assert_eq!(answer.field("vary"), Some("accept-encoding"), "others might get another");
        answer.field("content-encoding").map(str::to_owned)
    };
    assert_eq!(of("/", "").as_deref(), Some("br"));
    assert_eq!(of("/", "Cookie: sid=1\r\n"), None);
    assert_eq!(of("/", "Authorization: Basic x\r\n"), None);
    assert_eq!(of("/login", ""), None);
    let told = Setup::to(&[origin.address]).route("compress: { secrets: true }").start();
    let answer = ask(&told, "GET", "/login", "Accept-Encoding: br\r\nCookie: a=b\r\n");
    assert_eq!(answer.field("content-encoding"), Some("br"));
}

#[test]
fn events_are_not_held_back() {
    for coding in ["gzip", "br", "zstd"] {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let origin = Origin::start(move |x: &mut Exchange| {
            x.read_body()?;
            x.send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                 Transfer-Encoding: chunked\r\n\r\nb\r\ndata: one\n\n\r\n",
            )?;
            // The second follows when the first has been read.
            let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(20));
            x.send("b\r\ndata: two\n\n\r\n0\r\n\r\n")?;
            Ok(Next::Close)
        });
        let gateway = Setup::to(&[origin.address]).route("compress: true").start();
        let mut client = gateway.client();
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n");
        client.send(head.as_bytes());
        while !client.line().unwrap().unwrap().is_empty() {}
        let mut body = Vec::new();
        let mut next = |body: &mut Vec<u8>| {
            let line = client.line().unwrap().unwrap();
            let length = usize::from_str_radix(std::str::from_utf8(&line).unwrap(), 16).unwrap();
            body.extend(client.bytes(length).unwrap());
            client.line().unwrap();
            length
        };
        while decoded(coding, &body) != b"data: one\n\n" {
            assert!(next(&mut body) > 0, "{coding} ends without the first event");
        }
        go.send(()).unwrap();
        while next(&mut body) > 0 {}
        assert_eq!(decoded(coding, &body), b"data: one\n\ndata: two\n\n", "{coding}");
    }
}

#[test]
fn the_cookie_that_keeps_a_client_with_its_upstream_is_no_secret() {
    let origin = pages();
    let gateway = Setup::yaml(&format!(
        "admin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         upstreams: {{ a: {{ endpoints: [\"{0}\"] }}, b: {{ endpoints: [\"{0}\"] }} }}\n\
         routes: [{{ split: {{ a: 1, b: 1 }}, sticky: {{ cookie: side }}, compress: true }}]\n",
        origin.address
    ))
    .start();
    let of = |cookies: &str| {
        let fields = format!("Accept-Encoding: gzip\r\n{cookies}");
        ask(&gateway, "GET", "/page", &fields)
    };
    let first = of("");
    assert_eq!(first.field("content-encoding"), Some("gzip"));
    let pair = first.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let again = of(&format!("Cookie: {pair}\r\n"));
    assert_eq!((again.field("content-encoding"), again.field("set-cookie")), (Some("gzip"), None));
    for cookies in [
        format!("Cookie: {pair}; sid=1\r\n"),
        format!("Cookie: {pair}\r\nCookie: sid=1\r\n"),
        "Cookie: side=somebody-elses\r\n".to_owned(),
        format!("Cookie: {pair}\r\nAuthorization: Bearer x\r\n"),
    ] {
        assert_eq!(of(&cookies).field("content-encoding"), None, "{cookies}");
    }
}
