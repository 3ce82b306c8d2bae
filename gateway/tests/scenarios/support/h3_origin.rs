//! An HTTP/3 origin that behaves as the path says ([`super::script`]).

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use bytes::{Buf, Bytes};
use h3::{
    error::Code,
    server::{self, RequestStream},
};
use h3_quinn::BidiStream;
use http::{HeaderMap, Request, Response};
use quinn::{ConnectionError, Endpoint, TransportConfig, VarInt, crypto::rustls::QuicServerConfig};
use rustls::ServerConfig;
use tokio::{sync::oneshot, task};

use super::{
    exchange::{Exchange, Ledger},
    said, script,
};

/// A listening origin.
pub(crate) struct H3Origin {
    /// Where it listens, by UDP.
    pub(crate) address: SocketAddr,
    /// What it was sent.
    pub(crate) ledger: Arc<Ledger>,
    stop: Option<oneshot::Sender<()>>,
}

impl H3Origin {
    /// Starts it; the configuration's ALPN must name h3.
    pub(crate) fn start(tls: Arc<ServerConfig>) -> Self {
        Self::start_with(tls, TransportConfig::default())
    }

    /// Starts it with other bounds of the transport.
    pub(crate) fn start_with(tls: Arc<ServerConfig>, transport: TransportConfig) -> Self {
        let crypto = QuicServerConfig::try_from(tls).unwrap();
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(Arc::new(transport));
        let ledger = Arc::new(Ledger::default());
        let shared = Arc::clone(&ledger);
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = task::LocalSet::new();
            local.block_on(&runtime, async move {
                let endpoint = Endpoint::server(config, ([127, 0, 0, 1], 0).into()).unwrap();
                tell.send(endpoint.local_addr().unwrap()).unwrap();
                let accepting = endpoint.clone();
                task::spawn_local(async move {
                    while let Some(incoming) = accepting.accept().await {
                        let ledger = Arc::clone(&shared);
                        task::spawn_local(async move {
                            if let Ok(connection) = incoming.await {
                                serve(connection, Arc::clone(&ledger)).await;
                                ledger.ended.fetch_add(1, Ordering::AcqRel);
                            }
                        });
                    }
                });
                let _ = stopped.await;
                endpoint.close(VarInt::from_u32(0x100), b"");
                endpoint.wait_idle().await;
            });
        });
        Self { address: told.recv().unwrap(), ledger, stop: Some(stop) }
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.ledger.connections.load(Ordering::Acquire)
    }
}

impl Drop for H3Origin {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }
}

async fn serve(quic: quinn::Connection, ledger: Arc<Ledger>) {
    ledger.connections.fetch_add(1, Ordering::AcqRel);
    let built = server::builder().build::<_, Bytes>(h3_quinn::Connection::new(quic.clone())).await;
    let Ok(mut connection) = built else { return };
    loop {
        let resolver = match connection.accept().await {
            Ok(Some(resolver)) => resolver,
            Ok(None) => return,
            Err(error) => {
                // What the script closed itself is no fault.
                let own = matches!(quic.close_reason(), Some(ConnectionError::LocallyClosed));
                if !own && !error.is_h3_no_error() {
                    ledger.fault(format!("h3 connection: {error}"));
                }
                return;
            }
        };
        let (ledger, quic) = (Arc::clone(&ledger), quic.clone());
        task::spawn_local(async move {
            match resolver.resolve_request().await {
                Ok((head, stream)) => script::play(H3Exchange { head, stream, quic }, ledger).await,
                // A request that was taken back before its head came is no fault.
                Err(h3::error::StreamError::RemoteTerminate { .. }) => {}
                Err(error) => ledger.fault(format!("h3 request: {error}")),
            }
        });
    }
}

struct H3Exchange {
    head: Request<()>,
    stream: RequestStream<BidiStream<Bytes>, Bytes>,
    quic: quinn::Connection,
}

impl Exchange for H3Exchange {
    fn head(&self) -> &Request<()> {
        &self.head
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        let piece = self.stream.recv_data().await.map_err(said)?;
        Ok(piece.map(|mut piece| piece.copy_to_bytes(piece.remaining())))
    }

    async fn trailers(&mut self) -> Result<HeaderMap, String> {
        Ok(self.stream.recv_trailers().await.map_err(said)?.unwrap_or_default())
    }

    async fn respond(&mut self, head: Response<()>, last: bool) -> Result<(), String> {
        self.stream.send_response(head).await.map_err(said)?;
        if last { self.stream.finish().await.map_err(said) } else { Ok(()) }
    }

    async fn write(&mut self, piece: Bytes) -> Result<(), String> {
        self.stream.send_data(piece).await.map_err(said)
    }

    async fn end(&mut self, trailers: HeaderMap) -> Result<(), String> {
        if !trailers.is_empty() {
            self.stream.send_trailers(trailers).await.map_err(said)?;
        }
        self.stream.finish().await.map_err(said)
    }

    async fn abort(&mut self) {
        if self.head.uri().query() == Some("connection") {
            self.quic.close(VarInt::from_u32(0x102), b"");
        }
        self.stream.stop_stream(match self.head.uri().query() {
            Some("unseen") => Code::H3_REQUEST_REJECTED,
            _ => Code::H3_INTERNAL_ERROR,
        });
    }

    async fn gone(&mut self) {
        // What the peer stopped shows when something is sent.
        let interim = || Response::builder().status(102).body(()).unwrap();
        while self.stream.send_response(interim()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn refuse(&mut self) {
        self.stream.stop_sending(Code::H3_NO_ERROR);
    }
}
