//! Methods, statuses and versions that have rules of their own.

use crate::support::{
    answer::End,
    frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, request},
    gateway::Setup,
    h2_origin::H2Origin,
    origin::{Next, Origin},
};

#[test]
fn head_keeps_the_length_and_has_no_body() {
    let origin = Origin::start(|x| x.reply(200, "ETag: \"a\"\r\n", "twelve bytes"));
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    for _ in 0..3 {
        client.send(b"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = client.answer("HEAD").unwrap();
        assert_eq!((answer.status, answer.field("content-length")), (200, Some("12")));
        assert_eq!(client.get("/y").unwrap().text(), "twelve bytes");
    }
    let mut frames = Frames::connect(gateway.listen);
    frames.headers(1, &request("HEAD", "/x"), true);
    let outcome = frames.outcome(1);
    let Outcome::Response { status: 200, fields, body, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(body.is_empty());
    assert!(fields.contains(&("content-length".to_owned(), "12".to_owned())), "{fields:?}");
}

#[test]
fn head_of_a_chunked_response_hangs_nobody() {
    let origin = Origin::start(|x| {
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        Ok(Next::Keep)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    for _ in 0..3 {
        client.send(b"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer("HEAD").unwrap().status, 200);
    }
}

#[test]
fn statuses_without_a_body_keep_the_connection_in_step() {
    let origin = Origin::start(|x| match x.target() {
        "/204" => x.send("HTTP/1.1 204 No\r\nX-A: b\r\n\r\n").map(|()| Next::Keep),
        "/304" => x.send("HTTP/1.1 304 No\r\nETag: \"a\"\r\n\r\n").map(|()| Next::Keep),
        "/304/length" => {
            x.send("HTTP/1.1 304 No\r\nContent-Length: 99\r\n\r\n").map(|()| Next::Keep)
        }
        "/205" => x.reply(205, "", ""),
        _ => x.echo(),
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    let mut frames = Frames::connect(gateway.listen);
    let mut stream = 1;
    for (target, status) in [("/204", 204), ("/304", 304), ("/304/length", 304), ("/205", 205)] {
        let answer = client.get(target).unwrap();
        assert_eq!(answer.status, status, "{target}");
        if status == 204 {
            assert!(answer.field("content-length").is_none(), "{answer:?}");
            assert!(answer.field("transfer-encoding").is_none(), "{answer:?}");
        }
        assert_eq!(client.get("/next").unwrap().text(), "GET /next 0", "after {target}");
        assert_eq!(frames.get(stream, target).status(), status, "{target} over h2");
        stream += 2;
    }
}

#[test]
fn an_http_1_0_client_gets_no_chunks() {
    let origin = Origin::start(|x| {
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")?;
        Ok(Next::Keep)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    client.send(b"GET /x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer("GET").unwrap();
    assert_eq!((answer.text(), answer.end), ("hello".to_owned(), End::Close));
    assert!(answer.field("transfer-encoding").is_none());
}

#[test]
fn an_http_1_0_origin_is_understood() {
    let origin = Origin::start(|x| {
        x.send("HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nhello")?;
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    for _ in 0..3 {
        let answer = client.get("/x").unwrap();
        assert_eq!((answer.text(), answer.end), ("hello".to_owned(), End::Complete));
    }
    assert_eq!(Frames::connect(gateway.listen).get(1, "/x").text(), "hello");
}

#[test]
fn every_ordinary_method_passes() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND"] {
        let head = format!("{method} /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
        client.send(head.as_bytes());
        assert_eq!(client.answer(method).unwrap().text(), format!("{method} /x 2"));
    }
}

#[test]
fn early_hints_reach_an_h2_client() {
    let h1 = Origin::start(|x| {
        x.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")?;
        std::thread::sleep(std::time::Duration::from_millis(100));
        x.echo()
    });
    let h2 = H2Origin::start(100);
    let from_h1 = Setup::to(&[h1.address]).start();
    let from_h2 = Setup::to(&[h2.address]).upstream("protocol: h2").start();
    let mut failures = Vec::new();
    for (name, gateway) in [("h1", &from_h1), ("h2", &from_h2)] {
        let mut frames = Frames::connect(gateway.listen);
        frames.headers(1, &request("GET", "/hints"), true);
        let mut statuses = Vec::new();
        while statuses.last() != Some(&"200".to_owned()) {
            let Ok(Some(frame)) = frames.next() else { break };
            if frame.kind != HEADERS || frame.flags & END_HEADERS == 0 {
                continue;
            }
            let fields = frames.fields(&frame).unwrap();
            statuses.extend(fields.into_iter().find(|(n, _)| n == ":status").map(|(_, s)| s));
        }
        if statuses != ["103", "200"] {
            failures.push(format!("from {name}: {statuses:?}"));
        }
    }
    crate::support::assert_none(&failures);
}

#[test]
fn an_upload_over_h2_that_waits_for_the_word_to_go_on_gets_it() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).start();
    let mut frames = Frames::connect(gateway.listen);
    let waits = [&request("POST", "/up")[..], &[("expect", "100-continue")]].concat();
    frames.headers(1, &waits, false);
    let first = loop {
        let frame = frames.next().unwrap().unwrap();
        if frame.kind == HEADERS {
            break frames.fields(&frame).unwrap();
        }
    };
    assert_eq!(first, [(":status".to_owned(), "100".to_owned())]);
    frames.send(DATA, END_STREAM, 1, b"hello").unwrap();
    assert_eq!(frames.outcome(1).text(), "POST /up 5");
}

#[test]
fn query_strings_escapes_and_odd_paths_pass_unchanged() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    for target in ["/x?", "/x?a=b&a=c;d", "/x/%41%2F?q=%00", "/x;p=1", "/x?/../", "/x//y", "/~x"] {
        let answer = client.get(target).unwrap();
        if answer.status == 200 {
            let seen = origin.seen().pop().unwrap().target;
            assert!(seen == target || target.contains("//") || target.contains('%'), "{seen}");
        }
    }
}
