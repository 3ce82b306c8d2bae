//! A body on its way through an encoder.
//!
//! What the upstream has sent goes out as soon as it has nothing more ready: a stream is not held
//! back. A turn codes [`TURN`] bytes at most, so that other requests of the worker have theirs.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::{Plain, encoder::Then, pool::Lease};
use crate::{
    error::Error,
    http::body::{Body, Pourable},
};

/// Bytes that are coded at once.
const SLICE: usize = 32 << 10;
/// Bytes after which others have their turn.
const TURN: usize = 64 << 10;
/// Room that a piece of output is given at first.
const ROOM: usize = 8 << 10;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Coded {
    inner: Body,
    state: State,
    /// What was read and not coded yet.
    rest: Bytes,
    /// Whether the encoder holds something back.
    holds: bool,
    /// Bytes coded in this turn.
    worked: usize,
    plain: Plain,
}

#[derive(Debug)]
enum State {
    Open(Lease),
    /// All is coded; the trailers are left.
    Trailers(HeaderMap),
    Over,
}

impl Coded {
    pub(super) const fn new(inner: Body, lease: Lease, plain: Plain) -> Self {
        let state = State::Open(lease);
        Self { inner, state, rest: Bytes::new(), holds: false, worked: 0, plain }
    }

    /// Codes the next slice of what was read. Empty when all of it stays in the encoder for now.
    fn code(&mut self, then: Then) -> Result<Bytes, Error> {
        let State::Open(lease) = &mut self.state else { return Err(Error::Bug) };
        let piece = self.rest.split_to(self.rest.len().min(SLICE));
        self.worked += piece.len();
        self.plain.set(self.plain.get() + piece.len() as u64);
        let is_last = self.rest.is_empty();
        let then = match then {
            _ if is_last && then != Then::More => then,
            _ if self.worked >= TURN && lease.gathers() => Then::Flush,
            _ => Then::More,
        };
        let mut out = Vec::with_capacity(ROOM.min(piece.len() + 64));
        let encoder = lease.encoder().map_err(|_| Error::Bug)?;
        encoder.push(&piece, then, &mut out).map_err(|_| Error::Bug)?;
        self.holds = then == Then::More;
        if then == Then::Finish {
            self.state = State::Over;
        }
        Ok(out.into())
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.state = State::Over;
        Poll::Ready(Some(Err(error)))
    }
}

impl http_body::Body for Coded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Open(_) => {}
                State::Over => return Poll::Ready(None),
                State::Trailers(trailers) => {
                    let trailers = std::mem::take(trailers);
                    this.state = State::Over;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
            if this.worked >= TURN {
                this.worked = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut trailers = None;
            let then = if this.rest.is_empty() {
                match Pin::new(&mut this.inner).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => {
                            this.rest = data;
                            continue;
                        }
                        Err(frame) => {
                            trailers = frame.into_trailers().ok();
                            Then::Finish
                        }
                    },
                    Poll::Ready(Some(Err(error))) => return this.fail(error),
                    Poll::Ready(None) => Then::Finish,
                    Poll::Pending => {
                        this.worked = 0;
                        if !this.holds {
                            return Poll::Pending;
                        }
                        Then::Flush
                    }
                }
            } else if this.inner.is_end_stream() {
                Then::Finish
            } else {
                Then::More
            };
            let out = match this.code(then) {
                Ok(out) => out,
                Err(error) => return this.fail(error),
            };
            if let Some(trailers) = trailers {
                this.state = State::Trailers(trailers);
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
            if then == Then::Flush {
                return Poll::Pending;
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over)
    }
}

impl Pourable for Coded {}

#[cfg(test)]
mod tests;
