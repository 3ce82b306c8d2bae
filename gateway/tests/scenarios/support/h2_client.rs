//! An ordinary HTTP/2 client, for what must work.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use h2::{
    RecvStream,
    client::{self, SendRequest},
};
use http::{HeaderMap, Method, Request, Response};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Opens a connection with prior knowledge; its driver runs as a task of this runtime.
pub(crate) async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    drive(stream).await
}

/// Opens a connection over TLS, with `h2` by ALPN.
pub(crate) async fn connect_tls(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    name: &str,
) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    drive(stream).await
}

async fn drive(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Bytes> {
    let (send, connection) = client::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(16 << 20)
        .handshake(stream)
        .await
        .unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    send
}

/// A request head for `path`.
pub(crate) fn head(method: Method, path: &str) -> Request<()> {
    let uri = format!("http://weir.test{path}");
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

/// A GET, its body read whole.
pub(crate) async fn get(
    send: &SendRequest<Bytes>,
    path: &str,
) -> Result<(Response<()>, Bytes, Option<HeaderMap>), h2::Error> {
    let mut send = send.clone().ready().await?;
    let (response, _) = send.send_request(head(Method::GET, path), true)?;
    let (parts, body) = response.await?.into_parts();
    let (body, trailers) = whole(body).await?;
    Ok((Response::from_parts(parts, ()), body, trailers))
}

/// Reads a body to its end.
pub(crate) async fn whole(mut body: RecvStream) -> Result<(Bytes, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes.into(), body.trailers().await?))
}
