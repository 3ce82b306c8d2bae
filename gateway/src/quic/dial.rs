//! Opening QUIC connections to upstreams.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use quinn_proto::{ClientConfig, TransportConfig, crypto::rustls::QuicClientConfig};
use rustls::crypto::aws_lc_rs;

use super::{connection::Connection, endpoint::Endpoint, transport::Bounds};
use crate::{error::Error, task};

/// Bounds of connections to upstreams: no streams of theirs.
const BOUNDS: Bounds = Bounds {
    streams: 0,
    stream_window: 1024 * 1024,
    connection_window: 4 * 1024 * 1024,
    idle: Duration::from_secs(65),
};

/// A worker's sockets for connections to upstreams, one for each family of addresses, opened when
/// first needed.
#[derive(Debug)]
pub(crate) struct Dialer {
    v4: RefCell<Option<Rc<Endpoint>>>,
    v6: RefCell<Option<Rc<Endpoint>>>,
    transport: Arc<TransportConfig>,
}

impl Default for Dialer {
    fn default() -> Self {
        Self { v4: RefCell::default(), v6: RefCell::default(), transport: BOUNDS.transport() }
    }
}

impl Dialer {
    /// Begins a handshake. The caller drives the connection.
    ///
    /// # Errors
    /// [`Error::ConnectFailed`] when there is no socket to be had, or no such name can be asked
    /// for.
    pub(crate) fn connect(
        self: &Rc<Self>,
        remote: SocketAddr,
        name: &str,
        tls: Arc<QuicClientConfig>,
    ) -> Result<Rc<Connection>, Error> {
        let endpoint = self.endpoint(remote).map_err(|_| Error::ConnectFailed)?;
        let mut config = ClientConfig::new(tls);
        config.transport_config(self.transport.clone());
        endpoint.connect(config, remote, name).map_err(|_| Error::ConnectFailed)
    }

    fn family(&self, remote: SocketAddr) -> &RefCell<Option<Rc<Endpoint>>> {
        if remote.is_ipv4() { &self.v4 } else { &self.v6 }
    }

    fn endpoint(self: &Rc<Self>, remote: SocketAddr) -> io::Result<Rc<Endpoint>> {
        let slot = self.family(remote);
        if let Some(endpoint) = &*slot.borrow() {
            return Ok(endpoint.clone());
        }
        let local: SocketAddr = match remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let random = aws_lc_rs::default_provider().secure_random;
        let endpoint = Endpoint::new(UdpSocket::bind(local)?, None, None, random)?;
        *slot.borrow_mut() = Some(endpoint.clone());
        let (this, receiving) = (Rc::downgrade(self), endpoint.clone());
        task::spawn(async move {
            // Servers cannot begin a connection: nobody is turned away here.
            let failed: io::Error = poll_fn(|cx| match receiving.poll_receive(cx, drop) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(error),
            })
            .await;
            tracing::error!(error = %failed, "lost the socket for HTTP/3 to upstreams");
            if let Some(this) = this.upgrade() {
                *this.family(remote).borrow_mut() = None;
            }
        });
        Ok(endpoint)
    }
}
