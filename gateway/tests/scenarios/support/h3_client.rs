//! An ordinary HTTP/3 client, for what must work.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::{Buf, Bytes};
use h3::client::{self, RequestStream, SendRequest};
use h3_quinn::{BidiStream, OpenStreams};
use http::{HeaderMap, Method, Request, Response};
use quinn::{Endpoint, TransportConfig, crypto::rustls::QuicClientConfig};
use rustls::{ClientConfig, pki_types::CertificateDer};

use super::said;

/// One connection; its driver runs as a task of this runtime. Dropping it closes the connection.
pub(crate) struct H3Client {
    send: SendRequest<OpenStreams, Bytes>,
    /// The connection below.
    pub(crate) quic: quinn::Connection,
    ended: Arc<Mutex<Option<String>>>,
}

/// Both directions of one request.
pub(crate) type H3Stream = RequestStream<BidiStream<Bytes>, Bytes>;

/// A response read whole.
#[derive(Debug)]
pub(crate) struct H3Answer {
    /// The final head.
    pub(crate) head: Response<()>,
    /// Status codes of the interim responses before it.
    pub(crate) interim: Vec<u16>,
    /// The body.
    pub(crate) body: Bytes,
    /// The trailers, if any.
    pub(crate) trailers: HeaderMap,
}

impl H3Answer {
    /// Status code.
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    /// First value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client's endpoint: one UDP socket that any number of connections share.
pub(crate) fn endpoint() -> Endpoint {
    Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap()
}

/// Opens a connection from a socket of its own; the configuration's ALPN must name h3.
pub(crate) async fn connect(
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    name: &str,
) -> Result<H3Client, String> {
    connect_from(&endpoint(), address, tls, name, TransportConfig::default()).await
}

/// Opens a connection with bounds of its own.
pub(crate) async fn connect_from(
    endpoint: &Endpoint,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    name: &str,
    transport: TransportConfig,
) -> Result<H3Client, String> {
    let crypto = QuicClientConfig::try_from(tls).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    let connecting = endpoint.connect_with(config, address, name).map_err(said)?;
    let quic = connecting.await.map_err(said)?;
    let (mut driver, send) = client::builder()
        .build::<_, _, Bytes>(h3_quinn::Connection::new(quic.clone()))
        .await
        .map_err(said)?;
    let ended = Arc::new(Mutex::new(None));
    let end = Arc::clone(&ended);
    tokio::spawn(async move {
        let error = poll_fn(|cx| driver.poll_close(cx)).await;
        *end.lock().unwrap() = Some(error.to_string());
    });
    Ok(H3Client { send, quic, ended })
}

/// A request head for `path`.
pub(crate) fn head(method: Method, path: &str) -> Request<()> {
    let uri = format!("https://weir.test{path}");
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

impl H3Client {
    /// Sends a head; the body goes by the stream's `send_data` and `finish`. A stream that is
    /// dropped ends cleanly: to break off, call `stop_stream` first.
    pub(crate) async fn open(&self, head: Request<()>) -> Result<H3Stream, String> {
        self.send.clone().send_request(head).await.map_err(said)
    }

    /// A request with this body, its response read whole.
    pub(crate) async fn request(&self, head: Request<()>, body: Bytes) -> Result<H3Answer, String> {
        let mut stream = self.open(head).await?;
        if !body.is_empty() {
            stream.send_data(body).await.map_err(said)?;
        }
        stream.finish().await.map_err(said)?;
        answer(&mut stream).await
    }

    /// A GET, its response read whole.
    pub(crate) async fn get(&self, path: &str) -> Result<H3Answer, String> {
        self.request(head(Method::GET, path), Bytes::new()).await
    }

    /// Why the connection ended, once it has.
    pub(crate) fn ended(&self) -> Option<String> {
        self.ended.lock().unwrap().clone()
    }

    /// Whether the peer sent GOAWAY, as far as was heard: then no request can be sent.
    pub(crate) async fn dismissed(&self) -> bool {
        let sent = self.send.clone().send_request(head(Method::GET, "/dismissed")).await;
        match sent {
            Err(error) => error.to_string().contains("closing"),
            Ok(mut stream) => {
                stream.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
                false
            }
        }
    }

    /// The certificate the peer showed.
    pub(crate) fn leaf(&self) -> Vec<u8> {
        let identity = self.quic.peer_identity().unwrap();
        identity.downcast::<Vec<CertificateDer<'static>>>().unwrap()[0].to_vec()
    }
}

/// Reads a response whole.
pub(crate) async fn answer(stream: &mut H3Stream) -> Result<H3Answer, String> {
    let (head, interim) = final_head(stream).await?;
    let mut body = Vec::new();
    while let Some(mut piece) = stream.recv_data().await.map_err(said)? {
        body.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
    }
    let trailers = stream.recv_trailers().await.map_err(said)?.unwrap_or_default();
    Ok(H3Answer { head, interim, body: body.into(), trailers })
}

/// Reads the final head, and the status codes of those before it.
pub(crate) async fn final_head(stream: &mut H3Stream) -> Result<(Response<()>, Vec<u16>), String> {
    let mut interim = Vec::new();
    loop {
        let head = stream.recv_response().await.map_err(said)?;
        if !head.status().is_informational() {
            return Ok((head, interim));
        }
        interim.push(head.status().as_u16());
    }
}
