//! Connections to the server that is measured.

use std::{io, net::SocketAddr, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::args::Plan;
use crate::http::Stream;

/// How long a connection may take to be there, TLS and all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A new connection, and whether HTTP/2 was agreed on.
///
/// # Errors
/// Why there is none.
pub(super) async fn dial(plan: &Plan, address: SocketAddr) -> Result<(Stream, bool), String> {
    let made = timeout(CONNECT_TIMEOUT, connect(plan, address)).await;
    made.map_err(|_| "connect: no answer in time".to_owned())?
        .map_err(|error| format!("connect: {error}"))
}

async fn connect(plan: &Plan, address: SocketAddr) -> io::Result<(Stream, bool)> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    if !plan.target.is_tls {
        return Ok((Stream::Plain(tcp), false));
    }
    let name = ServerName::try_from(plan.target.host.clone()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(plan.tls.clone()).connect(name, tcp).await?;
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Stream::Tls(Box::new(stream)), is_h2))
}
