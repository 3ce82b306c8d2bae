//! One type for what a listener accepts, whether it came over TCP or a Unix socket.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

/// Connections taken from a socket that closes.
const MOST: usize = 4096;

/// A listening socket within a runtime.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix.
    Unix(UnixListener),
}

impl Listener {
    /// The next connection and the address of its other end: `None` over a Unix socket, and an
    /// IPv4 address is one even on a dual-stack socket. `TCP_NODELAY` is set. Dropping the future
    /// loses no connection.
    ///
    /// # Errors
    /// Only what concerns the listener or the process (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`):
    /// pause before the next call. Connections that died while they waited are passed over.
    pub async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        loop {
            match self.accept_once().await {
                Err(error) if concerns_one_connection(&error) => {}
                accepted => return accepted,
            }
        }
    }

    /// Closes the socket and gives the connections that waited in it, which would be reset with it.
    /// Asks the kernel, for the runtime does not know yet of the latest.
    pub(super) fn into_waiting(self) -> Vec<(Stream, Option<SocketAddr>)> {
        let mut waiting = Vec::new();
        match self {
            Self::Tcp(listener) => {
                let Ok(listener) = listener.into_std() else { return waiting };
                refuse_newcomers(&listener);
                while let (Ok((stream, peer)), true) = (listener.accept(), waiting.len() < MOST) {
                    let _ = stream.set_nodelay(true);
                    let stream =
                        stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    waiting.extend(stream.map(|s| (Stream::Tcp(s), Some(canonical(peer)))));
                }
            }
            Self::Unix(listener) => {
                let Ok(listener) = listener.into_std() else { return waiting };
                while let (Ok((stream, _)), true) = (listener.accept(), waiting.len() < MOST) {
                    let stream =
                        stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
                    waiting.extend(stream.map(|s| (Stream::Unix(s), None)));
                }
            }
        }
        waiting
    }

    async fn accept_once(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Fails only on a connection that is already reset, which its reader will see.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(canonical(peer))))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), None))
            }
        }
    }
}

/// Makes the kernel drop what is sent to the listening socket, so that no connection comes in
/// between the last accept and the close. Whoever knocks knocks again a second later, and learns
/// then that nobody listens. Connections that were taken before are not concerned.
fn refuse_newcomers(listener: &std::net::TcpListener) {
    #[cfg(target_os = "linux")]
    {
        /// `BPF_RET | BPF_K`: keep so many bytes of each packet.
        const RETURN: u16 = 0x06;
        let nothing = socket2::SockFilter::new(RETURN, 0, 0, 0);
        // Without it a few microseconds are left in which a connection can be lost.
        let _ = socket2::SockRef::from(listener).attach_filter(&[nothing]);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = listener;
}

/// Turns an IPv4-mapped IPv6 address into the IPv4 address it is.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// accept(2) reports pending network errors of the connection as its own.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::TimedOut
    )
}

/// An accepted connection.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// Unix.
    Unix(UnixStream),
}

impl Stream {
    /// The address the client connected to; `None` over a Unix socket or when the connection died.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok().map(canonical),
            Self::Unix(_) => None,
        }
    }

    /// Whether it is open and nothing is there to be read; if there is, a byte of it is lost.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
        };
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Makes the end of the connection look like none: over TCP, closing resets it.
    pub(crate) fn reset_when_closed(&self) {
        if let Self::Tcp(stream) = self {
            // Fails only on a connection that is dead already.
            let _ = stream.set_zero_linger();
        }
    }

    /// Ready once the connection has bytes or its end to be read; holds no buffer meanwhile.
    ///
    /// # Errors
    /// What the runtime says when it shuts down.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
