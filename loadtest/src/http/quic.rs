//! Connections of HTTP/3: QUIC (RFC 9000) with TLS in it.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use ::h3::client::SendRequest;
use bytes::Bytes;
use h3_quinn::OpenStreams;
use quinn::{
    ConnectionError, Endpoint, EndpointConfig, TokioRuntime, TransportErrorCode,
    crypto::rustls::QuicClientConfig,
};
use tokio::io::Interest;

use super::HttpError;
use crate::task;

/// A connection for HTTP/3. It has a socket to itself, so that a server whose workers share a port
/// sees as many clients as there are.
#[derive(Clone)]
pub(crate) struct Quic {
    pub(crate) send: SendRequest<OpenStreams, Bytes>,
    pub(crate) connection: quinn::Connection,
}

impl std::fmt::Debug for Quic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quic").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// A configuration of TLS made one of QUIC.
///
/// # Errors
/// It is without TLS 1.3, or without the cipher suite of QUIC's first packets.
pub(crate) fn quic_config(mut tls: rustls::ClientConfig) -> Result<quinn::ClientConfig, String> {
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| error.to_string())?;
    Ok(quinn::ClientConfig::new(Arc::new(crypto)))
}

impl Quic {
    /// Connects to `remote`, whose certificate must be for `host`.
    ///
    /// # Errors
    /// What the network, TLS or HTTP/3 say; the numbers are those of TCP where they fit.
    pub(crate) async fn connect(
        config: quinn::ClientConfig,
        remote: SocketAddr,
        host: &str,
    ) -> Result<Self, HttpError> {
        let (endpoint, own) = endpoint(remote).map_err(|error| HttpError::dial(&error))?;
        let connecting = endpoint
            .connect_with(config, remote, host)
            .map_err(|error| HttpError::new(HttpError::DIAL, format!("dial: {error}")))?;
        let connection = tokio::select! {
            connected = connecting => connected.map_err(|error| HttpError::handshake(&error))?,
            error = refusal(own) => return Err(HttpError::dial(&error)),
        };
        let made = ::h3::client::builder()
            .send_grease(false)
            .build::<_, _, Bytes>(h3_quinn::Connection::new(connection.clone()))
            .await;
        let (mut driver, send) = made
            .map_err(|error| HttpError::new(HttpError::H3_CONNECTION, format!("http3: {error}")))?;
        task::spawn("h3 connection", async move {
            // Its streams hear why it ended.
            driver.wait_idle().await;
            drop(endpoint);
        });
        Ok(Self { send, connection })
    }
}

/// An endpoint with a socket of its own, and that socket. It is connected: then the system tells
/// when nobody listens at the other end.
fn endpoint(remote: SocketAddr) -> io::Result<(Endpoint, UdpSocket)> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    // Elsewhere a connected socket cannot be told where to send.
    if cfg!(target_os = "linux") {
        socket.connect(remote)?;
    }
    socket.set_nonblocking(true)?;
    let own = socket.try_clone()?;
    let runtime = Arc::new(TokioRuntime);
    Ok((Endpoint::new(EndpointConfig::default(), None, socket, runtime)?, own))
}

/// What the network says of packets that did not arrive. QUIC overhears it: sending the next packet
/// takes the error away from reading.
async fn refusal(socket: UdpSocket) -> io::Error {
    let Ok(watched) = tokio::net::UdpSocket::from_std(socket) else {
        return std::future::pending().await;
    };
    match watched.ready(Interest::ERROR).await {
        Ok(_) => match watched.take_error() {
            Ok(Some(error)) | Err(error) => error,
            Ok(None) => io::ErrorKind::ConnectionRefused.into(),
        },
        Err(error) => error,
    }
}

impl HttpError {
    /// A QUIC connection that did not come about.
    fn handshake(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::TimedOut => Self::dial(&io::ErrorKind::TimedOut.into()),
            // What the server's TLS says to ours.
            ConnectionError::ConnectionClosed(close) if is_tls(close.error_code) => {
                Self::new(Self::TLS, format!("tls: {error}"))
            }
            ConnectionError::ConnectionClosed(close)
                if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
            {
                Self::dial(&io::ErrorKind::ConnectionRefused.into())
            }
            ConnectionError::TransportError(own) if is_tls(own.code) => {
                let says = |text: &str| own.reason.contains(text);
                if says("UnknownIssuer") || says("CaUsedAsEndEntity") {
                    let text = "x509: certificate signed by unknown authority";
                    Self::new(Self::UNKNOWN_CA, text)
                } else if says("not valid for name") || says("NotValidForName") {
                    let text = "x509: certificate is valid for another host name";
                    Self::new(Self::HOSTNAME, text)
                } else {
                    Self::new(Self::TLS, format!("tls: {}", own.reason))
                }
            }
            other => Self::quic(other),
        }
    }

    /// The end of a QUIC connection.
    pub(super) fn quic(error: &ConnectionError) -> Self {
        let code = match error {
            ConnectionError::Reset => return Self::io(&io::ErrorKind::ConnectionReset.into()),
            ConnectionError::ConnectionClosed(_) | ConnectionError::ApplicationClosed(_) => {
                Self::H3_CLOSED
            }
            ConnectionError::TransportError(_)
            | ConnectionError::VersionMismatch
            | ConnectionError::TimedOut => Self::H3_CONNECTION,
            ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => Self::H3,
        };
        Self::new(code, format!("quic: {error}"))
    }
}

/// Whether a code stands for an alert of TLS (RFC 9001, 4.8).
fn is_tls(code: TransportErrorCode) -> bool {
    (0x100..0x200).contains(&u64::from(code))
}
