//! What is too large is refused by name, and the connection lives on.

use bytes::Bytes;
use http::{HeaderName, Method};

use super::Edge;
use crate::support::{
    gateway::Setup,
    h3_client::{H3Answer, H3Client, head},
    origin::Origin,
    pattern::Pattern,
};

fn refused(answer: &H3Answer, status: u16) {
    assert_eq!(answer.status(), status, "{answer:?}");
    let said = answer.field("proxy-status").is_some_and(|value| value.contains("error="));
    assert!(said, "{answer:?}");
}

async fn lives(client: &H3Client) {
    assert_eq!(client.get("/after").await.unwrap().text(), "GET /after 0");
}

#[tokio::test]
async fn too_many_fields_are_431() {
    let origin = Origin::echo();
    let edge = Edge::start(Setup::to(&[origin.address]).limits("headers: { count: 20 }"));
    let client = edge.client().await;
    let mut many = head(Method::GET, "/many");
    for n in 0..30 {
        let name = HeaderName::try_from(format!("x-{n}")).unwrap();
        many.headers_mut().insert(name, "v".parse().unwrap());
    }
    refused(&client.request(many, Bytes::new()).await.unwrap(), 431);
    lives(&client).await;
    assert!(origin.seen_at("/many").is_empty());
    drop(client);
    edge.stop().await;
}

#[tokio::test]
async fn a_head_of_too_many_bytes_is_431_or_never_sent() {
    let origin = Origin::echo();
    let edge = Edge::start(Setup::to(&[origin.address]).limits("headers: { bytes: 4KiB }"));
    let client = edge.client().await;
    // SETTINGS say the bound, and this client keeps to it once it has heard of it.
    lives(&client).await;
    let mut large = head(Method::GET, "/large");
    large.headers_mut().insert("x-large", "v".repeat(8000).parse().unwrap());
    match client.request(large, Bytes::new()).await {
        Ok(answer) => refused(&answer, 431),
        Err(why) => assert!(why.contains("Header too big"), "{why}"),
    }
    lives(&client).await;
    assert!(origin.seen_at("/large").is_empty());
    drop(client);
    edge.stop().await;
}

#[tokio::test]
async fn a_body_above_the_limit_is_413() {
    let origin = Origin::echo();
    let edge = Edge::start(Setup::to(&[origin.address]).limits("body: 10KiB"));
    let client = edge.client().await;
    let fits = client.request(head(Method::POST, "/fits"), Pattern::whole(10 << 10)).await.unwrap();
    assert_eq!(fits.text(), "POST /fits 10240");
    let mut known = head(Method::POST, "/known");
    known.headers_mut().insert("content-length", 20_000.into());
    let mut stream = client.open(known).await.unwrap();
    refused(&crate::support::h3_client::answer(&mut stream).await.unwrap(), 413);
    lives(&client).await;
    let mut stream = client.open(head(Method::POST, "/unknown")).await.unwrap();
    stream.send_data(Pattern::whole(20_000)).await.unwrap();
    refused(&crate::support::h3_client::answer(&mut stream).await.unwrap(), 413);
    lives(&client).await;
    assert!(origin.seen_at("/known").is_empty());
    drop(client);
    edge.stop().await;
}
