//! Prepared requests through hyper's client: what really reaches an upstream.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, client::conn::http1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::http::wire::Io;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A body of unknown length, as far as hyper can tell.
fn streamed(chunks: &'static [&'static str]) -> Body {
    let frames = chunks.iter().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))));
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

fn sent(method: Method, headers: &str, framing: Framing, body: Body) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut parts = request("http://c/p", headers);
    parts.method = method;
    prepare_upstream(&mut parts, &outbound(V1, framing)).unwrap();
    runtime.block_on(async move {
        let (client, mut server) = tokio::io::duplex(1 << 16);
        let (mut sender, connection) = http1::handshake(Io(client)).await.unwrap();
        let exchange = async move {
            let response = sender.send_request(Request::from_parts(parts, body)).await.unwrap();
            assert_eq!(response.status(), 204);
        };
        let upstream = async move {
            let mut bytes = vec![0; 4096];
            let mut read = 0;
            // The request is small: a pause means that it is complete.
            let pause = std::time::Duration::from_millis(50);
            while let Ok(Ok(more)) =
                tokio::time::timeout(pause, server.read(&mut bytes[read..])).await
            {
                read += more;
            }
            bytes.truncate(read);
            server
                .write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let (_, (), bytes) = tokio::join!(connection, exchange, upstream);
        bytes
    })
}

#[test]
fn bodies_of_unknown_length_are_sent_whatever_the_method() {
    for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
        let bytes = sent(method.clone(), "host: c", Framing::Unknown, streamed(&["abc", "de"]));
        assert_eq!(
            bytes,
            format!(
                "{method} /p HTTP/1.1\r\nhost: c\r\ntransfer-encoding: chunked\r\n\r\n\
                 3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            )
        );
    }
}

#[test]
fn bodies_of_known_length_keep_it() {
    for method in [Method::GET, Method::POST] {
        let headers = "host: c\ntransfer-encoding: chunked\ncontent-length: 9";
        let bytes = sent(method.clone(), headers, Framing::Length(5), streamed(&["abc", "de"]));
        assert_eq!(
            bytes,
            format!("{method} /p HTTP/1.1\r\nhost: c\r\ncontent-length: 5\r\n\r\nabcde")
        );
    }
}

#[test]
fn no_body_leaves_no_framing_behind() {
    for method in [Method::GET, Method::POST] {
        let headers = "host: c\ntransfer-encoding: chunked\ncontent-length: 9";
        let bytes = sent(method.clone(), headers, Framing::None, Empty::new().boxed_unsync());
        assert_eq!(bytes, format!("{method} /p HTTP/1.1\r\nhost: c\r\n\r\n"));
    }
}
