//! Two byte streams joined after a 101 or after CONNECT: WebSocket, other upgrades, bare bytes.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    body::{End as _, Ending},
    exchange::Exchange,
};
use crate::{error::Error, listen::transport::Transport, pause::Pause, upstream::wire::Wire};

/// Bytes on their way in one direction; a full buffer holds back its reader.
const BUFFER: usize = 16 * 1024;

/// The upstream's half of a tunnel, waiting for the client's.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// The upstream's end.
    pub(crate) upstream: Wire,
    /// The request that became the tunnel; it ends with it.
    pub(crate) exchange: Box<Exchange>,
    /// Ends a tunnel on which nothing moves.
    pub(crate) pause: Pause,
}

impl Tunnel {
    /// Carries bytes both ways until both sides have ended, one has failed, nothing has moved for
    /// too long, or the gateway's drain is over.
    pub(crate) async fn run(mut self, mut client: Transport, early: Bytes) {
        let mut down = Flow::new(&[]);
        let mut up = Flow::new(&early);
        let connection = self.exchange.connection.clone();
        let broken = self.upstream.broken();
        let ending = poll_fn(|cx| {
            connection.register(cx);
            let before = down.moved + up.moved;
            let down_end = down.poll(&mut self.upstream, &mut client, cx);
            let up_end = up.poll(&mut client, &mut self.upstream, cx);
            if down.moved + up.moved > before {
                self.pause.progress();
            }
            match (down_end, up_end) {
                (Poll::Ready(Err(())), _) => return Poll::Ready(Some(broken)),
                (_, Poll::Ready(Err(()))) => return Poll::Ready(Some(Error::ClientGone)),
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(None),
                _ => {}
            }
            self.pause.poll_over(cx).map(|()| Some(Error::TunnelIdle))
        })
        .await;
        if ending.is_some() && matches!(self.upstream, Wire::Raw(_)) {
            client.stream().reset_when_closed();
        }
        self.exchange.sent += down.moved;
        if let Some(upload) = &self.exchange.upload {
            upload.bytes.set(up.moved);
        }
        self.exchange.end(ending.map_or(Ending::Completed, Ending::Failed));
    }
}

/// One direction.
struct Flow {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    moved: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Closing,
    Closed,
}

impl Flow {
    fn new(early: &[u8]) -> Self {
        let mut buffer = vec![0; BUFFER.max(early.len())].into_boxed_slice();
        buffer[..early.len()].copy_from_slice(early);
        Self { buffer, start: 0, end: early.len(), moved: 0, state: State::Reading }
    }

    fn poll(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ()>> {
        loop {
            while self.start < self.end {
                let written =
                    ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer[self.start..self.end]));
                match written {
                    Ok(n) if n > 0 => {
                        self.start += n;
                        self.moved += n as u64;
                    }
                    _ => return Poll::Ready(Err(())),
                }
            }
            match self.state {
                State::Closed => return Poll::Ready(Ok(())),
                State::Closing => {
                    let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                    self.state = State::Closed;
                }
                State::Reading => {
                    let read = self.poll_fill(from, cx);
                    if read.is_pending() {
                        // What TLS holds back must go out before we wait.
                        let _ = Pin::new(&mut *to).poll_flush(cx);
                    }
                    ready!(read)?;
                }
            }
        }
    }

    fn poll_fill(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ()>> {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        match ready!(Pin::new(from).poll_read(cx, &mut buffer)) {
            Ok(()) => {
                (self.start, self.end) = (0, buffer.filled().len());
                if self.end == 0 {
                    self.state = State::Closing;
                }
                Poll::Ready(Ok(()))
            }
            Err(_) => Poll::Ready(Err(())),
        }
    }
}
