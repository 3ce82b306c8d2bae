//! Many connections, many streams on one, connections that idle, move or come by a Retry.

use std::{net::UdpSocket, sync::Arc, time::Duration};

use futures_util::future::join_all;
use quinn::TransportConfig;

use super::{Edge, NAME, farewell};
use crate::{
    matrix::origins::TcpOrigin,
    support::{
        PATIENCE,
        gateway::Setup,
        h3_client::{self, H3Client},
        origin::Origin,
    },
};

#[tokio::test]
async fn two_hundred_connections_live_side_by_side() {
    let origin = Origin::echo();
    let edge = Edge::start(Setup::to(&[origin.address]));
    let before = edge.gateway.resident();
    let endpoint = h3_client::endpoint();
    let connect = || {
        let (tls, transport) = (Arc::clone(&edge.tls), TransportConfig::default());
        h3_client::connect_from(&endpoint, edge.gateway.listen, tls, NAME, transport)
    };
    let mut clients: Vec<H3Client> = Vec::new();
    for _ in 0..10 {
        let some = join_all((0..20).map(|_| connect())).await;
        clients.extend(some.into_iter().map(Result::unwrap));
    }
    for turn in 0..2 {
        let path = format!("/turn/{turn}");
        let answers = join_all(clients.iter().map(|client| client.get(&path))).await;
        for answer in answers {
            assert_eq!(answer.unwrap().text(), format!("GET {path} 0"));
        }
    }
    let each = edge.gateway.resident().saturating_sub(before) / 200;
    assert!(each < 256 << 10, "{} KiB a connection", each >> 10);
    drop(clients);
    edge.stop().await;
}

#[tokio::test]
async fn a_hundred_streams_of_one_connection_wait_together() {
    let origin = TcpOrigin::start(false);
    let edge = Edge::start(Setup::to(&[origin.address]));
    let client = edge.client().await;
    let paths: Vec<String> = (0..100).map(|n| format!("/gather/100/{n}")).collect();
    for answer in join_all(paths.iter().map(|path| client.get(path))).await {
        assert_eq!(answer.unwrap().text(), "all");
    }
    drop(client);
    edge.stop().await;
}

#[tokio::test]
async fn streams_above_the_limit_wait_their_turn() {
    let origin = Origin::echo();
    let edge = Edge::start(Setup::to(&[origin.address]).limits("h3: { streams: 5 }"));
    let client = edge.client().await;
    let paths: Vec<String> = (0..200).map(|n| format!("/{n}")).collect();
    for (path, answer) in paths.iter().zip(join_all(paths.iter().map(|p| client.get(p))).await) {
        assert_eq!(answer.unwrap().text(), format!("GET {path} 0"));
    }
    drop(client);
    edge.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let origin = Origin::start(|x| {
        if x.target() == "/slow" {
            std::thread::sleep(Duration::from_millis(2_200));
        }
        x.echo()
    });
    let edge = Edge::start(Setup::to(&[origin.address]).timeouts("keep_alive: 1s"));
    let busy = Arc::new(edge.client().await);
    let slow = tokio::spawn({
        let busy = Arc::clone(&busy);
        async move {
            let slow = busy.get("/slow").await;
            (slow, busy.get("/after").await)
        }
    });
    let (used, silent) = (edge.client().await, edge.client().await);
    assert_eq!(used.get("/x").await.unwrap().status(), 200);
    for client in [&used, &silent] {
        farewell(client).await;
    }
    let (slow, after) = slow.await.unwrap();
    assert_eq!(slow.unwrap().text(), "GET /slow 0");
    assert_eq!(after.unwrap().status(), 200);
    drop(busy);
    edge.stop().await;
}

#[tokio::test]
async fn a_client_that_moves_keeps_its_connection() {
    let origin = Origin::echo();
    let edge = Edge::start(Setup::to(&[origin.address]));
    let endpoint = h3_client::endpoint();
    let (tls, transport) = (Arc::clone(&edge.tls), TransportConfig::default());
    let client = h3_client::connect_from(&endpoint, edge.gateway.listen, tls, NAME, transport);
    let client = client.await.unwrap();
    // Each port hashes to a worker of its own: the connection's datagrams must find theirs.
    for n in 0..8 {
        let path = format!("/{n}");
        assert_eq!(client.get(&path).await.unwrap().text(), format!("GET {path} 0"));
        endpoint.rebind(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    }
    assert_eq!(client.get("/last").await.unwrap().status(), 200);
    assert_eq!(client.ended(), None);
    drop(client);
    edge.stop().await;
}

#[tokio::test]
async fn a_client_that_must_prove_its_address_is_served() {
    let origin = Origin::echo();
    let edge = Edge::start(Setup::to(&[origin.address]).limits("h3: { half_open: 0 }"));
    let client = tokio::time::timeout(PATIENCE, edge.client()).await.unwrap();
    assert_eq!(client.get("/x").await.unwrap().status(), 200);
    drop(client);
    edge.stop().await;
}

#[tokio::test]
async fn connections_above_the_limit_are_refused_and_their_places_come_back() {
    let origin = Origin::echo();
    let edge = Edge::start(Setup::to(&[origin.address]).limits("connections: 6"));
    let mut clients = Vec::new();
    let mut refused = 0;
    for _ in 0..12 {
        let client = tokio::time::timeout(Duration::from_secs(2), edge.try_client()).await;
        match client.map(|client| client.ok()) {
            Ok(Some(client)) if client.get("/x").await.is_ok() => clients.push(client),
            _ => refused += 1,
        }
    }
    assert!(clients.len() >= 4 && refused >= 4, "{} served, {refused} refused", clients.len());
    clients.clear();
    let again = async {
        loop {
            if let Ok(client) = edge.try_client().await
                && client.get("/x").await.is_ok()
            {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    drop(tokio::time::timeout(PATIENCE, again).await.expect("places come back"));
    edge.stop().await;
}

#[tokio::test]
async fn hits_and_heads_come_from_memory() {
    let origin = Origin::start(|x| x.reply(200, "Cache-Control: max-age=60\r\n", "kept"));
    let edge = Edge::start(Setup::to(&[origin.address]).route("cache: on"));
    let client = edge.client().await;
    let first = client.get("/x").await.unwrap();
    assert_eq!(first.field("cache-status"), Some("weir; fwd=uri-miss; stored"));
    let again = client.get("/x").await.unwrap();
    assert!(again.field("cache-status").is_some_and(|said| said.starts_with("weir; hit; ttl=")));
    assert_eq!((again.text().as_str(), again.field("content-length")), ("kept", Some("4")));
    let head = h3_client::head(http::Method::HEAD, "/x");
    let head = client.request(head, bytes::Bytes::new()).await.unwrap();
    assert_eq!((head.status(), head.body.len()), (200, 0));
    assert_eq!(head.field("content-length"), Some("4"));
    assert_eq!(origin.seen().len(), 1);
    drop(client);
    edge.stop().await;
}
