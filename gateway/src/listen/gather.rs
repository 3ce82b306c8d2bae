//! One write for many frames.
//!
//! The h2 crate flushes after each DATA frame that carries a chained payload, so that k streams
//! that are ready cost k system calls. [`Gather`] stands between it and the socket: writes go into
//! a buffer, a flush answers at once, and whoever drives the connection writes the buffer out once
//! after each poll ([`Shared::poll_write_out`]). Past [`HIGH_WATER`] a write pends, so that a slow
//! peer holds back its own streams and nobody's memory grows. Reads pass straight through.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::transport::Transport;

/// Bytes gathered before a writer must wait for the socket.
const HIGH_WATER: usize = 128 * 1024;
/// A buffer that has grown past this is given back once it is empty.
const KEEP: usize = 64 * 1024;

/// The socket and what is gathered for it, shared by the protocol machine and its driver.
#[derive(Debug)]
pub(crate) struct Shared {
    transport: RefCell<Transport>,
    buffer: RefCell<BytesMut>,
    /// Whether TLS may hold records that the socket has not taken.
    unflushed: Cell<bool>,
    /// Bytes read since the last look; the driver uses it to see that the peer is alive.
    pub(crate) read: Cell<u64>,
    /// Bytes that reached the socket.
    pub(crate) written: Cell<u64>,
}

impl Shared {
    /// Writes all that is gathered; pends while the socket is full.
    pub(crate) fn poll_write_out(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_blocked() {
            return Poll::Ready(Ok(()));
        }
        let mut buffer = self.buffer.borrow_mut();
        let mut transport = self.transport.borrow_mut();
        while !buffer.is_empty() {
            let n = ready!(Pin::new(&mut *transport).poll_write(cx, &buffer))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            buffer.advance(n);
            self.unflushed.set(true);
            self.written.set(self.written.get() + n as u64);
        }
        if buffer.capacity() > KEEP {
            *buffer = BytesMut::new();
        }
        ready!(Pin::new(&mut *transport).poll_flush(cx))?;
        self.unflushed.set(false);
        Poll::Ready(Ok(()))
    }

    /// The stream, once nobody else uses it.
    pub(crate) fn into_transport(self) -> Transport {
        self.transport.into_inner()
    }

    /// Whether bytes wait for the socket, gathered or within TLS.
    pub(crate) fn is_blocked(&self) -> bool {
        self.unflushed.get() || !self.buffer.borrow().is_empty()
    }
}

/// What the h2 crate is given as its socket.
#[derive(Debug)]
pub(crate) struct Gather(Rc<Shared>);

impl Gather {
    /// Wraps a stream; the second half drives the writes.
    pub(crate) fn new(transport: Transport) -> (Self, Rc<Shared>) {
        let shared = Rc::new(Shared {
            transport: RefCell::new(transport),
            buffer: RefCell::new(BytesMut::new()),
            unflushed: Cell::new(false),
            read: Cell::new(0),
            written: Cell::new(0),
        });
        (Self(shared.clone()), shared)
    }
}

impl AsyncRead for Gather {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut *self.0.transport.borrow_mut()).poll_read(cx, buf))?;
        self.0.read.set(self.0.read.get() + (buf.filled().len() - before) as u64);
        Poll::Ready(Ok(()))
    }
}

impl Gather {
    /// Makes room for another write, pending while a full buffer cannot drain.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.buffer.borrow().len() >= HIGH_WATER {
            ready!(self.0.poll_write_out(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gather {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        self.0.buffer.borrow_mut().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        let mut buffer = self.0.buffer.borrow_mut();
        let before = buffer.len();
        for slice in bufs {
            buffer.extend_from_slice(slice);
        }
        Poll::Ready(Ok(buffer.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.poll_write_out(cx))?;
        Pin::new(&mut *self.0.transport.borrow_mut()).poll_shutdown(cx)
    }
}
