//! Listening sockets: one per worker, all on one address, shared with nobody else.
//!
//! On TCP every worker gets a socket of its own (`SO_REUSEPORT`), so the kernel spreads connections
//! and no worker wakes for another's. That option would also let a second gateway of the same user
//! take half of the traffic in silence. So the first socket is bound and listening *without* it,
//! which the kernel grants to one process only, and joins the group afterwards. UDP, for HTTP/3, is
//! the same: the kernel spreads datagrams by the client's address.

use std::{
    io, mem,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};
use weir_config::model::Bind;

use super::stream::Listener;

/// Connections that may wait to be accepted, per socket; the kernel lowers it to `somaxconn`.
const BACKLOG: i32 = 4096;

/// Longest path of a Unix socket that the kernel takes, in bytes (`sun_path` less its NUL).
const UNIX_PATH_BYTES: usize = 107;

/// A listening socket that no runtime knows yet, to be carried to its worker's thread.
#[derive(Debug)]
pub enum ListenSocket {
    /// TCP, in a `SO_REUSEPORT` group with its siblings.
    Tcp(std::net::TcpListener),
    /// Unix, a clone of its siblings' descriptor.
    Unix(std::os::unix::net::UnixListener),
}

impl ListenSocket {
    /// Registers the socket with the runtime of the calling thread.
    ///
    /// # Errors
    /// What the kernel says to `epoll_ctl`.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as all of tokio's sockets do.
    pub fn register(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(socket) => tokio::net::TcpListener::from_std(socket).map(Listener::Tcp),
            Self::Unix(socket) => tokio::net::UnixListener::from_std(socket).map(Listener::Unix),
        }
    }
}

/// An address that is bound. Dropping it removes the file of a Unix socket; the sockets themselves
/// close with their workers.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<ListenSocket>,
    address: Bind,
    _file: Option<SocketFile>,
}

impl Bound {
    /// The address as bound: a port that was written as 0 is the one the kernel chose.
    pub fn address(&self) -> &Bind {
        &self.address
    }

    /// The port; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        self.address.port()
    }

    /// Hands out the sockets, one per worker; a second call finds none.
    pub fn take_sockets(&mut self) -> Vec<ListenSocket> {
        mem::take(&mut self.sockets)
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket listens there.
    #[error("cannot listen on {0}: the address is in use by another process or listener")]
    InUse(Bind),
    /// The kernel forbids it: a low port, or a directory that is not ours.
    #[error("cannot listen on {bind}: permission denied{hint}")]
    Denied {
        /// What was to be bound.
        bind: Bind,
        /// What would help, with its leading punctuation.
        hint: &'static str,
    },
    /// No network interface has the address.
    #[error("cannot listen on {0}: this machine has no such address")]
    NotHere(Bind),
    /// Something else than a socket is at the path.
    #[error("cannot listen on {0}: the path exists and is not a socket")]
    NotASocket(Bind),
    /// The path is longer than the kernel takes.
    #[error("cannot listen on {0}: a socket's path may have {UNIX_PATH_BYTES} bytes at most")]
    PathTooLong(Bind),
    /// Any of these, of the UDP port beside a TCP one.
    #[error("{0} (UDP, for HTTP/3)")]
    Udp(Box<Self>),
    /// We ourselves still have it: QUIC needs the socket until its last connection has ended.
    #[error("cannot listen on {0} yet: connections from before end there; reload again then")]
    Parting(Bind),
    /// Anything else.
    #[error("cannot listen on {bind}: {source}")]
    Other {
        /// What was to be bound.
        bind: Bind,
        /// What the kernel said.
        source: io::Error,
    },
}

impl BindError {
    fn new(bind: &Bind, source: io::Error) -> Self {
        let bind = bind.clone();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(bind),
            io::ErrorKind::AddrNotAvailable => Self::NotHere(bind),
            io::ErrorKind::PermissionDenied => {
                let hint = match &bind {
                    Bind::Any(1..1024) => LOW_PORT,
                    Bind::Tcp(address) if address.port() < 1024 => LOW_PORT,
                    Bind::Unix(_) => ": its directory must be writable for the gateway's user",
                    Bind::Any(_) | Bind::Tcp(_) => "",
                };
                Self::Denied { bind, hint }
            }
            _ => Self::Other { bind, source },
        }
    }
}

impl BindError {
    /// Whether somebody else has the address.
    pub fn is_in_use(&self) -> bool {
        match self {
            Self::InUse(_) => true,
            Self::Udp(inner) => inner.is_in_use(),
            _ => false,
        }
    }
}

const LOW_PORT: &str = ": ports below 1024 need CAP_NET_BIND_SERVICE \
                        (or a lower net.ipv4.ip_unprivileged_port_start)";

/// Binds `bind` and listens, with one socket for each of `workers` (at least one).
///
/// # Errors
/// Any [`BindError`]; nothing stays bound then.
pub fn bind(bind: &Bind, workers: usize) -> Result<Bound, BindError> {
    let workers = workers.max(1);
    match bind {
        Bind::Any(port) => {
            let (sockets, address) =
                bind_any(*port, workers).map_err(|e| BindError::new(bind, e))?;
            Ok(Bound { sockets, address: Bind::Any(address.port()), _file: None })
        }
        Bind::Tcp(address) => {
            let (sockets, address) =
                bind_tcp(*address, workers, true).map_err(|e| BindError::new(bind, e))?;
            Ok(Bound { sockets, address: Bind::Tcp(address), _file: None })
        }
        Bind::Unix(path) => bind_unix(bind, path, workers),
    }
}

/// Binds UDP at the address of `bind` and `port`, which is what TCP got there or what is written,
/// with one socket for each of `workers` (at least one).
///
/// # Errors
/// [`BindError::Udp`]; nothing stays bound then.
pub fn bind_udp(bind: &Bind, port: u16, workers: usize) -> Result<Vec<UdpSocket>, BindError> {
    let workers = workers.max(1);
    let bind = bind.with_port(port);
    let bound = match &bind {
        Bind::Any(port) => match open_udp((Ipv6Addr::UNSPECIFIED, *port).into(), workers, false) {
            Err(error) if lacks_ipv6(&error) => {
                open_udp((Ipv4Addr::UNSPECIFIED, *port).into(), workers, false)
            }
            bound => bound,
        },
        Bind::Tcp(address) => open_udp(*address, workers, true),
        Bind::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    };
    bound.map_err(|error| BindError::Udp(Box::new(BindError::new(&bind, error))))
}

/// Bytes that may wait in a UDP socket, in either direction: some milliseconds of a fast link. The
/// kernel lowers it to `rmem_max` and `wmem_max`.
const UDP_BUFFER: usize = 2 << 20;

fn open_udp(address: SocketAddr, workers: usize, only_v6: bool) -> io::Result<Vec<UdpSocket>> {
    let open = |address: SocketAddr, shared| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(only_v6)?;
        }
        socket.set_nonblocking(true)?;
        // Less room is no reason to refuse service.
        let _ = socket.set_recv_buffer_size(UDP_BUFFER);
        let _ = socket.set_send_buffer_size(UDP_BUFFER);
        socket.set_reuse_port(shared)?;
        socket.bind(&address.into())?;
        socket.set_reuse_port(true)?;
        Ok::<_, io::Error>(UdpSocket::from(socket))
    };
    let first = open(address, false)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(open(address, true)?);
    }
    Ok(sockets)
}

/// Every address of the machine: one dual-stack socket, or IPv4 alone where IPv6 is compiled out
/// (no such family) or switched off (no such address).
fn bind_any(port: u16, workers: usize) -> io::Result<(Vec<ListenSocket>, SocketAddr)> {
    match bind_tcp((Ipv6Addr::UNSPECIFIED, port).into(), workers, false) {
        Err(error) if lacks_ipv6(&error) => {
            bind_tcp((Ipv4Addr::UNSPECIFIED, port).into(), workers, false)
        }
        bound => bound,
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

fn bind_tcp(
    address: SocketAddr,
    workers: usize,
    only_v6: bool,
) -> io::Result<(Vec<ListenSocket>, SocketAddr)> {
    let first = open_tcp(address, only_v6)?;
    first.bind(&address.into())?;
    first.listen(BACKLOG)?;
    first.set_reuse_port(true)?;
    let first = std::net::TcpListener::from(first);
    let address = first.local_addr()?;
    let mut sockets = vec![ListenSocket::Tcp(first)];
    for _ in 1..workers {
        let next = open_tcp(address, only_v6)?;
        next.set_reuse_port(true)?;
        next.bind(&address.into())?;
        next.listen(BACKLOG)?;
        sockets.push(ListenSocket::Tcp(next.into()));
    }
    Ok((sockets, address))
}

fn open_tcp(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Connections of a gateway that just stopped linger in TIME_WAIT and must not block its return.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn bind_unix(bind: &Bind, path: &Path, workers: usize) -> Result<Bound, BindError> {
    if path.as_os_str().len() > UNIX_PATH_BYTES {
        return Err(BindError::PathTooLong(bind.clone()));
    }
    clear_stale(bind, path)?;
    let (sockets, file) = open_unix(path, workers).map_err(|e| BindError::new(bind, e))?;
    Ok(Bound { sockets, address: bind.clone(), _file: Some(file) })
}

fn open_unix(path: &Path, workers: usize) -> io::Result<(Vec<ListenSocket>, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::claim(path)?;
    socket.listen(BACKLOG)?;
    let first = std::os::unix::net::UnixListener::from(socket);
    let mut sockets = Vec::with_capacity(workers);
    for _ in 1..workers {
        sockets.push(ListenSocket::Unix(first.try_clone()?));
    }
    sockets.push(ListenSocket::Unix(first));
    Ok((sockets, file))
}

/// Unlinks a socket file on which nobody listens any more (its process was killed).
fn clear_stale(bind: &Bind, path: &Path) -> Result<(), BindError> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BindError::new(bind, error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotASocket(bind.clone()));
        }
        Ok(_) => {}
    }
    match probe_unix(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|e| BindError::new(bind, e))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A full backlog (EAGAIN) is somebody who listens, too.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(BindError::InUse(bind.clone()))
        }
        Err(error) => Err(BindError::new(bind, error)),
        Ok(()) => Err(BindError::InUse(bind.clone())),
    }
}

fn probe_unix(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// The file of a bound Unix socket, removed on drop unless somebody else's stands there by then.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    fn claim(path: &Path) -> io::Result<Self> {
        let found = path.symlink_metadata()?;
        Ok(Self { path: path.to_owned(), identity: (found.dev(), found.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = self
            .path
            .symlink_metadata()
            .is_ok_and(|found| (found.dev(), found.ino()) == self.identity);
        if ours {
            // A directory that became read-only leaves a stale file, which the next start clears.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
