//! The upstream's end of a tunnel: a byte stream, whatever carries it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{h2::StreamCount, h3::H3Wire, pool::OpenConnection};
use crate::{
    error::Error,
    http::body::take_window,
    listen::{prefixed::Prefixed, transport::Transport},
};

/// See the module's page. Dropped before both directions have ended, it is closed in a way that
/// does not look like an end.
#[derive(Debug)]
pub(crate) enum Wire {
    /// A connection that HTTP/1.1 has left with a 101.
    Socket {
        /// The connection, with what the endpoint sent behind its 101.
        stream: Prefixed<Transport>,
        /// It still counts as one.
        _open: OpenConnection,
    },
    /// A connection that was opened for a CONNECT.
    Raw(RawWire),
    /// A stream of HTTP/2.
    H2(Box<H2Wire>),
    /// A stream of HTTP/3.
    H3(Box<H3Wire>),
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Wire::Socket { stream: $stream, .. } => $call,
            Wire::Raw($stream) => $call,
            Wire::H2($stream) => $call,
            Wire::H3($stream) => $call,
        }
    };
}

impl Wire {
    /// What it means for the client that the endpoint broke it off.
    pub(crate) const fn broken(&self) -> Error {
        Error::TunnelBroken { connect: matches!(self, Self::Raw(_)) }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// A connection that carries bytes and nothing else. Dropped before both directions have ended it
/// is reset: the bytes have no framing that would show what is missing (RFC 9113 section 8.5, RFC
/// 9114 section 4.4).
#[derive(Debug)]
pub(crate) struct RawWire {
    stream: Transport,
    /// The endpoint has sent its last.
    ended: bool,
    /// We have.
    shut: bool,
    /// It counts as one.
    _open: OpenConnection,
}

impl RawWire {
    pub(super) const fn new(stream: Transport, open: OpenConnection) -> Self {
        Self { stream, ended: false, shut: false, _open: open }
    }
}

impl AsyncRead for RawWire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.ended |= buf.filled().len() == before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RawWire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = ready!(Pin::new(&mut this.stream).poll_shutdown(cx));
        this.shut |= shut.is_ok();
        Poll::Ready(shut)
    }
}

impl Drop for RawWire {
    fn drop(&mut self) {
        if !(self.ended && self.shut) {
            self.stream.stream().reset_when_closed();
        }
    }
}

/// A stream that extended CONNECT has made a tunnel (RFC 8441 section 5).
#[derive(Debug)]
pub(crate) struct H2Wire {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// Received and not read yet; the endpoint's window opens as it is read.
    rest: Bytes,
    shut: bool,
    _stream: StreamCount,
}

impl H2Wire {
    pub(super) const fn new(
        send: SendStream<Bytes>,
        receive: RecvStream,
        stream: StreamCount,
    ) -> Self {
        Self { send, receive, rest: Bytes::new(), shut: false, _stream: stream }
    }
}

impl AsyncRead for H2Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(this.receive.poll_data(cx)) {
                Some(Ok(data)) => this.rest = data,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest[..length]);
        this.rest.advance(length);
        take_window(&mut this.receive, length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for H2Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.send.reserve_capacity(buf.len());
        while this.send.capacity() == 0 {
            match ready!(this.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let length = this.send.capacity().min(buf.len());
        let sent = this.send.send_data(Bytes::copy_from_slice(&buf[..length]), false);
        Poll::Ready(sent.map(|()| length).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.shut = true;
        this.send.reserve_capacity(0);
        Poll::Ready(this.send.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}

impl Drop for H2Wire {
    fn drop(&mut self) {
        if !self.shut {
            self.send.send_reset(Reason::CANCEL);
        }
    }
}
