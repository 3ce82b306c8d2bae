//! HTTP/1.1 towards an endpoint.
//!
//! The connection has no task of its own: whoever waits for the response drives it, first the
//! request's future, then the reader of the response's body. That saves a spawn, a wake and a
//! hand-off per request. The head is written from where it lies and stays with the request, so that
//! another attempt needs no copy. When a body is read to its end the connection goes back to its
//! pool; when the response comes before the request's body is out, the upload gets a task, so that
//! neither direction waits for the other.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Response, StatusCode, response::Parts};
use http_body::Body as _;
use tokio::io::AsyncWrite as _;
use tokio_util::io::poll_read_buf;

use super::{draft::Draft, pool::OpenConnection, wire::Wire};
use crate::{
    clock::Tick,
    error::Error,
    http::{hints::Hints, upload::Upload},
    listen::{prefixed::Prefixed, transport::Transport},
};

pub mod decode;
mod encode;
mod response;

use decode::Framing;
use encode::BodyEncoder;
pub(crate) use response::H1Response;

/// Bytes read at a time, to begin with and at the most: a connection that fills its buffer gets a
/// larger one.
const READ: usize = 8 * 1024;
const READ_MOST: usize = 64 * 1024;
/// Bytes of an upload that wait for the endpoint before its source is asked for more.
const WRITE: usize = 32 * 1024;

/// An open connection that no request is using.
#[derive(Debug)]
pub(crate) struct H1Connection {
    transport: Transport,
    read: BytesMut,
    write: BytesMut,
    /// Bytes to read at a time.
    window: usize,
    /// Bytes of the buffer in which no head was found to end.
    scanned: usize,
    /// Written and perhaps still in the TLS layer.
    unflushed: bool,
    /// Counts the connection as open until it is dropped.
    open: OpenConnection,
    /// When the pool's sweep first found it idle.
    pub(crate) idle_since: Option<Tick>,
    /// Whether it has served a request before.
    pub(crate) reused: bool,
}

/// A response, or the connection it turned into.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A head and its body.
    Response(Response<Box<H1Response>>),
    /// A head without a body, and the connection, if it can be used again.
    Bodiless(Parts, Option<Box<H1Connection>>),
    /// 101: the head, and what the connection has become.
    Switched(Parts, Box<Wire>),
}

/// An attempt that ended without a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed {
    /// Why.
    pub(crate) error: Error,
    /// Whether a byte of the request may have been sent.
    pub(crate) sent: bool,
}

impl Failed {
    /// Before a byte of the request was sent.
    pub(crate) const fn unsent(error: Error) -> Self {
        Self { error, sent: false }
    }
}

/// Why sending stopped.
enum SendError {
    /// The body's source failed.
    Body(Error),
    /// The endpoint takes no more.
    Closed,
}

/// The part of a request that is still to be sent.
#[derive(Debug)]
struct Sending {
    encoder: BodyEncoder,
    /// The body is in the write buffer to its end.
    encoded: bool,
}

impl H1Connection {
    /// A connection over a fresh stream.
    pub(crate) fn new(transport: Transport, open: OpenConnection) -> Box<Self> {
        Box::new(Self {
            transport,
            read: BytesMut::new(),
            write: BytesMut::new(),
            window: READ,
            scanned: 0,
            unflushed: false,
            open,
            idle_since: None,
            reused: false,
        })
    }

    /// Whether the connection can take a request now: not when the endpoint has closed it or sent
    /// what nobody asked for. Costs no system call while the socket is quiet.
    pub(crate) fn is_usable(&mut self) -> bool {
        self.read.is_empty() && self.transport.is_quiet()
    }

    /// Gives buffers back that an idle connection does not need.
    pub(crate) fn shrink(&mut self) {
        (self.read, self.write, self.window) = (BytesMut::new(), BytesMut::new(), READ);
    }

    /// Sends a request and waits for the response's head. Interim responses go to `hints`.
    pub(crate) async fn exchange(
        mut self: Box<Self>,
        draft: &mut Draft,
        hints: Option<&Hints>,
    ) -> Result<Answer, Failed> {
        self.scanned = 0;
        encode::put_head(&mut self.write, &draft.head);
        let mut sending =
            Some(Sending { encoder: BodyEncoder::new(draft.shape.framing), encoded: false });
        let mut sent = false;
        let head = poll_fn(|cx| {
            if let Some(part) = &mut sending {
                match self.poll_send(part, &mut draft.upload, &mut sent, cx) {
                    Poll::Ready(Ok(())) => sending = None,
                    Poll::Ready(Err(SendError::Body(error))) => return Poll::Ready(Err(error)),
                    // It may have answered all the same, and closed behind its answer.
                    Poll::Ready(Err(SendError::Closed)) | Poll::Pending => {}
                }
            }
            self.poll_head(hints, cx)
        })
        .await;
        match head.and_then(|head| Ok((head.framing(&draft.head.method)?, head))) {
            Ok((framing, head)) => Ok(self.answer(head, framing, sending, draft)),
            Err(error) => Err(Failed { error, sent }),
        }
    }

    fn answer(
        mut self: Box<Self>,
        head: decode::Head,
        framing: Framing,
        sending: Option<Sending>,
        draft: &mut Draft,
    ) -> Answer {
        let keeps_alive = head.keeps_alive() && framing != Framing::Close;
        let keep = keeps_alive && sending.is_none();
        let (head, ()) = head.response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let Self { transport, read, open, .. } = *self;
            let stream = Prefixed::new(read.freeze(), transport);
            let wire = Box::new(Wire::Socket { stream, _open: open });
            return Answer::Switched(head, wire);
        }
        self.reused = true;
        if framing == Framing::Empty {
            return Answer::Bodiless(head, keep.then_some(self));
        }
        let body = decode::Body::new(framing);
        let response = match sending {
            None => H1Response::new(self, body, keep),
            Some(part) => {
                let upload = draft.upload.take();
                H1Response::duplex(*self, body, keeps_alive, part, upload)
            }
        };
        Answer::Response(Response::from_parts(head, Box::new(response)))
    }

    /// Writes what is left of the request.
    fn poll_send(
        &mut self,
        part: &mut Sending,
        upload: &mut Upload,
        sent: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        loop {
            if part.encoded || self.write.len() >= WRITE {
                match ready!(self.poll_write_out(sent, cx)) {
                    Ok(()) if part.encoded => return Poll::Ready(Ok(())),
                    Ok(()) => {}
                    Err(_) => return Poll::Ready(Err(SendError::Closed)),
                }
            }
            if upload.is_end_stream() {
                part.encoder.put_end(&mut self.write, None).map_err(SendError::Body)?;
                part.encoded = true;
                upload.finish();
                continue;
            }
            match Pin::new(&mut *upload).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.encode(part, &frame).map_err(SendError::Body)?;
                    if part.encoded {
                        upload.finish();
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(SendError::Body(error))),
                Poll::Ready(None) => {
                    part.encoder.put_end(&mut self.write, None).map_err(SendError::Body)?;
                    part.encoded = true;
                }
                // The client pauses: what it sent so far must not wait for the rest.
                Poll::Pending => {
                    return match ready!(self.poll_write_out(sent, cx)) {
                        Ok(()) => Poll::Pending,
                        Err(_) => Poll::Ready(Err(SendError::Closed)),
                    };
                }
            }
        }
    }

    fn encode(&mut self, part: &mut Sending, frame: &http_body::Frame<Bytes>) -> Result<(), Error> {
        if let Some(data) = frame.data_ref() {
            part.encoder.put_data(&mut self.write, data)?;
        } else if let Some(trailers) = frame.trailers_ref() {
            part.encoder.put_end(&mut self.write, Some(trailers))?;
            part.encoded = true;
        }
        Ok(())
    }

    fn poll_write_out(&mut self, sent: &mut bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.write.is_empty() {
            let n = ready!(Pin::new(&mut self.transport).poll_write(cx, &self.write))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *sent = true;
            self.unflushed = true;
            self.write.advance(n);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more comes.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.transport).poll_shutdown(cx).map(drop)
    }

    /// Reads until a final head is there.
    fn poll_head(
        &mut self,
        hints: Option<&Hints>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<decode::Head, Error>> {
        let reset = Error::UpstreamReset { reused: self.reused };
        loop {
            if self.may_hold_head() {
                match decode::take_head(&mut self.read)? {
                    Some(head) if is_interim(head.response.status()) => {
                        self.scanned = 0;
                        if let Some(hints) = hints {
                            hints.push(head.response.status(), head.response.headers());
                        }
                        continue;
                    }
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => {}
                }
            }
            match ready!(self.poll_fill(cx)) {
                Ok(n) if n > 0 => {}
                _ => return Poll::Ready(Err(reset)),
            }
        }
    }

    /// Whether a look for a head is worth it: at its first bytes, which may be garbage, when it may
    /// end here, and when it has grown too long. A head that comes byte by byte is else parsed as
    /// often as it has bytes.
    fn may_hold_head(&mut self) -> bool {
        let seen = std::mem::replace(&mut self.scanned, self.read.len());
        if seen == 0 || seen > self.read.len() {
            return !self.read.is_empty();
        }
        let tail = &self.read[seen.saturating_sub(2)..];
        self.read.len() >= decode::HEAD_BYTES
            || tail.windows(2).any(|pair| pair == b"\n\n")
            || tail.windows(3).any(|triple| triple == b"\n\r\n")
    }

    /// Reads once; 0 is the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.read.reserve(self.window);
        let read = ready!(poll_read_buf(Pin::new(&mut self.transport), cx, &mut self.read));
        if read.as_ref().is_ok_and(|n| *n >= self.window) {
            self.window = (2 * self.window).min(READ_MOST);
        }
        Poll::Ready(read)
    }
}

/// 101 is the last word of HTTP on its connection; the other 1xx announce the real one.
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}
