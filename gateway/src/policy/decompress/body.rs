//! A request's body on its way out of its coding: bounded in length, and in how much longer it
//! becomes.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::decoder::Decoder;
use crate::{
    error::{Error, Reason},
    http::body::{Body, Pourable},
};

/// Bytes that come out at once.
const SLICE: usize = 32 << 10;
/// Bytes after which others have their turn.
const TURN: usize = 64 << 10;
/// Bytes of which nobody asks how short they were.
const FREE: u64 = 64 << 10;

/// How much may come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Bytes that come in.
    pub(super) coded: u64,
    /// Bytes that come out.
    pub(super) plain: u64,
    /// How many times as many come out as come in, beyond [`FREE`].
    pub(super) ratio: u64,
}

impl Bounds {
    const fn hold(self, taken: u64, made: u64) -> bool {
        taken <= self.coded
            && made <= self.plain
            && made <= FREE.saturating_add(taken.saturating_mul(self.ratio))
    }
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Decoded {
    inner: Body,
    decoder: Decoder,
    bounds: Bounds,
    /// What was read and not decoded yet.
    rest: Bytes,
    /// Whether there may be more of what was taken.
    more: bool,
    taken: u64,
    made: u64,
    /// Bytes made in this turn.
    worked: usize,
    trailers: Option<HeaderMap>,
    /// All was read.
    ended: bool,
    over: bool,
}

impl Decoded {
    pub(super) const fn new(inner: Body, decoder: Decoder, bounds: Bounds) -> Self {
        Self {
            inner,
            decoder,
            bounds,
            rest: Bytes::new(),
            more: false,
            taken: 0,
            made: 0,
            worked: 0,
            trailers: None,
            ended: false,
            over: false,
        }
    }

    /// Decodes a slice; empty when all that was read is used up.
    fn decode(&mut self) -> Result<Bytes, Error> {
        let mut out = Vec::new();
        while out.is_empty() && (self.more || !self.rest.is_empty()) {
            let taken = self.decoder.push(&self.rest, &mut out, SLICE);
            let taken = taken.map_err(|_| Error::BadRequest(Reason::Body))?;
            let stuck = taken == 0 && out.is_empty();
            let _ = self.rest.split_to(taken.min(self.rest.len()));
            self.more = out.len() >= SLICE;
            self.taken += taken as u64;
            self.made += out.len() as u64;
            // What yields nothing is work as well.
            self.worked += out.len().max(taken);
            if !self.bounds.hold(self.taken, self.made) {
                return Err(Error::BodyTooLarge);
            }
            if stuck {
                // It wants more than there is.
                return if self.rest.is_empty() {
                    Ok(Bytes::new())
                } else {
                    Err(Error::BadRequest(Reason::Body))
                };
            }
        }
        Ok(out.into())
    }
}

impl http_body::Body for Decoded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        loop {
            if this.worked >= TURN {
                this.worked = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match this.decode() {
                Ok(out) if out.is_empty() => {}
                Ok(out) => return Poll::Ready(Some(Ok(Frame::data(out)))),
                Err(error) => {
                    this.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            if this.ended {
                this.over = true;
                let trailers = this.trailers.take();
                // What breaks off must not pass for a whole.
                return Poll::Ready(match this.decoder.is_complete() {
                    true => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
                    false => Some(Err(Error::BadRequest(Reason::Body))),
                });
            }
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(frame) => {
                        this.trailers = frame.into_trailers().ok();
                        this.ended = true;
                    }
                },
                Some(Err(error)) => {
                    this.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => this.ended = true,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

impl Pourable for Decoded {}

#[cfg(test)]
mod tests;
