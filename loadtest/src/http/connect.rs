//! Making connections: names to addresses, TCP, TLS.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    HttpError, NetOptions, Target,
    message::TlsInfo,
    quic::{Quic, quic_config},
    tls,
};
use crate::clock;

/// How long a TCP connect or a TLS handshake may take; k6's.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long addresses of a name are kept; k6's default.
const DNS_TTL: Duration = Duration::from_secs(300);

/// What all connections of a worker share.
#[derive(Debug)]
pub struct Net {
    options: NetOptions,
    tls: Arc<rustls::ClientConfig>,
    names: RefCell<HashMap<String, (Vec<IpAddr>, Instant)>>,
    turn: Cell<usize>,
    quic: OnceCell<quinn::ClientConfig>,
}

/// Which versions of HTTP a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    /// Whatever the server prefers.
    Any,
    /// HTTP/1.1: what becomes a WebSocket.
    Http1,
    /// HTTP/2: gRPC.
    Http2,
}

/// A new connection and how long its parts took.
#[derive(Debug)]
pub(crate) struct Dialed {
    pub(crate) stream: Stream,
    pub(crate) remote: SocketAddr,
    pub(crate) tls: Option<Rc<TlsInfo>>,
    pub(crate) is_h2: bool,
    pub(crate) connecting: Duration,
    pub(crate) tls_handshaking: Duration,
}

impl Net {
    /// For a worker; `tls` is shared by all of them.
    pub fn new(options: NetOptions, tls: Arc<rustls::ClientConfig>) -> Self {
        Self { options, tls, names: RefCell::default(), turn: Cell::new(0), quic: OnceCell::new() }
    }

    /// The options it was made with.
    pub fn options(&self) -> &NetOptions {
        &self.options
    }

    /// Connects. Without TLS nothing is agreed on, and the connection is for HTTP/1.1.
    pub(crate) async fn dial(&self, target: &Target, alpn: Alpn) -> Result<Dialed, HttpError> {
        self.dial_with(target, alpn, None).await
    }

    /// Connects with `tls` in the place of the run's configuration.
    pub(crate) async fn dial_with(
        &self,
        target: &Target,
        alpn: Alpn,
        tls: Option<&rustls::ClientConfig>,
    ) -> Result<Dialed, HttpError> {
        let remote = self.address(target).await?;
        let begun = clock::now();
        let tcp = timeout(DIAL_TIMEOUT, TcpStream::connect(remote))
            .await
            .map_err(|_| HttpError::dial(&io::ErrorKind::TimedOut.into()))?
            .map_err(|error| HttpError::dial(&error))?;
        tcp.set_nodelay(true).map_err(|error| HttpError::dial(&error))?;
        let connected = clock::now();
        let connecting = connected - begun;
        if !target.is_tls {
            let (tls, tls_handshaking) = (None, Duration::ZERO);
            let stream = Stream::Plain(tcp);
            return Ok(Dialed { stream, remote, tls, is_h2: false, connecting, tls_handshaking });
        }
        let name = ServerName::try_from(target.host.clone())
            .map_err(|_| HttpError::new(HttpError::HOSTNAME, "tls: invalid host name"))?;
        let handshake = TlsConnector::from(self.config(alpn, tls)).connect(name, tcp);
        let stream = timeout(DIAL_TIMEOUT, handshake)
            .await
            .map_err(|_| HttpError::new(HttpError::TLS, "tls: handshake timeout"))?
            .map_err(|error| HttpError::tls(&error))?;
        let session = stream.get_ref().1;
        let is_h2 = session.alpn_protocol() == Some(b"h2");
        let tls = Some(Rc::new(tls::info(session)));
        let tls_handshaking = clock::now() - connected;
        let stream = Stream::Tls(Box::new(stream));
        Ok(Dialed { stream, remote, tls, is_h2, connecting, tls_handshaking })
    }

    /// Connects with QUIC, for HTTP/3; gives also whereto, and how long the handshake took.
    pub(crate) async fn dial_quic(
        &self,
        target: &Target,
    ) -> Result<(Quic, SocketAddr, Duration), HttpError> {
        if !target.is_tls {
            return Err(HttpError::new(HttpError::H3, "HTTP/3 needs an https:// URL"));
        }
        let remote = self.address(target).await?;
        let config = match self.quic.get() {
            Some(config) => config.clone(),
            None => {
                let made = quic_config(rustls::ClientConfig::clone(&self.tls))
                    .map_err(|why| HttpError::new(HttpError::TLS, format!("tls: {why}")))?;
                self.quic.get_or_init(|| made).clone()
            }
        };
        let begun = clock::now();
        let quic = timeout(DIAL_TIMEOUT, Quic::connect(config, remote, &target.host))
            .await
            .map_err(|_| HttpError::dial(&io::ErrorKind::TimedOut.into()))??;
        Ok((quic, remote, clock::now() - begun))
    }

    /// Where a connection is to lead, if it may.
    async fn address(&self, target: &Target) -> Result<SocketAddr, HttpError> {
        let remote = self.resolve(target).await?;
        if self.options.blacklist.iter().any(|net| net.contains(remote.ip())) {
            let text = format!("IP ({}) is in a blacklisted range", remote.ip());
            return Err(HttpError::new(HttpError::BLACKLISTED, text));
        }
        Ok(remote)
    }

    fn config(&self, alpn: Alpn, tls: Option<&rustls::ClientConfig>) -> Arc<rustls::ClientConfig> {
        let protocol: &[u8] = match alpn {
            Alpn::Any => return Arc::clone(&self.tls),
            Alpn::Http1 => b"http/1.1",
            Alpn::Http2 => b"h2",
        };
        let mut config = tls.unwrap_or(&self.tls).clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }

    async fn resolve(&self, target: &Target) -> Result<SocketAddr, HttpError> {
        let blocked = &self.options.blocked_names;
        if blocked.iter().any(|pattern| pattern.matches(&target.host)) {
            let text = format!("hostname ({}) is in a blocked pattern", target.host);
            return Err(HttpError::new(HttpError::BLOCKED, text));
        }
        if let Some(address) = self.options.address_of(&target.host, target.port) {
            return Ok(address);
        }
        if let Ok(ip) = target.host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, target.port));
        }
        let now = clock::now();
        if let Some((ips, until)) = self.names.borrow().get(&target.host)
            && *until > now
        {
            return Ok(SocketAddr::new(self.choose(ips), target.port));
        }
        let found = tokio::net::lookup_host((&*target.host, target.port)).await;
        let found: Vec<IpAddr> = match found {
            Ok(found) => found.map(|address| address.ip()).collect(),
            Err(error) => {
                let is_unknown = error.to_string().contains("not known");
                let code = if is_unknown { HttpError::DNS_NO_HOST } else { HttpError::DNS };
                let text = format!("lookup {}: no such host", target.host);
                return Err(HttpError::new(code, text));
            }
        };
        // IPv4 first, as k6 does.
        let v4: Vec<IpAddr> = found.iter().copied().filter(IpAddr::is_ipv4).collect();
        let ips = if v4.is_empty() { found } else { v4 };
        if ips.is_empty() {
            let text = format!("lookup {}: no such host", target.host);
            return Err(HttpError::new(HttpError::DNS_NO_HOST, text));
        }
        let ip = self.choose(&ips);
        let mut names = self.names.borrow_mut();
        if names.len() >= 10_000 {
            names.clear();
        }
        names.insert(target.host.clone(), (ips, now + DNS_TTL));
        Ok(SocketAddr::new(ip, target.port))
    }

    /// One after the other.
    fn choose(&self, ips: &[IpAddr]) -> IpAddr {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        ips[turn % ips.len()]
    }
}

/// A connection with or without TLS.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(task, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(task, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(task, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(task, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(task),
            Self::Tls(stream) => Pin::new(stream).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(task),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(task),
        }
    }
}
