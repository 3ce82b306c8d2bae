//! A WebSocket server that echoes, and does what some texts ask for.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Error, Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::serving::{Serving, tls};

pub(crate) struct SocketServer(Serving);

impl SocketServer {
    pub(crate) fn start() -> Self {
        Self::begin(None)
    }

    /// With TLS, and a certificate that nobody knows.
    pub(crate) fn start_tls() -> Self {
        let (tls, _) = tls("localhost", &["h2", "http/1.1"]);
        Self::begin(Some(TlsAcceptor::from(tls)))
    }

    fn begin(tls: Option<TlsAcceptor>) -> Self {
        Self(Serving::tcp(move |stream| {
            let tls = tls.clone();
            async move {
                // Clients that go away are no error here.
                let _ = match tls {
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => talk(stream).await,
                        Err(_) => Ok(()),
                    },
                    None => talk(stream).await,
                };
            }
        }))
    }

    /// An argument that makes the address `__ENV.WS`.
    pub(crate) fn variable(&self) -> String {
        format!("WS=ws://{}", self.0.address)
    }

    /// The same with TLS.
    pub(crate) fn secure(&self) -> String {
        format!("WS=wss://localhost:{}", self.0.address.port())
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
