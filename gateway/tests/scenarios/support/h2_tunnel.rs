//! Tunnels of extended CONNECT (RFC 8441) as byte streams that block.

use std::{
    future::Future,
    io::{self, Read, Write},
    net::SocketAddr,
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::{Buf, Bytes};
use h2::{
    Reason, RecvStream, SendStream,
    client::{self, SendRequest},
    ext::Protocol,
};
use http::{Method, Request, Response};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::{Builder, Handle},
    sync::oneshot,
};
use tokio_rustls::TlsConnector;

use super::{PATIENCE, eventually, h2_client};

/// Receive window of each stream.
pub(crate) const WINDOW: u32 = 256 * 1024;

/// One HTTP/2 connection, driven by a thread of its own.
pub(crate) struct Session {
    handle: Handle,
    send: SendRequest<Bytes>,
    _stop: oneshot::Sender<()>,
}

impl Session {
    /// Connects with prior knowledge.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(async move { TcpStream::connect(address).await.unwrap() })
    }

    /// Connects over TLS.
    pub(crate) fn connect_tls(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        Self::over(async move {
            let tcp = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("weir.test").unwrap();
            TlsConnector::from(config).connect(name, tcp).await.unwrap()
        })
    }

    fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        stream: impl Future<Output = S> + Send + 'static,
    ) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, begun) = std::sync::mpsc::channel();
        thread::spawn(move || {
            runtime.block_on(async move {
                let stream = stream.await;
                let (send, connection) = client::Builder::new()
                    .initial_window_size(WINDOW)
                    .handshake::<_, Bytes>(stream)
                    .await
                    .unwrap();
                ready.send(send).unwrap();
                tokio::select! {
                    _ = connection => {}
                    _ = stopped => {}
                }
            });
        });
        let send = begun.recv_timeout(PATIENCE).unwrap();
        Self { handle, send, _stop: stop }
    }

    /// Whether the gateway's SETTINGS allow extended CONNECT.
    pub(crate) fn takes_connect(&self) -> bool {
        eventually(|| self.send.is_extended_connect_protocol_enabled())
    }

    /// An ordinary GET.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let got = self.handle.block_on(h2_client::get(&self.send, path)).unwrap();
        (got.0.status().as_u16(), String::from_utf8_lossy(&got.1).into_owned())
    }

    /// Extended CONNECT; the response's head, and the stream.
    pub(crate) fn open(&self, request: Request<()>) -> Result<(Response<()>, Tunnel), h2::Error> {
        assert!(self.takes_connect());
        let mut send = self.send.clone();
        self.handle.block_on(async move {
            let (response, send) = send.send_request(request, false)?;
            let (head, receive) = response.await?.into_parts();
            let handle = Handle::current();
            let tunnel = Tunnel { handle, send, receive, rest: Bytes::new(), patience: PATIENCE };
            Ok((Response::from_parts(head, ()), tunnel))
        })
    }

    /// A WebSocket handshake that must succeed.
    pub(crate) fn websocket(&self, path: &str) -> Tunnel {
        let (head, tunnel) = self.open(connect(path)).unwrap();
        assert_eq!(head.status(), 200);
        tunnel
    }
}

/// Extended CONNECT for WebSocket.
pub(crate) fn connect(path: &str) -> Request<()> {
    let mut request = h2_client::head(Method::CONNECT, path);
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let version = http::HeaderValue::from_static("13");
    request.headers_mut().insert("sec-websocket-version", version);
    request
}

/// The client's end.
pub(crate) struct Tunnel {
    handle: Handle,
    send: SendStream<Bytes>,
    receive: RecvStream,
    rest: Bytes,
    /// How long a read waits.
    pub(crate) patience: Duration,
}

impl Tunnel {
    /// Resets the stream.
    pub(crate) fn reset(mut self) {
        self.send.send_reset(Reason::CANCEL);
    }

    /// Ends the sending half.
    pub(crate) fn finish(&mut self) {
        self.send.send_data(Bytes::new(), true).unwrap();
    }

    /// Everything until the end of the response.
    pub(crate) fn rest(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// The code with which the stream is reset.
    pub(crate) fn reset_reason(&mut self) -> Option<Reason> {
        loop {
            match self.piece() {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    let error = error.into_inner()?;
                    return error.downcast_ref::<h2::Error>()?.reason();
                }
            }
        }
    }

    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let (receive, patience) = (&mut self.receive, self.patience);
        let next =
            self.handle.block_on(async { tokio::time::timeout(patience, receive.data()).await });
        let piece = next.map_err(io::Error::from)?;
        piece.transpose().map_err(io::Error::other)
    }
}

impl Read for Tunnel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let Some(piece) = self.piece()? else { return Ok(0) };
            self.rest = piece;
        }
        let length = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        // It fails only when the stream is over.
        let _ = self.receive.flow_control().release_capacity(length);
        Ok(length)
    }
}

impl Write for Tunnel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let send = &mut self.send;
        send.reserve_capacity(bytes.len());
        let room = self.handle.block_on(async {
            tokio::time::timeout(PATIENCE, std::future::poll_fn(|cx| send.poll_capacity(cx))).await
        });
        let room = room.map_err(io::Error::from)?.transpose().map_err(io::Error::other)?;
        let length = room.unwrap_or(0).min(bytes.len());
        let piece = Bytes::copy_from_slice(&bytes[..length]);
        send.send_data(piece, false).map_err(io::Error::other)?;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
