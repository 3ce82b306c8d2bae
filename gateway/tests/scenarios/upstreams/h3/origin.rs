//! An origin over QUIC: the h3 crate's server, which behaves as the path says, or raw bytes.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::{Buf, Bytes};
use h3::{error::Code, server::RequestStream};
use h3_quinn::BidiStream;
use http::{HeaderMap, Method, Request, Response};
use quinn::{ConnectionError, Endpoint, ServerConfig, VarInt, crypto::rustls::QuicServerConfig};
use tokio::{sync::watch, task};

use crate::support::certificates::Issued;

/// A request that arrived whole.
pub(super) struct Seen {
    pub(super) head: Request<()>,
    pub(super) body: usize,
    pub(super) trailers: Option<HeaderMap>,
}

#[derive(Default)]
struct Ledger {
    connections: AtomicUsize,
    requests: AtomicUsize,
    farewells: AtomicUsize,
    codes: Mutex<Vec<u64>>,
    seen: Mutex<Vec<Seen>>,
}

/// A listening origin; dropping it stops it without a word to its peers.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    ledger: Arc<Ledger>,
    stop: Option<watch::Sender<()>>,
}

/// What a connection is answered with.
#[derive(Clone)]
enum Script {
    /// HTTP/3.
    H3,
    /// These bytes on the control stream, and those on the request streams, in turn.
    Raw(Bytes, Arc<[Vec<u8>]>),
    /// These unidirectional streams, each ended or not, and an answer to nothing.
    Uni(Arc<[(Vec<u8>, bool)]>),
    /// 200 to every request, behind which its frames go back as they came.
    Mirror,
}

impl Origin {
    /// An HTTP/3 server.
    pub(super) fn start(issued: &Issued) -> Self {
        Self::at(issued, SocketAddr::from(([127, 0, 0, 1], 0)), Script::H3)
    }

    /// An HTTP/3 server at this address.
    pub(super) fn restart(issued: &Issued, address: SocketAddr) -> Self {
        Self::at(issued, address, Script::H3)
    }

    /// A server that sends these bytes on its control stream, behind the type, and those on the
    /// streams of requests, one after the other.
    pub(super) fn raw(issued: &Issued, control: &[u8], responses: &[Vec<u8>]) -> Self {
        let script = Script::Raw(control.to_vec().into(), responses.into());
        Self::at(issued, SocketAddr::from(([127, 0, 0, 1], 0)), script)
    }

    /// A server that opens these unidirectional streams, each ended or not.
    pub(super) fn uni(issued: &Issued, streams: &[(Vec<u8>, bool)]) -> Self {
        Self::at(issued, SocketAddr::from(([127, 0, 0, 1], 0)), Script::Uni(streams.into()))
    }

    /// A server whose streams are tunnels back to the sender.
    pub(super) fn mirror(issued: &Issued) -> Self {
        Self::at(issued, SocketAddr::from(([127, 0, 0, 1], 0)), Script::Mirror)
    }

    fn at(issued: &Issued, address: SocketAddr, script: Script) -> Self {
        let crypto = QuicServerConfig::try_from(issued.server(&[b"h3"])).unwrap();
        let config = ServerConfig::with_crypto(Arc::new(crypto));
        let ledger = Arc::new(Ledger::default());
        let (stop, mut stopped) = watch::channel(());
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let shared = ledger.clone();
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = task::LocalSet::new();
            local.block_on(&runtime, async move {
                let endpoint = Endpoint::server(config, address).unwrap();
                tell.send(endpoint.local_addr().unwrap()).unwrap();
                let serving = async {
                    while let Some(incoming) = endpoint.accept().await {
                        task::spawn_local(serve(incoming, shared.clone(), script.clone()));
                    }
                };
                tokio::select! {
                    () = serving => {}
                    _ = stopped.changed() => {}
                }
                // Silence: neither a farewell nor an answer.
                let nowhere = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                endpoint.rebind(nowhere).unwrap();
            });
            runtime.shutdown_background();
        });
        Self { address: told.recv().unwrap(), ledger, stop: Some(stop) }
    }

    pub(super) fn connections(&self) -> usize {
        self.ledger.connections.load(Ordering::Acquire)
    }

    /// Connections that the peer has closed with H3_NO_ERROR.
    pub(super) fn farewells(&self) -> usize {
        self.ledger.farewells.load(Ordering::Acquire)
    }

    /// Codes with which the peer has closed connections of [`Origin::uni`].
    pub(super) fn codes(&self) -> Vec<u64> {
        self.ledger.codes.lock().unwrap().clone()
    }

    /// Requests of which at least the head came.
    pub(super) fn requests(&self) -> usize {
        self.ledger.requests.load(Ordering::Acquire)
    }

    /// What came for a path.
    pub(super) fn seen<T>(&self, path: &str, look: impl Fn(&Seen) -> T) -> Vec<T> {
        let seen = self.ledger.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.head.uri().path() == path).map(look).collect()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop = None;
    }
}

async fn serve(incoming: quinn::Incoming, ledger: Arc<Ledger>, script: Script) {
    let Ok(connection) = incoming.await else { return };
    ledger.connections.fetch_add(1, Ordering::AcqRel);
    match script {
        Script::H3 => serve_h3(connection, ledger).await,
        Script::Raw(control, responses) => {
            serve_raw(connection, ledger, control, responses).await;
        }
        Script::Uni(streams) => open(connection, ledger, &streams).await,
        Script::Mirror => mirror(connection, ledger).await,
    }
}

async fn serve_raw(
    connection: quinn::Connection,
    ledger: Arc<Ledger>,
    control: Bytes,
    responses: Arc<[Vec<u8>]>,
) {
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(&[0]).await.unwrap();
    stream.write_all(&control).await.unwrap();
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        let turn = ledger.requests.fetch_add(1, Ordering::AcqRel);
        let response = responses[turn % responses.len()].clone();
        task::spawn_local(async move {
            let _ = receive.read_to_end(1 << 20).await;
            let _ = send.write_all(&response).await;
            let _ = send.finish();
        });
    }
    drop(stream);
}

async fn open(connection: quinn::Connection, ledger: Arc<Ledger>, streams: &[(Vec<u8>, bool)]) {
    let mut open = Vec::new();
    for (bytes, ended) in streams {
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(bytes).await.unwrap();
        if *ended {
            stream.finish().unwrap();
        }
        open.push(stream);
    }
    if let ConnectionError::ApplicationClosed(closed) = connection.closed().await {
        ledger.codes.lock().unwrap().push(closed.error_code.into_inner());
    }
}

async fn mirror(connection: quinn::Connection, ledger: Arc<Ledger>) {
    let mut stream = connection.open_uni().await.unwrap();
    // SETTINGS_ENABLE_CONNECT_PROTOCOL is 1.
    stream.write_all(&[0, 4, 2, 8, 1]).await.unwrap();
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        ledger.requests.fetch_add(1, Ordering::AcqRel);
        task::spawn_local(async move {
            let mut head = [0; 3];
            receive.read_exact(&mut head).await.unwrap();
            assert_eq!((head[0], head[1] >> 6), (1, 1), "HEADERS, and a length of two bytes");
            let mut block = vec![0; usize::from(head[1] & 0x3f) << 8 | usize::from(head[2])];
            receive.read_exact(&mut block).await.unwrap();
            send.write_all(&[1, 3, 0, 0, 0xc0 | 25]).await.unwrap();
            while let Ok(Some(chunk)) = receive.read_chunk(usize::MAX, true).await {
                if send.write_chunk(chunk.bytes).await.is_err() {
                    return;
                }
            }
            let _ = send.finish();
        });
    }
    drop(stream);
}

async fn serve_h3(quic: quinn::Connection, ledger: Arc<Ledger>) {
    let built = h3::server::Connection::new(h3_quinn::Connection::new(quic.clone())).await;
    let Ok(mut connection) = built else { return };
    loop {
        let resolver = match connection.accept().await {
            Ok(Some(resolver)) => resolver,
            Ok(None) => return,
            Err(error) => {
                let parted = usize::from(error.is_h3_no_error());
                ledger.farewells.fetch_add(parted, Ordering::AcqRel);
                return;
            }
        };
        let Ok((head, stream)) = resolver.resolve_request().await else { continue };
        ledger.requests.fetch_add(1, Ordering::AcqRel);
        match head.uri().path() {
            "/goaway" => drop(connection.shutdown(0).await),
            "/abrupt" => quic.close(VarInt::from_u32(0x102), b""),
            _ => {}
        }
        task::spawn_local(play(head, stream, ledger.clone()));
    }
}

type Stream = RequestStream<BidiStream<Bytes>, Bytes>;

async fn play(head: Request<()>, mut stream: Stream, ledger: Arc<Ledger>) {
    let path = head.uri().path().to_owned();
    match &*path {
        "/reset" => return stream.stop_stream(Code::H3_INTERNAL_ERROR),
        "/refuse" => return stream.stop_stream(Code::H3_REQUEST_REJECTED),
        "/forbid" => {
            let response = Response::builder().status(403).body(()).unwrap();
            stream.send_response(response).await.unwrap();
            stream.stop_sending(Code::H3_NO_ERROR);
            let _ = stream.send_data(Bytes::from_static(b"no")).await;
            let _ = stream.finish().await;
            return;
        }
        "/echo" => return echo(stream).await,
        _ => {}
    }
    let mut body = 0;
    while let Ok(Some(piece)) = stream.recv_data().await {
        body += piece.remaining();
    }
    let trailers = stream.recv_trailers().await.ok().flatten();
    let method = head.method().clone();
    ledger.seen.lock().unwrap().push(Seen { head, body, trailers });
    let text = format!("{method} {path} {body}");
    let _ = answer(&path, &method, &mut stream, text).await;
}

/// Answers while the request still comes.
async fn echo(mut stream: Stream) {
    let response = Response::builder().status(200).body(()).unwrap();
    stream.send_response(response).await.unwrap();
    while let Ok(Some(mut piece)) = stream.recv_data().await {
        let piece = piece.copy_to_bytes(piece.remaining());
        if stream.send_data(piece).await.is_err() {
            return;
        }
    }
    let _ = stream.finish().await;
}

async fn answer(
    path: &str,
    method: &Method,
    stream: &mut Stream,
    text: String,
) -> Result<(), h3::error::StreamError> {
    let mut response = Response::builder().status(200);
    match path {
        "/stall" => tokio::time::sleep(Duration::from_secs(30)).await,
        "/slow" => tokio::time::sleep(Duration::from_millis(100)).await,
        "/hints" => {
            let link = "</a.css>; rel=preload";
            let hints = Response::builder().status(103).header("link", link).body(()).unwrap();
            stream.send_response(hints).await?;
        }
        "/short" => response = response.header("content-length", "100"),
        "/long" => response = response.header("content-length", "2"),
        "/exact" => response = response.header("content-length", text.len()),
        "/none" => response = response.status(204),
        "/trailers" => response = response.header("trailer", "x-sum"),
        _ => {}
    }
    if *method == Method::HEAD {
        stream.send_response(response.header("content-length", "5").body(()).unwrap()).await?;
        return stream.finish().await;
    }
    stream.send_response(response.body(()).unwrap()).await?;
    match path {
        "/none" => {}
        "/late-reset" => {
            stream.send_data(Bytes::from_static(b"half")).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.stop_stream(Code::H3_INTERNAL_ERROR);
            return Ok(());
        }
        "/trailers" => {
            stream.send_data(text.into()).await?;
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "42".parse().unwrap());
            stream.send_trailers(trailers).await?;
        }
        _ => stream.send_data(text.into()).await?,
    }
    stream.finish().await
}
