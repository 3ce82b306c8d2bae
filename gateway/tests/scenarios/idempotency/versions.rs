//! The same over HTTP/2, over HTTP/3, and for calls of gRPC.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request};

use super::{counting, keyed};
use crate::support::{
    PATIENCE,
    certificates::Authority,
    gateway::Setup,
    h2_client::{self, connect},
    h3_client,
    origin::{Next, Origin},
};

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn keyed_by(mut head: Request<()>, kind: &'static str) -> Request<()> {
    let headers = head.headers_mut();
    headers.insert("authorization", "Bearer alice".parse().unwrap());
    headers.insert("idempotency-key", "\"k\"".parse().unwrap());
    headers.insert("content-type", kind.parse().unwrap());
    head
}

async fn post(
    client: &SendRequest<Bytes>,
    kind: &'static str,
    body: &'static [u8],
) -> (http::Response<()>, Bytes) {
    let mut send = client.clone().ready().await.unwrap();
    let head = keyed_by(h2_client::head(Method::POST, "/payments"), kind);
    let (response, mut stream) = send.send_request(head, false).unwrap();
    stream.send_data(Bytes::from_static(body), true).unwrap();
    let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
    let (head, body) = response.into_parts();
    let (body, _) = h2_client::whole(body).await.unwrap();
    (http::Response::from_parts(head, ()), body)
}

#[tokio::test]
async fn over_http2_streams_share_a_key() {
    let (origin, gateway) = keyed("");
    let client = connect(gateway.listen).await;
    for replayed in ["", "true", "true"] {
        let (head, body) = post(&client, "text/plain", b"amount=5").await;
        assert_eq!((head.status().as_u16(), &body[..]), (201, &b"payment 1"[..]));
        assert_eq!(text(head.headers(), "idempotent-replayed"), replayed);
        assert_eq!(text(head.headers(), "location"), "/payments/1");
        assert!(head.headers().contains_key("date"));
    }
    let (head, body) = post(&client, "text/plain", b"amount=6").await;
    assert_eq!(head.status(), 422);
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["type"], "urn:weir:problem:idempotency-key-reused");
    assert_eq!(origin.seen().len(), 1);
    tokio::task::spawn_blocking(|| drop(gateway)).await.unwrap();
}

#[tokio::test]
async fn over_http3_too() {
    let origin = counting();
    let (dir, authority) = (tempfile::TempDir::new().unwrap(), Authority::new());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    let listener = "tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }, protocols: [h1, h2, h3]";
    let setup = Setup::to(&[origin.address]).listener(listener).within(dir);
    let gateway = setup.route("idempotency: true").start();
    let tls = authority.client(&[b"h3"]);
    let client = h3_client::connect(gateway.listen, tls, "edge.test").await.unwrap();
    for (body, status, replayed) in
        [("x", 201, None), ("x", 201, Some("true")), ("y", 422, None), ("x", 201, Some("true"))]
    {
        let head = keyed_by(h3_client::head(Method::POST, "/payments"), "text/plain");
        let answer = client.request(head, Bytes::from_static(body.as_bytes())).await.unwrap();
        assert_eq!((answer.status(), answer.field("idempotent-replayed")), (status, replayed));
        if status == 201 {
            assert_eq!(answer.text(), "payment 1");
        }
    }
    assert_eq!(origin.seen().len(), 1);
    drop(client);
    tokio::task::spawn_blocking(|| drop(gateway)).await.unwrap();
}

#[tokio::test]
async fn a_call_of_grpc_gets_a_status_of_grpc() {
    let origin = Origin::start(|x| {
        x.read_body()?;
        x.send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\
             Trailer: grpc-status\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\ngrpc-status: 0\r\n\r\n",
        )?;
        Ok(Next::Keep)
    });
    let gateway = super::route(&origin, "");
    let client = connect(gateway.listen).await;
    let kind = "application/grpc";
    let (first, body) = post(&client, kind, &[0; 5]).await;
    assert_eq!((first.status().as_u16(), &body[..]), (200, &[0; 5][..]));
    let (second, body) = post(&client, kind, &[0; 5]).await;
    assert_eq!((second.status().as_u16(), body.len()), (200, 0));
    assert_eq!(text(second.headers(), "grpc-status"), "9", "its trailers were not stored");
    assert!(text(second.headers(), "grpc-message").contains("not stored"));
    let (other, _) = post(&client, kind, &[1; 5]).await;
    assert_eq!(text(other.headers(), "grpc-status"), "3");
    assert_eq!(origin.seen().len(), 1);
    tokio::task::spawn_blocking(|| drop(gateway)).await.unwrap();
}
