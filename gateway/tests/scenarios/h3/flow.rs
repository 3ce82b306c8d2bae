//! Back-pressure: who does not read stops who writes, and nothing piles up between them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Buf;
use http::Method;

use super::Edge;
use crate::{
    matrix::origins::TcpOrigin,
    support::{
        PATIENCE,
        certificates::Authority,
        exchange::Ledger,
        gateway::Setup,
        h3_client::{H3Stream, answer, head},
        h3_origin::H3Origin,
        origin::{Next, Origin},
        pattern::Pattern,
    },
};

const SIZE: usize = 24 << 20;
/// What kernel, client and gateway may hold of one response: windows and socket buffers.
const HELD_MAX: usize = 14 << 20;
const GROWTH_MAX: u64 = 12 << 20;

/// Waits until a number has not changed for a while, and gives it.
async fn settled(value: impl Fn() -> usize) -> usize {
    let (end, mut last, mut since) = (Instant::now() + PATIENCE, value(), Instant::now());
    while since.elapsed() < Duration::from_millis(300) {
        assert!(Instant::now() < end, "it never stops");
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = value();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

async fn read_all(stream: &mut H3Stream) -> Result<usize, String> {
    let mut pattern = Pattern::default();
    while let Some(mut piece) = stream.recv_data().await.map_err(|e| e.to_string())? {
        while piece.has_remaining() {
            if !pattern.check(piece.chunk()) {
                return Err(format!("wrong bytes near {}", pattern.at));
            }
            piece.advance(piece.chunk().len());
        }
    }
    Ok(pattern.at)
}

fn sent(ledger: &Ledger) -> usize {
    ledger.seen("/give").iter().map(|record| record.sent).sum()
}

async fn unread_responses(edge: Edge, ledger: Arc<Ledger>, streams: usize) {
    let client = edge.client().await;
    client.get("/warm").await.unwrap();
    let before = edge.gateway.resident();
    let mut open = Vec::new();
    for _ in 0..streams {
        let path = format!("/give/{SIZE}/unknown");
        let mut stream = client.open(head(Method::GET, &path)).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 200);
        open.push(stream);
    }
    let held = settled(|| sent(&ledger)).await;
    assert!(held < HELD_MAX * streams, "{} KiB sent of what nobody reads", held >> 10);
    let grown = edge.gateway.resident().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "memory grew by {} KiB", grown >> 10);
    // Another stream is not held up by those that nobody reads.
    assert_eq!(client.get("/beside").await.unwrap().status(), 200);
    let mut first = open.remove(0);
    let whole = read_all(&mut first).await;
    assert_eq!(whole, Ok(SIZE));
    let grown = edge.gateway.resident().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "memory grew by {} KiB at the end", grown >> 10);
    drop((open, first, client));
    edge.stop().await;
}

#[tokio::test]
async fn an_unread_response_stops_an_h1_origin() {
    let origin = TcpOrigin::start(false);
    let edge = Edge::start(Setup::to(&[origin.address]));
    unread_responses(edge, Arc::clone(&origin.ledger), 1).await;
}

#[tokio::test]
async fn an_unread_response_stops_an_h2_origin() {
    let origin = TcpOrigin::start(true);
    let edge = Edge::start(Setup::to(&[origin.address]).upstream("protocol: h2"));
    unread_responses(edge, Arc::clone(&origin.ledger), 1).await;
}

#[tokio::test]
async fn an_unread_response_stops_an_h3_origin() {
    let authority = Authority::new();
    let origin = H3Origin::start(authority.issue(&["origin.test"]).server(&[b"h3"]));
    let keys = "protocol: h3, tls: { server_name: origin.test, verify: false }";
    let edge = Edge::start(Setup::to(&[origin.address]).upstream(keys));
    unread_responses(edge, Arc::clone(&origin.ledger), 1).await;
}

#[tokio::test]
async fn many_unread_responses_take_bounded_memory() {
    let origin = TcpOrigin::start(false);
    let edge = Edge::start(Setup::to(&[origin.address]));
    unread_responses(edge, Arc::clone(&origin.ledger), 20).await;
}

/// The origin reads nothing until told; meanwhile the client must come to a stop.
#[tokio::test]
async fn an_upload_waits_for_an_origin_that_does_not_read() {
    let go = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&go);
    let origin = Origin::start(move |x| {
        while x.target() == "/up" && !gate.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let length = x.skip_body()?.to_string();
        x.reply(200, "", &length)?;
        Ok(Next::Keep)
    });
    let edge = Edge::start(Setup::to(&[origin.address]).limits("body: 1GiB"));
    let client = edge.client().await;
    client.get("/warm").await.unwrap();
    let before = edge.gateway.resident();
    let mut request = head(Method::POST, "/up");
    request.headers_mut().insert("content-length", SIZE.into());
    let mut stream = client.open(request).await.unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let upload = tokio::spawn(async move {
        let mut pattern = Pattern::default();
        while pattern.at < SIZE {
            stream.send_data(pattern.next(1 << 16)).await.unwrap();
            count.store(pattern.at, Ordering::Release);
        }
        stream.finish().await.unwrap();
        answer(&mut stream).await
    });
    let held = settled(|| written.load(Ordering::Acquire)).await;
    assert!(held > 0 && held < HELD_MAX, "{} KiB sent to nobody", held >> 10);
    let grown = edge.gateway.resident().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "memory grew by {} KiB", grown >> 10);
    assert_eq!(client.get("/beside").await.unwrap().text(), "0");
    go.store(true, Ordering::Release);
    assert_eq!(upload.await.unwrap().unwrap().text(), SIZE.to_string());
    drop(client);
    edge.stop().await;
}
