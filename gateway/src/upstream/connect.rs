//! Opening a connection to an endpoint: look-up, TCP or Unix socket, TLS; or look-up and QUIC.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, SystemTime},
};

use smallvec::SmallVec;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use weir_config::model::{self, Address, ClientTls, UpstreamProtocol};

use super::{
    h3::H3Connection,
    pool::OpenConnection,
    race::{self, MOST_ADDRESSES},
    tls::{self, UpstreamTls},
};
use crate::{
    error::Error,
    listen::{stream::Stream, transport::Transport},
    quic::Dialer,
};

/// Silence at which a QUIC peer is asked for a sign of life, at least: more than any round trip.
const LEAST_SILENCE: Duration = Duration::from_secs(1);

/// How connections of one upstream are opened. Connections outlive a reload that leaves it equal.
#[derive(Debug)]
pub struct Connector {
    /// Version to speak; `Auto` asks by ALPN.
    pub protocol: UpstreamProtocol,
    /// TLS, where the endpoints speak it.
    pub tls: Option<UpstreamTls>,
    pub(super) timeout: Duration,
    written: Option<ClientTls>,
    files: FileStamps,
}

/// Files by name, length and time of change.
pub type FileStamps = Vec<(PathBuf, Option<(u64, SystemTime)>)>;

impl Connector {
    /// A connector for `config`, with what its TLS settings and their files came to.
    pub fn new(config: &model::Upstream, tls: Option<UpstreamTls>, files: FileStamps) -> Self {
        let (protocol, timeout) = (config.protocol, config.connect_timeout);
        Self { protocol, tls, timeout, written: config.tls.clone(), files }
    }

    /// A connector for what is no upstream.
    pub(crate) const fn bare(
        protocol: UpstreamProtocol,
        tls: Option<UpstreamTls>,
        timeout: Duration,
    ) -> Self {
        Self { protocol, tls, timeout, written: None, files: Vec::new() }
    }

    /// A connector of HTTP/1.1 for a server that is no upstream, with what its TLS came to.
    pub(crate) fn single(
        tls: Option<(ClientTls, UpstreamTls)>,
        files: FileStamps,
        timeout: Duration,
    ) -> Self {
        let (written, tls) = tls.unzip();
        Self { protocol: UpstreamProtocol::H1, tls, timeout, written, files }
    }

    /// Whether the files of both are the same, and unchanged.
    pub(crate) fn has_files_of(&self, other: &Self) -> bool {
        self.written == other.written && self.files == other.files
    }

    /// The present state of the files that `written` names.
    pub fn stamp_files(written: Option<&ClientTls>) -> FileStamps {
        let stamp = |path: &Path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.len(), meta.modified().ok()?))
        };
        let files = written.into_iter().flat_map(tls::files);
        files.map(|path| (path.to_owned(), stamp(path))).collect()
    }

    /// Whether a connector for `config` and these files would be this one again.
    pub fn equals(&self, config: &model::Upstream, files: &FileStamps) -> bool {
        self.protocol == config.protocol
            && self.timeout == config.connect_timeout
            && self.written == config.tls
            && self.files == *files
    }
}

/// A fresh stream and what it speaks.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) transport: Transport,
    pub(crate) h2: bool,
}

impl Connector {
    /// Opens a connection.
    pub(crate) async fn connect(&self, address: &Address) -> Result<Opened, Error> {
        tokio::time::timeout(self.timeout, self.open(address))
            .await
            .unwrap_or(Err(Error::ConnectTimeout))
    }

    async fn open(&self, address: &Address) -> Result<Opened, Error> {
        let stream = dial(address, self.timeout).await?;
        let Some(tls) = &self.tls else {
            let h2 = self.protocol == UpstreamProtocol::H2;
            return Ok(Opened { transport: Transport::clear(stream), h2 });
        };
        let name = tls.name_for(address).map_err(|_| Error::UpstreamTls)?;
        let stream =
            tls.connector().connect(name, stream).await.map_err(|error| tls_error(&error))?;
        let h2 = match self.protocol {
            UpstreamProtocol::H1 | UpstreamProtocol::H3 => false,
            UpstreamProtocol::H2 => true,
            UpstreamProtocol::Auto => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        };
        Ok(Opened { transport: Transport::ClientTls(Box::new(stream)), h2 })
    }
}

impl Connector {
    /// Opens a connection over QUIC, to the endpoint's own port or another.
    pub(crate) async fn connect_h3(
        &self,
        address: &Address,
        port: Option<u16>,
        dialer: &Rc<Dialer>,
        open: OpenConnection,
    ) -> Result<Rc<H3Connection>, Error> {
        let opening = self.open_h3(address, port, dialer, Rc::new(open));
        tokio::time::timeout(self.timeout, opening).await.unwrap_or(Err(Error::ConnectTimeout))
    }

    async fn open_h3(
        &self,
        address: &Address,
        port: Option<u16>,
        dialer: &Rc<Dialer>,
        open: Rc<OpenConnection>,
    ) -> Result<Rc<H3Connection>, Error> {
        let tls = self.tls.as_ref().ok_or(Error::UpstreamTls)?;
        let quic = tls.quic().ok_or(Error::UpstreamTls)?;
        let name = tls.name_for(address).map_err(|_| Error::UpstreamTls)?;
        let mut remotes = look_up(address).await?;
        if let Some(port) = port {
            remotes.iter_mut().for_each(|remote| remote.set_port(port));
        }
        let silence = (self.timeout / 2).max(LEAST_SILENCE);
        race::first(&remotes, self.timeout, async |remote| {
            let connection = dialer.connect(remote, &name.to_str(), quic.clone())?;
            H3Connection::handshake(connection, silence, open.clone()).await
        })
        .await
    }
}

/// The addresses that are tried.
async fn look_up(address: &Address) -> Result<SmallVec<[SocketAddr; MOST_ADDRESSES]>, Error> {
    match address {
        Address::Tcp(address) => Ok(SmallVec::from_slice(&[*address])),
        Address::Name(host, port) => {
            let found = lookup_host((host.as_str(), *port)).await;
            Ok(race::in_turns(found.map_err(|_| Error::LookupFailed)?))
        }
        Address::Unix(_) => Err(Error::ConnectFailed),
    }
}

async fn dial(address: &Address, limit: Duration) -> Result<Stream, Error> {
    match address {
        Address::Tcp(address) => tcp(TcpStream::connect(address).await),
        Address::Unix(path) => {
            UnixStream::connect(path).await.map(Stream::Unix).map_err(|error| connect_error(&error))
        }
        Address::Name(..) => {
            let remotes = look_up(address).await?;
            race::first(&remotes, limit, async |remote| tcp(TcpStream::connect(remote).await)).await
        }
    }
}

fn tcp(connected: io::Result<TcpStream>) -> Result<Stream, Error> {
    let stream = connected.map_err(|error| connect_error(&error))?;
    // Fails only on a connection that is dead already, which the first write shows.
    let _ = stream.set_nodelay(true);
    Ok(Stream::Tcp(stream))
}

fn connect_error(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectRefused,
        io::ErrorKind::TimedOut => Error::ConnectTimeout,
        _ => Error::ConnectFailed,
    }
}

fn tls_error(error: &io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::UpstreamCertificate
        }
        _ => Error::UpstreamTls,
    }
}
