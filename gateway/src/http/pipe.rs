//! A body poured into an HTTP/2 stream, as fast as the peer's window opens.
//!
//! At most one piece of the body waits here: the next is asked for only when the stream has room
//! for a byte of it, so that a closed window holds back the source and costs no memory.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};

use super::{body::Pourable, headers};
use crate::error::Error;

/// Why a pipe ended before its body did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The body's own source failed; the stream was reset.
    Source(Error),
    /// The receiver reset the stream or went away; the reason, where there is one.
    Receiver(Option<Reason>),
}

/// See the module's page. Dropped before its end it resets the stream, so that a cut body never
/// looks complete.
#[derive(Debug)]
pub(crate) struct Pipe<B> {
    body: B,
    stream: SendStream<Bytes>,
    done: bool,
    waits_for_room: bool,
    pieces: u64,
}

impl<B: Pourable> Pipe<B> {
    pub(crate) const fn new(body: B, stream: SendStream<Bytes>) -> Self {
        Self { body, stream, done: false, waits_for_room: false, pieces: 0 }
    }

    /// Whether the last poll ended for want of room in the stream: the receiver's pause.
    pub(crate) const fn waits_for_room(&self) -> bool {
        self.waits_for_room
    }

    /// How many pieces of the body went out, or how often else something moved.
    pub(crate) const fn pieces(&self) -> u64 {
        self.pieces
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.stream.reserve_capacity(1);
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(receiver(&error))),
                None => return Poll::Ready(Err(Broken::Receiver(None))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn fail(&mut self, broken: Broken) -> Poll<Result<(), Broken>> {
        self.done = true;
        if let Broken::Source(error) = broken {
            self.stream.send_reset(reset_reason(error));
        }
        Poll::Ready(Err(broken))
    }
}

impl<B: Pourable> Future for Pipe<B> {
    type Output = Result<(), Broken>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Poll::Ready(reason) = this.stream.poll_reset(cx) {
                return this.fail(Broken::Receiver(reason.ok()));
            }
            this.waits_for_room = true;
            match this.poll_room(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(broken)) => return this.fail(broken),
                Poll::Pending => {
                    return match this.body.poll_aside(cx) {
                        Ok(moved) => {
                            this.pieces += u64::from(moved);
                            Poll::Pending
                        }
                        Err(error) => this.fail(Broken::Source(error)),
                    };
                }
            }
            this.waits_for_room = false;
            let sent = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        this.done = this.body.is_end_stream();
                        this.stream.send_data(data, this.done)
                    }
                    Err(frame) => {
                        let mut trailers = frame.into_trailers().unwrap_or_default();
                        headers::filter_trailers(&mut trailers);
                        this.stream.reserve_capacity(0);
                        this.done = true;
                        this.stream.send_trailers(trailers)
                    }
                },
                Some(Err(error)) => return this.fail(Broken::Source(error)),
                None => {
                    this.stream.reserve_capacity(0);
                    this.done = true;
                    this.stream.send_data(Bytes::new(), true)
                }
            };
            this.pieces += 1;
            match sent {
                Ok(()) if this.done => return Poll::Ready(Ok(())),
                Ok(()) => {}
                Err(error) => return this.fail(receiver(&error)),
            }
        }
    }
}

impl<B> Drop for Pipe<B> {
    fn drop(&mut self) {
        if !self.done {
            self.stream.send_reset(Reason::CANCEL);
        }
    }
}

fn receiver(error: &h2::Error) -> Broken {
    Broken::Receiver(error.reason())
}

/// The code with which a stream is reset when its body cannot be completed (RFC 9113 section 7).
pub(crate) const fn reset_reason(error: Error) -> Reason {
    match error {
        // RFC 9113, 8.5.
        Error::TunnelBroken { connect: true } => Reason::CONNECT_ERROR,
        // RFC 8441, 5: what a reset is to TCP.
        Error::ClientGone | Error::TunnelBroken { connect: false } | Error::TunnelIdle => {
            Reason::CANCEL
        }
        Error::BodyTooLarge | Error::BadRequest(_) => Reason::PROTOCOL_ERROR,
        _ => Reason::INTERNAL_ERROR,
    }
}
