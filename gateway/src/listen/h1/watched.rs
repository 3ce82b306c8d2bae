//! hyper's socket: notes what goes by, and writes interim responses between.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Activity, early::Early};
use crate::listen::{connection::Connection, transport::Transport};

/// hyper's socket.
pub(super) struct Watched {
    pub(super) transport: Transport,
    /// Read from the socket before this machine began.
    pub(super) early: Bytes,
    pub(super) connection: Rc<Connection>,
    pub(super) activity: Rc<Activity>,
}

impl Watched {
    /// Bytes that come while no response is due are hyper's own refusal of a request that never
    /// reached the service. They are dropped: ours says more.
    fn take_refusal(&self, bytes: &[u8]) -> bool {
        if self.connection.busy.get() > 0 || self.connection.unflushed.get() {
            return false;
        }
        let status = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        self.activity.refused.set(status.and_then(|digits| digits.parse().ok()).or(Some(400)));
        true
    }

    /// Writes interim responses: the rest of one, or all that wait.
    fn poll_early(&mut self, all: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let early = &self.activity.early;
        let poll = if all { Early::poll_write_out } else { Early::poll_rest };
        let written = poll(early, &mut self.transport, cx);
        self.activity.blocked.set(written.is_pending());
        written
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.activity.blocked.set(written.is_pending());
        if let Poll::Ready(Ok(n)) = written {
            self.activity.written.set(self.activity.written.get() + n as u64);
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if this.early.is_empty() {
            ready!(Pin::new(&mut this.transport).poll_read(cx, buf))?;
        } else {
            let early = this.early.split_to(this.early.len().min(buf.remaining()));
            buf.put_slice(&early);
        }
        if buf.filled().len() > before && this.connection.busy.get() == 0 {
            this.activity.head_begun.set(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.take_refusal(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.poll_early(false, cx))?;
        let written = Pin::new(&mut this.transport).poll_write(cx, buf);
        this.note(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bufs.first().is_some_and(|first| this.take_refusal(first)) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        ready!(this.poll_early(false, cx))?;
        let written = Pin::new(&mut this.transport).poll_write_vectored(cx, bufs);
        this.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_early(true, cx))?;
        let flushed = Pin::new(&mut this.transport).poll_flush(cx);
        // TLS takes more than the socket does: its rest waits for the client to read as well.
        this.activity.blocked.set(flushed.is_pending());
        ready!(flushed)?;
        if this.connection.busy.get() == 0 {
            this.connection.unflushed.set(false);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
