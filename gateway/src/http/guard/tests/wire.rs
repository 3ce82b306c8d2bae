//! Raw bytes through hyper's server with the check behind it: together they must let nothing
//! ambiguous pass, whichever of the two refuses.

use std::{cell::RefCell, convert::Infallible, rc::Rc};

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// What the check let pass, and what the client read.
struct Outcome {
    passed: Vec<(Parts, Checked, Bytes)>,
    answer: String,
}

impl Outcome {
    /// Statuses of the responses, in order.
    fn statuses(&self) -> Vec<&str> {
        self.answer
            .split("HTTP/1.")
            .skip(1)
            .filter_map(|response| response.split(' ').nth(1))
            .collect()
    }
}

fn exchange(raw: impl AsRef<[u8]>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let passed = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&passed);
    let answer = runtime.block_on(async move {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let service = service_fn(move |request: Request<Incoming>| {
            let seen = Rc::clone(&seen);
            async move { Ok::<_, Infallible>(serve(request, &seen).await) }
        });
        client.write_all(raw.as_ref()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut builder = http1::Builder::new();
        let connection = builder.half_close(true).header_read_timeout(None);
        // An error is hyper's way to say that it answered 400 itself.
        let _ = connection.serve_connection(TokioIo::new(server), service).await;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    });
    Outcome { passed: passed.take(), answer }
}

async fn serve(
    request: Request<Incoming>,
    seen: &RefCell<Vec<(Parts, Checked, Bytes)>>,
) -> Response<Empty<Bytes>> {
    let (mut parts, body) = request.into_parts();
    let mut response = Response::new(Empty::new());
    let checked = match check(&mut parts, false, &limits()) {
        Ok(checked) => checked,
        Err(error) => {
            let disposition = error.disposition();
            *response.status_mut() = disposition.status;
            if disposition.close {
                response.headers_mut().insert("connection", HeaderValue::from_static("close"));
            }
            return response;
        }
    };
    match body.collect().await {
        Ok(body) => seen.borrow_mut().push((parts, checked, body.to_bytes())),
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

#[test]
fn an_ordinary_request_passes() {
    let outcome = exchange("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(outcome.statuses(), ["200"]);
    assert_eq!(outcome.passed[0].1.framing, Framing::Length(5));
    assert_eq!(outcome.passed[0].2, "hello");
}

#[test]
fn malformed_requests_do_not_pass_and_the_connection_closes() {
    // Every one is followed by a second request, which must not be served.
    for head in [
        "POST / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
        "POST / HTTP/1.1\r\nHost: a\0b\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nX : b\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\n : b\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nno colon\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n",
        "POST / HTTP/1.1\r\n Host: a\r\n",
        "POST p HTTP/1.1\r\nHost: a\r\n",
        "POST a:80 HTTP/1.1\r\nHost: a\r\n",
        "POST  / HTTP/1.1\r\nHost: a\r\n",
        "POST / HTTP/2.0\r\nHost: a\r\n",
        "POST / HTTP/9.9\r\nHost: a\r\n",
        "POST /\r\nHost: a\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,5\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\nContent-Length: 6\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cow, chunked\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\tfolded\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let raw = format!("{head}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let outcome = exchange(&raw);
        assert!(outcome.passed.is_empty(), "{head:?} passed: {:?}", outcome.passed);
        let statuses = outcome.statuses();
        assert!(statuses.iter().all(|s| ["400", "501"].contains(s)), "{head:?}: {statuses:?}");
        assert!(statuses.len() <= 1, "{head:?}: {statuses:?}");
    }
}

#[test]
fn a_length_beside_chunked_never_travels_and_the_connection_closes() {
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\nContent-Length: 4",
    ] {
        let raw = format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let outcome = exchange(raw);
        assert!(outcome.passed.len() <= 1, "{fields:?}");
        assert_eq!(outcome.statuses().len(), 1, "{fields:?}");
        for (parts, checked, body) in outcome.passed {
            assert!(!parts.headers.contains_key("content-length"), "{fields:?}");
            assert_eq!((checked.framing, body.len()), (Framing::Unknown, 0));
        }
    }
}

#[test]
fn fragments_do_not_travel() {
    let outcome = exchange("GET /a#/../b HTTP/1.1\r\nHost: a\r\n\r\n");
    for (parts, ..) in outcome.passed {
        assert_eq!(parts.uri, "/a");
    }
}

#[test]
fn broken_chunks_end_the_connection() {
    for body in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nhello\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffff1\r\nabc",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "3\r\nab",
    ] {
        let raw = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let outcome = exchange(format!("{raw}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(outcome.passed.is_empty(), "{body:?} passed: {:?}", outcome.passed);
        assert!(outcome.statuses().len() <= 1, "{body:?}");
    }
}

#[test]
fn oversized_heads_have_their_own_statuses() {
    let fields = "x: y\r\n".repeat(101);
    let outcome = exchange(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    assert_eq!(outcome.statuses(), ["431"]);
    for length in [33 << 10, 66 << 10] {
        let target = "a".repeat(length);
        let outcome = exchange(format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(outcome.statuses(), ["414"], "{length}");
    }
}
