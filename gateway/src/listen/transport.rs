//! One byte stream, whatever it runs over: TCP or a Unix socket, clear or TLS, accepted or opened.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{client, server};

use super::{prefixed::Prefixed, stream::Stream};

/// A connected byte stream.
#[derive(Debug)]
pub(crate) enum Transport {
    /// No TLS.
    Clear(Prefixed<Stream>),
    /// TLS that a listener ends.
    ServerTls(Box<server::TlsStream<Prefixed<Stream>>>),
    /// TLS towards an upstream.
    ClientTls(Box<client::TlsStream<Stream>>),
}

impl Transport {
    /// A clear stream with nothing read yet.
    pub(crate) fn clear(stream: Stream) -> Self {
        Self::Clear(Prefixed::new(Bytes::new(), stream))
    }

    /// Whether it is open and has nothing to say; if it has, that may be lost. Costs no system call
    /// while the socket is quiet.
    pub(crate) fn is_quiet(&mut self) -> bool {
        if let Self::Clear(inner) = self {
            return !inner.is_prefixed() && inner.inner().is_quiet();
        }
        // Not the bare socket is asked: TLS may hold something already decrypted.
        let mut byte = [0];
        let mut surplus = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(self).poll_read(&mut cx, &mut surplus).is_pending()
    }

    /// The socket under it all.
    pub(crate) fn stream(&self) -> &Stream {
        match self {
            Self::Clear(inner) => inner.inner(),
            Self::ServerTls(inner) => inner.get_ref().0.inner(),
            Self::ClientTls(inner) => inner.get_ref().0,
        }
    }
}

macro_rules! each {
    ($self:expr, $inner:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Clear($inner) => $call,
            Transport::ServerTls($inner) => $call,
            Transport::ClientTls($inner) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, inner => Pin::new(inner).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, inner => Pin::new(inner).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}
