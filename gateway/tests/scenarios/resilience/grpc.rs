//! Checks by gRPC's health protocol, and its statuses as failures.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::net::TcpListener;

use super::{await_states, endpoints, states};
use crate::support::gateway::Setup;

/// Calls, each with its message.
type Ledger = Arc<Mutex<Vec<(Request<()>, Vec<u8>)>>>;

/// A server of gRPC that answers every call with a message of one field.
struct Server {
    address: SocketAddr,
    /// The health that it tells of; 0 for a call that fails with UNAVAILABLE in its head.
    health: Arc<AtomicU8>,
    seen: Ledger,
}

impl Server {
    fn start(health: u8) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (health, seen) = (Arc::new(AtomicU8::new(health)), Ledger::default());
        let (told, ledger) = (Arc::clone(&health), Arc::clone(&seen));
        thread::spawn(move || {
            let builder = tokio::runtime::Builder::new_current_thread().enable_all().build();
            builder.unwrap().block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&told), Arc::clone(&ledger)));
                }
            });
        });
        Self { address, health, seen }
    }
}

async fn serve(stream: tokio::net::TcpStream, health: Arc<AtomicU8>, seen: Ledger) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (health, seen) = (health.load(Ordering::Acquire), Arc::clone(&seen));
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut message = Vec::new();
            while let Some(Ok(data)) = body.data().await {
                message.extend_from_slice(&data);
            }
            seen.lock().unwrap().push((Request::from_parts(head, ()), message));
            let response = Response::builder().header("content-type", "application/grpc");
            if health == 0 {
                let head = response.header("grpc-status", "14").body(()).unwrap();
                return drop(respond.send_response(head, true));
            }
            let mut send = respond.send_response(response.body(()).unwrap(), false).unwrap();
            let reply = Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, health]);
            let _ = send.send_data(reply, false);
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let _ = send.send_trailers(trailers);
        });
    }
}

#[test]
fn a_server_says_itself_whether_it_serves() {
    let (a, b) = (Server::start(1), Server::start(1));
    let check = "health: { grpc: a.v1.Users, interval: 200ms, unhealthy: 2 }";
    let gateway = Setup::to(&[a.address, b.address])
        .upstream(&format!("protocol: h2, outlier: off, {check}"))
        .start();
    let passed =
        || endpoints(&gateway)[1]["health"]["checks"]["passed"].as_u64().is_some_and(|n| n > 0);
    assert!(crate::support::eventually(passed), "{}", gateway.log());
    let (head, message) = b.seen.lock().unwrap().remove(0);
    assert_eq!(head.uri().path(), "/grpc.health.v1.Health/Check");
    assert_eq!(
        (head.method().as_str(), &head.headers()["te"]),
        ("POST", &"trailers".parse().unwrap())
    );
    assert_eq!(message, b"\0\0\0\0\x0c\x0a\x0aa.v1.Users");
    for (health, why) in [(2, "not serving"), (0, "gRPC status 14")] {
        b.health.store(health, Ordering::Release);
        await_states(&gateway, ["healthy", "unhealthy"]);
        assert_eq!(endpoints(&gateway)[1]["health"]["reason"], why);
        b.health.store(1, Ordering::Release);
        await_states(&gateway, ["healthy", "healthy"]);
    }
}

#[test]
fn calls_that_fail_at_once_are_failures() {
    let (good, bad) = (Server::start(1), Server::start(0));
    let gateway = Setup::to(&[good.address, bad.address])
        .upstream("balance: round_robin, protocol: h2")
        .start();
    for n in 0..60 {
        assert_eq!(gateway.client().get(&format!("/call/{n}")).unwrap().status, 200);
    }
    assert_eq!(states(&gateway), ["healthy", "ejected"]);
    assert_eq!(bad.seen.lock().unwrap().len(), 5);
}
