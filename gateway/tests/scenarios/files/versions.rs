//! The same over HTTP/2 and HTTP/3.

use std::fs;

use http::Method;
use tempfile::TempDir;

use super::simple;
use crate::support::{
    PATIENCE,
    certificates::Authority,
    gateway::Setup,
    h2_client::{self, connect},
    h3_client,
};

#[tokio::test]
async fn over_http2_files_are_streamed() {
    let large: Vec<u8> = (0..3_000_001_u32).map(|i| (i % 251) as u8).collect();
    let gateway = simple(&[("large.bin", &large), ("small.txt", b"small")]);
    let client = connect(gateway.listen).await;
    let (head, body, _) = h2_client::get(&client, "/large.bin").await.unwrap();
    assert_eq!(head.headers()["content-length"], "3000001");
    assert!(body == large);
    let (head, body, _) = h2_client::get(&client, "/small.txt").await.unwrap();
    assert_eq!((head.status().as_u16(), &body[..]), (200, &b"small"[..]));
    assert!(head.headers().contains_key("date") && head.headers().contains_key("etag"));
    let (head, _, _) = h2_client::get(&client, "/none").await.unwrap();
    assert_eq!(head.status(), 404);
    let mut send = client.clone().ready().await.unwrap();
    let request = h2_client::head(Method::HEAD, "/large.bin");
    let (response, _) = send.send_request(request, true).unwrap();
    let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.headers()["content-length"], "3000001");
    assert!(response.into_body().is_end_stream());
    tokio::task::spawn_blocking(|| drop(gateway)).await.unwrap();
}

#[tokio::test]
async fn over_http3_too() {
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    fs::create_dir(dir.path().join("public")).unwrap();
    let large: Vec<u8> = (0..1_000_001_u32).map(|i| (i % 251) as u8).collect();
    fs::write(dir.path().join("public/large.bin"), &large).unwrap();
    let text = "workers: 1\nadmin: { bind: \"$ADMIN\" }\nlisteners:\n\
                \x20 - { bind: \"$LISTEN\", tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }, \
                protocols: [h1, h2, h3] }\nroutes: [{ files: $DIR/public }]\n";
    let gateway = Setup::yaml(text).within(dir).start();
    let tls = authority.client(&[b"h3"]);
    let client = h3_client::connect(gateway.listen, tls, "edge.test").await.unwrap();
    let answer = client.get("/large.bin").await.unwrap();
    assert_eq!((answer.status(), answer.field("content-length")), (200, Some("1000001")));
    assert!(answer.body == large);
    assert_eq!(client.get("/../large.bin").await.unwrap().status(), 400);
    drop(client);
    tokio::task::spawn_blocking(|| drop(gateway)).await.unwrap();
}
