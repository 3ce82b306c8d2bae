//! Coding for clients of HTTP/2 and HTTP/3: the same bodies, and trailers behind them.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Method, Request, Response};
use tempfile::TempDir;

use super::{decoded, text};
use crate::support::{
    certificates::Authority,
    gateway::{Gateway, Setup},
    h2_client, h3_client,
    origin::{Exchange, Next, Origin},
};

const NAME: &str = "edge.test";

/// Answers `/events` with two events, the second once it is let, and other targets with a page in
/// chunks and a trailer.
fn origin() -> (Origin, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::start(move |x: &mut Exchange| {
        x.read_body()?;
        let (kind, pieces) = match x.target() {
            "/events" => {
                ("text/event-stream", ["data: one\n\n".to_owned(), "data: two\n\n".to_owned()])
            }
            _ => ("text/html", [text(40_000), "<end>".to_owned()]),
        };
        x.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTrailer: x-sum\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        ))?;
        if x.seen.method == "HEAD" {
            return Ok(Next::Keep);
        }
        x.send(format!("{:x}\r\n{}\r\n", pieces[0].len(), pieces[0]))?;
        if kind == "text/event-stream" {
            let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(20));
        }
        x.send(format!("{:x}\r\n{}\r\n0\r\nX-Sum: 42\r\n\r\n", pieces[1].len(), pieces[1]))?;
        Ok(Next::Keep)
    });
    (origin, go)
}

/// A gateway that serves every version over TLS, and the client's side of that.
fn edge(origin: &Origin) -> (Gateway, Authority) {
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    authority.issue(&[NAME]).write(dir.path(), "edge");
    let gateway = Setup::to(&[origin.address])
        .listener("tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }, protocols: [h1, h2, h3]")
        .route("compress: true")
        .within(dir)
        .start();
    (gateway, authority)
}

fn head(method: Method, path: &str, coding: &str) -> Request<()> {
    let mut head = h3_client::head(method, path);
    head.headers_mut().insert("accept-encoding", coding.parse().unwrap());
    head
}

/// What both kinds of clients can do: a response's head, and its body piece by piece.
enum Client {
    H2(h2::client::SendRequest<Bytes>),
    H3(h3_client::H3Client),
}

enum Reading {
    H2(h2::RecvStream),
    H3(Box<h3_client::H3Stream>),
}

impl Client {
    async fn both(gateway: &Gateway, authority: &Authority) -> [Self; 2] {
        let over = |alpn: &[u8]| authority.client(&[alpn]);
        let h2 = h2_client::connect_tls(gateway.listen, over(b"h2"), NAME).await;
        let h3 = h3_client::connect(gateway.listen, Arc::clone(&over(b"h3")), NAME).await.unwrap();
        [Self::H2(h2), Self::H3(h3)]
    }

    async fn ask(&self, head: Request<()>) -> (Response<()>, Reading) {
        match self {
            Self::H2(send) => {
                let mut send = send.clone().ready().await.unwrap();
                let (response, _) = send.send_request(head, true).unwrap();
                let (head, body) = response.await.unwrap().into_parts();
                (Response::from_parts(head, ()), Reading::H2(body))
            }
            Self::H3(client) => {
                let mut stream = client.open(head).await.unwrap();
                stream.finish().await.unwrap();
                let (head, _) = h3_client::final_head(&mut stream).await.unwrap();
                (head, Reading::H3(Box::new(stream)))
            }
        }
    }
}

impl Reading {
    async fn piece(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::H2(body) => {
                let piece = body.data().await?.unwrap();
                body.flow_control().release_capacity(piece.len()).unwrap();
                Some(piece.to_vec())
            }
            Self::H3(stream) => {
                let mut piece = stream.recv_data().await.unwrap()?;
                Some(piece.copy_to_bytes(piece.remaining()).to_vec())
            }
        }
    }

    async fn trailers(&mut self) -> HeaderMap {
        match self {
            Self::H2(body) => body.trailers().await.unwrap(),
            Self::H3(stream) => stream.recv_trailers().await.unwrap(),
        }
        .unwrap_or_default()
    }
}

#[tokio::test]
async fn bodies_are_coded_and_trailers_kept() {
    let (origin, _go) = origin();
    let (gateway, authority) = edge(&origin);
    for client in Client::both(&gateway, &authority).await {
        for coding in ["zstd", "br", "gzip"] {
            let (head, mut reading) = client.ask(head(Method::GET, "/page", coding)).await;
            assert_eq!(head.headers()["content-encoding"], coding);
            assert_eq!(head.headers()["vary"], "accept-encoding");
            let mut body = Vec::new();
            while let Some(piece) = reading.piece().await {
                body.extend(piece);
            }
            assert!(decoded(coding, &body) == format!("{}<end>", text(40_000)).as_bytes());
            assert!(body.len() < 20_000, "{coding}: {}", body.len());
            assert_eq!(reading.trailers().await["x-sum"], "42", "{coding}");
        }
        let (head, mut reading) = client.ask(head(Method::HEAD, "/page", "gzip")).await;
        assert_eq!(head.headers()["content-encoding"], "gzip");
        assert_eq!(head.headers()["vary"], "accept-encoding");
        assert_eq!(reading.piece().await, None, "HEAD has no body");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_there_before_the_next_is_made() {
    let (origin, go) = origin();
    let (gateway, authority) = edge(&origin);
    for client in Client::both(&gateway, &authority).await {
        for coding in ["zstd", "br", "gzip"] {
            let (head, mut reading) = client.ask(head(Method::GET, "/events", coding)).await;
            assert_eq!(head.headers()["content-encoding"], coding);
            let mut body = Vec::new();
            while decoded(coding, &body) != b"data: one\n\n" {
                body.extend(reading.piece().await.expect("the first event"));
            }
            go.send(()).unwrap();
            while let Some(piece) = reading.piece().await {
                body.extend(piece);
            }
            assert_eq!(decoded(coding, &body), b"data: one\n\ndata: two\n\n", "{coding}");
            assert_eq!(reading.trailers().await["x-sum"], "42", "{coding}");
        }
    }
}
