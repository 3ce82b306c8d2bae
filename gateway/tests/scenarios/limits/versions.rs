//! The same over HTTP/2, over HTTP/3, and for calls of gRPC.

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::limited;
use crate::support::{
    PATIENCE,
    certificates::Authority,
    eventually,
    gateway::Setup,
    h2_client::{self, connect},
    h3_client,
    origin::Origin,
};

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn denied(status: u16, headers: &HeaderMap, body: &[u8]) {
    assert_eq!(status, 429);
    assert_eq!(text(headers, "ratelimit-policy"), "\"default\";q=1;w=60");
    assert!(text(headers, "ratelimit").starts_with("\"default\";r=0;t="));
    let after: u64 = text(headers, "retry-after").parse().unwrap();
    assert!((55..=66).contains(&after), "{after}");
    assert_eq!(text(headers, "content-type"), "application/problem+json");
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap();
    assert_eq!(problem["violated-policies"][0], "default");
}

#[tokio::test]
async fn over_http2_streams_of_a_connection_share_a_count() {
    let (origin, gateway) = limited("rate_limit: { rate: 1/m }");
    let client = connect(gateway.listen).await;
    let (first, _, _) = h2_client::get(&client, "/a").await.unwrap();
    assert_eq!(first.status(), 200);
    assert!(text(first.headers(), "ratelimit").starts_with("\"default\";r=0;t="));
    for _ in 0..3 {
        let (second, body, _) = h2_client::get(&client, "/a").await.unwrap();
        denied(second.status().as_u16(), second.headers(), &body);
    }
    assert_eq!(origin.seen().len(), 1);
    tokio::task::spawn_blocking(|| drop(gateway)).await.unwrap();
}

#[tokio::test]
async fn a_call_of_grpc_is_told_that_a_resource_is_exhausted() {
    let (origin, gateway) = limited("rate_limit: { rate: 1/m }");
    let client = connect(gateway.listen).await;
    assert_eq!(h2_client::get(&client, "/a").await.unwrap().0.status(), 200);
    let mut head = h2_client::head(Method::POST, "/a.v1.Users/Find");
    head.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let mut send = client.ready().await.unwrap();
    let (response, mut body) = send.send_request(head, false).unwrap();
    body.send_data(Bytes::from_static(&[0; 5]), true).unwrap();
    let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(text(response.headers(), "grpc-status"), "8");
    assert_eq!(text(response.headers(), "grpc-message"), "too many requests");
    assert_eq!(text(response.headers(), "content-type"), "application/grpc");
    assert!(response.headers().contains_key("retry-after"));
    assert!(text(response.headers(), "ratelimit").starts_with("\"default\";r=0;t="));
    let (body, _) = h2_client::whole(response.into_body()).await.unwrap();
    assert!(body.is_empty());
    assert_eq!(origin.seen().len(), 1);
    tokio::task::spawn_blocking(|| drop(gateway)).await.unwrap();
}

#[tokio::test]
async fn over_http3_too() {
    let origin = Origin::echo();
    let (dir, authority) = (tempfile::TempDir::new().unwrap(), Authority::new());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    let listener = "tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }, protocols: [h1, h2, h3]";
    let setup = Setup::to(&[origin.address]).listener(listener).within(dir);
    let gateway = setup.route("rate_limit: { rate: 1/m }").start();
    let tls = authority.client(&[b"h3"]);
    let client = h3_client::connect(gateway.listen, tls, "edge.test").await.unwrap();
    assert_eq!(client.get("/a").await.unwrap().status(), 200);
    for _ in 0..3 {
        let answer = client.get("/a").await.unwrap();
        denied(answer.status(), answer.head.headers(), &answer.body);
    }
    assert_eq!(origin.seen().len(), 1);
    drop(client);
    tokio::task::spawn_blocking(|| drop(gateway)).await.unwrap();
}

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leave {
    /// It wants no answer any more.
    Stop,
    /// It takes back what it has begun to send, and wants no answer.
    Cancel,
    /// It closes the connection.
    Close,
}

#[tokio::test]
async fn who_leaves_over_http3_while_it_waits_for_its_turn_is_sent_nowhere() {
    let origin = Origin::echo();
    let (dir, authority) = (tempfile::TempDir::new().unwrap(), Authority::new());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    let listener = "tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }, protocols: [h3, h1, h2]";
    let setup = Setup::to(&[origin.address]).listener(listener).within(dir);
    // Ten seconds apart.
    let route = "rate_limit: { rate: 6/m, burst: 9, algorithm: leaky_bucket, max_delay: 10m }, \
                 concurrency: { key: client_ip, max: 5 }, timeout: { total: 10m }";
    let gateway = std::sync::Arc::new(setup.route(route).start());
    let tls = authority.client(&[b"h3"]);
    let connect = || h3_client::connect(gateway.listen, tls.clone(), "edge.test");
    let under_way = |wanted: u64| {
        let gateway = gateway.clone();
        let waits = move || gateway.admin("GET", "/limits").json()["keys"]["under_way"] == wanted;
        async move { tokio::task::spawn_blocking(|| eventually(waits)).await.unwrap() }
    };
    assert_eq!(connect().await.unwrap().get("/first").await.unwrap().status(), 200);
    for leave in [Leave::Stop, Leave::Cancel, Leave::Close] {
        let client = connect().await.unwrap();
        let mut stream =
            client.open(h3_client::head(Method::POST, &format!("/{leave:?}"))).await.unwrap();
        stream.send_data(Bytes::from_static(b"half")).await.unwrap();
        assert!(under_way(1).await, "{leave:?} waits");
        let code = h3::error::Code::H3_REQUEST_CANCELLED;
        match leave {
            Leave::Stop => stream.stop_sending(code),
            Leave::Cancel => {
                stream.stop_stream(code);
                stream.stop_sending(code);
            }
            Leave::Close => client.quic.close(0x100u32.into(), b""),
        }
        assert!(under_way(0).await, "{leave:?} is over");
        let (gateway, mark) = (gateway.clone(), format!("/{leave:?}"));
        let line = tokio::task::spawn_blocking(move || gateway.access_line(&mark)).await.unwrap();
        assert_eq!(line["status"], 499, "{line}");
        assert_eq!(line["flag"], "DC", "{line}");
        drop((stream, client));
    }
    let targets: Vec<_> = origin.seen().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(targets, ["/first"]);
    tokio::task::spawn_blocking(|| drop(gateway)).await.unwrap();
}
