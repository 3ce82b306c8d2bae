//! A good HTTP/3 request becomes a good HTTP/1.1 request, and its response comes back as one.

use super::Stage;
use crate::support::{
    eventually,
    h3_outcome::Outcome,
    h3_wire::{DATA, HEADERS, frame, headers, request},
    origin::Origin,
    qpack_raw::section,
    seen::{Framing, Seen},
};

/// What the origin saw of a GET of `/x` with more fields.
fn seen(more: &[(&str, &str)]) -> Seen {
    let stage = Stage::new();
    let outcome = stage.client().exchange(&headers(&[&request("GET", "/x")[..], more].concat()));
    assert_eq!(outcome.status(), 200, "{outcome:?}");
    stage.origin.completed("/x")
}

#[test]
fn cookie_crumbs_are_joined() {
    let crumbs = [("cookie", "a=1"), ("x-a", "b"), ("cookie", "b=2"), ("cookie", "c=3")];
    assert_eq!(seen(&crumbs).all("cookie"), ["a=1; b=2; c=3"]);
}

#[test]
fn names_with_underscores_are_dropped() {
    let seen = seen(&[("x_forwarded_for", "1.1.1.1"), ("x_a", "b"), ("x-b", "c")]);
    assert!(seen.fields.iter().all(|(name, _)| !name.contains('_')), "{:?}", seen.fields);
    assert_eq!(seen.field("x-b"), Some("c"));
}

#[test]
fn nobody_forges_where_a_request_came_from() {
    let seen = seen(&[
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "1"),
        ("x-real-ip", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
        ("x-request-id", "forged"),
        ("via", "3 evil"),
        ("proxy-authorization", "Basic Zm9v"),
        ("proxy", "http://evil.test"),
    ]);
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-host"), ["edge.test"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
    for name in ["x-forwarded-port", "x-real-ip", "forwarded", "proxy-authorization", "proxy"] {
        assert_eq!(seen.field(name), None, "{name}");
    }
    assert_ne!(seen.field("x-request-id"), Some("forged"));
    assert!(seen.all("via").join(", ").ends_with("3 weir"), "{:?}", seen.all("via"));
}

#[test]
fn the_authority_is_the_host_whatever_the_field_says() {
    let stage = Stage::new();
    let head = headers(&[&request("GET", "/x")[..], &[("host", "evil.test")]].concat());
    let outcome = stage.client().exchange(&head);
    if outcome.status() == 200 {
        assert_eq!(stage.origin.completed("/x").all("host"), ["edge.test"]);
    } else {
        assert!(super::MALFORMED.is(&outcome) || outcome.status() == 400, "{outcome:?}");
        assert!(stage.origin.seen_at("/x").is_empty());
    }
}

#[test]
fn without_an_authority_the_host_field_counts() {
    let stage = Stage::new();
    let fields = [(":method", "GET"), (":scheme", "https"), (":path", "/x"), ("host", "own.test")];
    assert_eq!(stage.client().exchange(&headers(&fields)).status(), 200);
    assert_eq!(stage.origin.completed("/x").all("host"), ["own.test"]);
}

#[test]
fn equal_lengths_collapse_into_one() {
    let stage = Stage::new();
    let lengths = [("content-length", "5"), ("content-length", "5")];
    let head = headers(&[&request("POST", "/x")[..], &lengths].concat());
    let outcome = stage.client().exchange(&[head, frame(DATA, b"hello")].concat());
    if outcome.status() == 200 {
        assert_eq!(stage.origin.completed("/x").all("content-length"), ["5"]);
    }
}

#[test]
fn the_end_of_a_request_may_come_in_a_packet_of_its_own() {
    let stage = Stage::new();
    let client = stage.client();
    let ask = |path: &str| {
        let mut stream = client.bi();
        stream.write(&headers(&request("GET", path)));
        stream
    };
    // On a loaded machine one may come too late.
    let soon = (0..5).any(|n| {
        let path = format!("/soon/{n}");
        let mut stream = ask(&path);
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(stream.finish().outcome().text(), format!("GET {path} 0"));
        stage.origin.completed(&path).framing == Framing::None
    });
    assert!(soon, "a request without a body went on as one with a body");
    // Who has no end is not waited for any longer.
    let mut late = ask("/late");
    assert!(eventually(|| !stage.origin.seen_at("/late").is_empty()));
    assert_eq!(late.finish().outcome().text(), "GET /late 0");
    assert_eq!(stage.origin.completed("/late").framing, Framing::Chunked);
    let outcome = ask("/data").write(&frame(DATA, b"hello")).finish().outcome();
    assert_eq!(outcome.text(), "GET /data 5");
}

#[test]
fn options_of_the_server_passes() {
    let stage = Stage::new();
    let outcome = stage.client().exchange(&headers(&request("OPTIONS", "*")));
    assert!(matches!(outcome.status(), 200 | 404), "{outcome:?}");
}

#[test]
fn expect_is_answered_here_and_does_not_travel() {
    let stage = Stage::new();
    let client = stage.client();
    let mut stream = client.bi();
    let head = headers(&[&request("POST", "/x")[..], &[("expect", "100-continue")]].concat());
    stream.write(&head);
    std::thread::sleep(std::time::Duration::from_millis(100));
    let outcome = stream.write(&frame(DATA, b"hello")).finish().outcome();
    assert_eq!(outcome.text(), "POST /x 5");
}

#[test]
fn no_connection_field_of_h1_reaches_an_h3_client() {
    let origin = Origin::start(|x| {
        let fields = "Connection: x-internal, keep-alive\r\nX-Internal: s\r\nKeep-Alive: a\r\n\
                      Proxy-Connection: b\r\nAlt-Svc: h3=\":1\"\r\nX-Stays: 1\r\n";
        if x.target() == "/x" { x.reply(200, fields, "ok") } else { x.echo() }
    });
    let stage = Stage::of(origin, |setup| setup);
    let outcome = stage.client().get("/x");
    let Outcome::Response(response) = outcome else { panic!("{outcome:?}") };
    for name in ["connection", "keep-alive", "proxy-connection", "x-internal", "transfer-encoding"]
    {
        assert_eq!(response.field(name), None, "{name}");
    }
    assert_eq!(response.field("x-stays"), Some("1"));
    assert!(response.field("alt-svc").is_none_or(|v| !v.contains(":1\"")), "{response:?}");
    assert!(response.fields.iter().all(|(n, _)| n.to_ascii_lowercase() == *n), "{response:?}");
}

#[test]
fn hints_and_trailers_come_back_in_their_places() {
    let origin = Origin::start(|x| {
        if x.target() != "/x" {
            return x.echo();
        }
        x.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")?;
        std::thread::sleep(std::time::Duration::from_millis(50));
        x.send(
            "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
        )?;
        Ok(crate::support::origin::Next::Keep)
    });
    let stage = Stage::of(origin, |setup| setup);
    let head = headers(&[&request("GET", "/x")[..], &[("te", "trailers")]].concat());
    let outcome = stage.client().exchange(&head);
    let Outcome::Response(response) = outcome else { panic!("{outcome:?}") };
    assert_eq!((response.interim.as_slice(), response.status), (&[103][..], 200));
    assert_eq!(response.body, b"hello");
    assert_eq!(response.trailers, Some(vec![("x-sum".to_owned(), "42".to_owned())]));
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    let origin = Origin::start(|x| match x.target() {
        "/204" => {
            x.send("HTTP/1.1 204 None\r\n\r\n")?;
            Ok(crate::support::origin::Next::Keep)
        }
        "/304" => {
            x.send("HTTP/1.1 304 Same\r\nContent-Length: 100\r\n\r\n")?;
            Ok(crate::support::origin::Next::Keep)
        }
        "/empty" => x.reply(200, "", ""),
        _ => x.echo(),
    });
    let stage = Stage::of(origin, |setup| setup);
    let client = stage.client();
    for (method, path, status) in
        [("GET", "/204", 204), ("GET", "/304", 304), ("GET", "/empty", 200), ("HEAD", "/x", 200)]
    {
        let outcome = client.exchange(&frame(HEADERS, &section(&request(method, path))));
        let Outcome::Response(response) = outcome else { panic!("{method} {path}: {outcome:?}") };
        assert_eq!((response.status, response.body.len()), (status, 0), "{method} {path}");
        stage.survives(path, &client).unwrap();
    }
}
