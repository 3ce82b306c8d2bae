//! A WebSocket server that echoes, and does what some texts ask for.

use std::{net::TcpListener, sync::Arc, thread};

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::oneshot,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Error, Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

pub(crate) struct SocketServer {
    address: std::net::SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl SocketServer {
    pub(crate) fn start() -> Self {
        Self::begin(None)
    }

    /// With TLS, and a certificate that nobody knows.
    pub(crate) fn start_tls() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self::begin(Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn begin(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let set = tokio::task::LocalSet::new();
            runtime.block_on(set.run_until(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! { () = serve(listener, tls) => {}, _ = ended => {} }
            }));
        });
        Self { address, end: Some(end), thread: Some(thread) }
    }

    /// An argument that makes the address `__ENV.WS`.
    pub(crate) fn variable(&self) -> String {
        format!("WS=ws://{}", self.address)
    }

    /// The same with TLS.
    pub(crate) fn secure(&self) -> String {
        format!("WS=wss://localhost:{}", self.address.port())
    }
}

impl Drop for SocketServer {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

#[allow(clippy::disallowed_methods, reason = "a test has no task door")]
async fn serve(listener: tokio::net::TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let tls = tls.clone();
        tokio::task::spawn_local(async move {
            // Clients that go away are no error here.
            let _ = match tls {
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => talk(stream).await,
                    Err(_) => Ok(()),
                },
                None => talk(stream).await,
            };
        });
    }
}

#[allow(clippy::result_large_err, reason = "the library's own signature")]
fn greet(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    if request.uri().path() == "/refuse" {
        let mut refusal = ErrorResponse::new(Some("not you".to_string()));
        *refusal.status_mut() = http::StatusCode::FORBIDDEN;
        refusal.headers_mut().insert("content-length", "7".parse().unwrap());
        return Err(refusal);
    }
    if let Some(wanted) = request.headers().get("sec-websocket-protocol") {
        let first = wanted.to_str().unwrap().split(',').next().unwrap().trim().to_string();
        response.headers_mut().insert("sec-websocket-protocol", first.parse().unwrap());
    }
    let mine = request.headers().get("x-mine").cloned();
    response.headers_mut().insert("x-seen-mine", mine.unwrap_or_else(|| "none".parse().unwrap()));
    Ok(response)
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<(), Error> {
    let mut socket = accept_hdr_async(stream, greet).await?;
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(text) => match text.as_str() {
                "close" => {
                    let frame = CloseFrame { code: CloseCode::from(4001), reason: "asked".into() };
                    socket.close(Some(frame)).await?;
                }
                "vanish" => return Ok(()),
                // Reads nothing any more.
                "mute" => std::future::pending().await,
                // A frame's head: its length is the largest that there can be.
                "boast" => {
                    let head = [&[0x82, 127, 0x7f][..], &[0xff; 7]].concat();
                    socket.get_mut().write_all(&head).await?;
                }
                "ping" => socket.send(Message::Ping("x".into())).await?,
                "flood" => {
                    for number in 0..1000 {
                        socket.send(Message::text(number.to_string())).await?;
                    }
                }
                text => socket.send(Message::text(text)).await?,
            },
            Message::Binary(bytes) => socket.send(Message::Binary(bytes)).await?,
            _ => {}
        }
    }
    Ok(())
}
