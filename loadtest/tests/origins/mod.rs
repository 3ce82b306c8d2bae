//! Servers of each version of HTTP.

#![allow(dead_code, reason = "not every test needs every server")]

use std::{path::Path, sync::Arc, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{io, task::JoinSet};

use crate::serving::{Serving, tls};

/// A server over TCP, with TLS where `tls` says so; what is agreed on is what it speaks, and
/// HTTP/2 where nothing is.
pub(crate) fn tcp(tls: Option<Arc<rustls::ServerConfig>>) -> Serving {
    let acceptor = tls.map(tokio_rustls::TlsAcceptor::from);
    Serving::tcp(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Some(acceptor) = acceptor else { return serve_h2(stream).await };
            // Clients that do not trust it go away.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => serve_h2(stream).await,
                _ => serve_h1(stream).await,
            }
        }
    })
}

/// Answers all streams of a connection with five bytes.
async fn serve_h2(stream: impl io::AsyncRead + io::AsyncWrite + Unpin) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"hello"), true).unwrap();
    }
}

async fn serve_h1(stream: impl io::AsyncRead + io::AsyncWrite + Unpin + 'static) {
    let service = hyper::service::service_fn(|_| async {
        let body = http_body_util::Full::new(Bytes::from_static(b"hello"));
        Ok::<_, std::convert::Infallible>(hyper::Response::new(body))
    });
    let server = hyper::server::conn::http1::Builder::new();
    // Clients that go away are no error here.
    let _ = server.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await;
}

/// A server of HTTP/3 that trusts nobody to trust it; its address and its certificate as PEM.
pub(crate) fn quic(protocol: &'static str) -> (Serving, String) {
    let (tls, pem) = tls("127.0.0.1", &[protocol]);
    let config = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(config));
    let serving = Serving::start(move |bound| async move {
        let any = "127.0.0.1:0".parse().unwrap();
        let endpoint = quinn::Endpoint::server(config, any).unwrap();
        bound.send(endpoint.local_addr().unwrap()).unwrap();
        let (mut connections, mut number) = (JoinSet::new(), 0);
        while let Some(incoming) = endpoint.accept().await {
            number += 1;
            connections.spawn_local(async move {
                // Clients that do not trust it go away.
                if let Ok(connection) = incoming.await {
                    serve_h3(connection, number).await;
                }
            });
        }
    });
    (serving, pem)
}

/// Says on which connection it was asked, and gives the body back, unless the path says otherwise.
async fn serve_h3(quic: quinn::Connection, number: u64) {
    let made = h3::server::Connection::new(h3_quinn::Connection::new(quic.clone())).await;
    let mut connection = made.unwrap();
    let mut last = false;
    while let Ok(Some(resolver)) = connection.accept().await {
        let Ok((request, mut stream)) = resolver.resolve_request().await else { return };
        let path = request.uri().path().to_owned();
        if path == "/reset" {
            stream.stop_stream(h3::error::Code::H3_INTERNAL_ERROR);
            continue;
        }
        let mut response = http::Response::builder()
            .header("x-connection", number)
            .header("x-method", request.method().as_str());
        let mut body = BytesMut::new();
        if path == "/early" {
            stream.stop_sending(h3::error::Code::H3_NO_ERROR);
            response = response.status(413);
        } else {
            while let Ok(Some(piece)) = stream.recv_data().await {
                body.extend_from_slice(piece.chunk());
            }
        }
        if path == "/redirect" {
            response = response.status(302).header("location", "/");
        }
        if path == "/slow" {
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        let body = if body.is_empty() { Bytes::from_static(b"hello") } else { body.freeze() };
        stream.send_response(response.body(()).unwrap()).await.unwrap();
        stream.send_data(body).await.unwrap();
        stream.finish().await.unwrap();
        match &*path {
            "/last" => {
                connection.shutdown(0).await.unwrap();
                last = true;
            }
            "/close" => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                quic.close(0x100_u32.into(), b"");
            }
            _ => {}
        }
    }
    // Takes no more requests, and leaves it to the client to close.
    if last {
        quic.closed().await;
    }
}

/// Writes `pem` where `SSL_CERT_FILE` can point.
pub(crate) fn authority(folder: &Path, pem: &str) -> std::path::PathBuf {
    let file = folder.join("authority.pem");
    std::fs::write(&file, pem).unwrap();
    file
}
