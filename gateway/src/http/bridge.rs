//! A tunnel between a client's stream and the upstream, as the body of a response.
//!
//! CONNECT, extended (RFC 8441, RFC 9220) or not, makes a request's stream the tunnel: what the
//! client sends is the request's body, what it gets is the response's. So the response is a `200`
//! whose body is a [`Bridge`]: reading it carries bytes both ways. While the client has no room for
//! more of it, its adapter polls it aside, and the client's own bytes go on.

use std::{
    future::poll_fn,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http_body::{Body as _, Frame};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::{body::Body, upload::Progress};
use crate::{error::Error, pause::Pause, task, upstream::wire::Wire};

/// Bytes read from the upstream at a time.
const PIECE: usize = 16 * 1024;

/// See the module's page. Dropped, it closes the upstream's end at once.
#[derive(Debug)]
pub(crate) struct Bridge {
    /// `None` once the upstream has sent its last.
    ends: Option<Ends>,
}

#[derive(Debug)]
struct Ends {
    client: Body,
    progress: Rc<Progress>,
    upstream: Wire,
    /// Of the client, not yet taken by the upstream.
    rest: Bytes,
    upward: Upward,
    /// Ends a tunnel on which nothing moves.
    pause: Pause,
}

/// The direction from the client to the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upward {
    Open,
    /// The client has sent its last.
    Closing,
    Closed,
    /// The upstream takes no more; whether that is its end shows when it is read.
    Broken,
}

impl Bridge {
    /// Joins the client's half, counted by `progress`, and the upstream's.
    pub(crate) const fn new(
        client: Body,
        progress: Rc<Progress>,
        upstream: Wire,
        pause: Pause,
    ) -> Self {
        let rest = Bytes::new();
        let upward = Upward::Open;
        Self { ends: Some(Ends { client, progress, upstream, rest, upward, pause }) }
    }

    /// Carries bytes both ways until there is a piece for the client.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(ends) = &mut self.ends else { return Poll::Ready(None) };
        let moved = match ends.poll_up(cx) {
            Ok(moved) => moved,
            Err(error) => return self.fail(error),
        };
        if moved {
            ends.pause.progress();
        }
        match ends.poll_down(cx) {
            Poll::Ready(Ok(Some(data))) => {
                ends.pause.progress();
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Ok(None)) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Err(error)) => self.fail(error),
            Poll::Pending if ends.upward == Upward::Broken => {
                let error = ends.upstream.broken();
                self.fail(error)
            }
            Poll::Pending => {
                ready!(ends.pause.poll_over(cx));
                self.fail(Error::TunnelIdle)
            }
        }
    }

    /// Carries the client's bytes while it takes none; whether some moved.
    ///
    /// # Errors
    /// Those of the body: the tunnel is over.
    pub(crate) fn poll_aside(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let Some(ends) = &mut self.ends else { return Ok(false) };
        let moved = ends.poll_up(cx)?;
        if moved {
            ends.pause.progress();
        }
        if ends.pause.poll_over(cx).is_ready() {
            return Err(Error::TunnelIdle);
        }
        Ok(moved)
    }

    /// Whether the upstream has sent its last.
    pub(crate) const fn is_end_stream(&self) -> bool {
        self.ends.is_none()
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.ends = None;
        Poll::Ready(Some(Err(error)))
    }

    /// The response is over. What the client still sends goes on: the upstream may have closed its
    /// own direction only.
    fn finish(&mut self) {
        let Some(mut ends) = self.ends.take() else { return };
        ends.pause.progress();
        if !matches!(ends.upward, Upward::Closed | Upward::Broken) {
            task::spawn(async move { poll_fn(|cx| ends.poll_rest(cx)).await });
        }
    }
}

/// However it came: nobody takes any more of what the client sends.
impl Drop for Ends {
    fn drop(&mut self) {
        self.progress.end();
    }
}

impl Ends {
    /// Gives the upstream what the client sends; whether some of it moved.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let mut moved = false;
        loop {
            if self.rest.is_empty() {
                match self.upward {
                    Upward::Open => {}
                    Upward::Closing => {
                        if Pin::new(&mut self.upstream).poll_shutdown(cx).is_ready() {
                            self.close(Upward::Closed);
                        }
                        return Ok(moved);
                    }
                    Upward::Closed | Upward::Broken => return Ok(moved),
                }
                match Pin::new(&mut self.client).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => self.take(frame),
                    Poll::Ready(Some(Err(error))) => return Err(error),
                    Poll::Ready(None) => self.upward = Upward::Closing,
                    Poll::Pending => {
                        // What TLS holds back must go out before we wait.
                        let _ = Pin::new(&mut self.upstream).poll_flush(cx);
                        return Ok(moved);
                    }
                }
                moved = true;
                continue;
            }
            match Pin::new(&mut self.upstream).poll_write(cx, &self.rest) {
                Poll::Ready(Ok(length)) if length > 0 => {
                    self.rest.advance(length);
                    moved = true;
                }
                Poll::Ready(_) => {
                    self.rest = Bytes::new();
                    self.close(Upward::Broken);
                }
                Poll::Pending => return Ok(moved),
            }
        }
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        // Trailers mean nothing in a tunnel.
        if let Ok(data) = frame.into_data() {
            self.progress.bytes.set(self.progress.bytes.get() + data.len() as u64);
            self.rest = data;
        }
    }

    fn close(&mut self, how: Upward) {
        self.upward = how;
        self.progress.end();
    }

    /// Reads a piece for the client; `None` is the end. No buffer waits for it: of many tunnels
    /// most are idle.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        let mut space = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut space);
        let read = ready!(Pin::new(&mut self.upstream).poll_read(cx, &mut piece));
        let piece = piece.filled();
        Poll::Ready(match read {
            Ok(()) => Ok((!piece.is_empty()).then(|| Bytes::copy_from_slice(piece))),
            Err(_) => Err(self.upstream.broken()),
        })
    }

    /// Carries what the client sends after the upstream's last.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_up(cx) {
            Ok(true) => self.pause.progress(),
            Ok(false) => {}
            Err(_) => return Poll::Ready(()),
        }
        if matches!(self.upward, Upward::Closed | Upward::Broken) {
            return Poll::Ready(());
        }
        self.pause.poll_over(cx)
    }
}
