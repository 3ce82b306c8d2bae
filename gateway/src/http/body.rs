//! The one body type that travels through the gateway, in both directions.
//!
//! A body streams: nothing here collects. The end of a body is an event (RFC 9110 section 6.1):
//! whoever must know of it hangs an [`End`] on the body, which fires exactly once, when the body
//! is read to its end or dropped. Dropped before its end means aborted.

use std::{
    cell::Cell,
    error::Error as _,
    fmt, io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

mod stream;

use stream::RequestStream;
pub(crate) use stream::{poll_trailers, take_window};

use super::bridge::Bridge;
use crate::{
    error::{Error, Reason},
    h3::{
        code::Code,
        fields::{self, Bounds, Malformed},
    },
    quic::{MessageReader, Piece, ReadError},
    upstream::{h1::H1Response, h2::H2Response, h3::H3Response},
};

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Read to its end, or was known to be at its end when dropped.
    Completed,
    /// Dropped before its end: the reader went away.
    Aborted,
    /// Its source failed.
    Failed(Error),
}

/// Watches one body go by.
pub(crate) trait End {
    /// A piece passes.
    fn data(&mut self, piece: &[u8]);
    /// The body is over; called once.
    fn end(&mut self, ending: Ending);
}

/// What an adapter pours into a stream.
pub(crate) trait Pourable: http_body::Body<Data = Bytes, Error = Error> + Unpin {
    /// To be called instead of `poll_frame` while the stream has no room: drives what must go on
    /// all the same, and registers the task for it. Whether anything moved.
    ///
    /// # Errors
    /// The body has failed, as if `poll_frame` had said so.
    fn poll_aside(&mut self, _: &mut Context<'_>) -> Result<bool, Error> {
        Ok(false)
    }
}

/// Where the bytes come from.
enum Source {
    Empty,
    Full(Bytes),
    /// A request body read by hyper's HTTP/1.1 server.
    Hyper(Incoming),
    /// A request body of an HTTP/2 stream.
    Stream(RequestStream),
    /// A request body of an HTTP/3 stream.
    H3Request(H3Request),
    /// A response whose HTTP/1.1 connection is driven by reading it.
    H1(Box<H1Response>),
    /// A response of an HTTP/2 stream.
    H2(Box<H2Response>),
    /// A response of an HTTP/3 stream.
    H3(Box<H3Response>),
    /// A response that is stored while it is sent, or coded; a request that is decoded.
    Follow(Box<dyn Pourable>),
    /// A tunnel.
    Bridge(Box<Bridge>),
}

/// A body, streaming or not. See the module's page.
pub(crate) struct Body {
    source: Source,
    end: Option<Box<dyn End>>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            Source::Empty => "Body::Empty",
            Source::Full(_) => "Body::Full",
            Source::Hyper(_) => "Body::Hyper",
            Source::Stream(_) => "Body::Stream",
            Source::H3Request(_) => "Body::H3Request",
            Source::H1(_) => "Body::H1",
            Source::H2(_) => "Body::H2",
            Source::H3(_) => "Body::H3",
            Source::Follow(_) => "Body::Follow",
            Source::Bridge(_) => "Body::Bridge",
        })
    }
}

impl Body {
    /// No bytes at all.
    pub(crate) const fn empty() -> Self {
        Self::of(Source::Empty)
    }

    /// These bytes.
    pub(crate) fn full(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::empty() } else { Self::of(Source::Full(bytes)) }
    }

    /// All of it, where it is there as a whole.
    pub(crate) const fn whole(&self) -> Option<&Bytes> {
        match &self.source {
            Source::Full(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// For an answer to HEAD: without the bytes that the gateway itself would have sent.
    pub(crate) fn unheard(self) -> Self {
        if matches!(self.source, Source::Full(_)) { Self::empty() } else { self }
    }

    /// A request body read by hyper.
    pub(crate) fn hyper(incoming: Incoming) -> Self {
        use http_body::Body as _;
        if incoming.is_end_stream() { Self::empty() } else { Self::of(Source::Hyper(incoming)) }
    }

    /// A request body of an HTTP/2 stream.
    pub(crate) fn stream(stream: h2::RecvStream, length: Option<u64>) -> Self {
        if stream.is_end_stream() {
            return Self::empty();
        }
        Self::of(Source::Stream(RequestStream::new(stream, length)))
    }

    /// A request body of an HTTP/3 stream.
    pub(crate) fn h3_request(request: H3Request) -> Self {
        if request.reader.is_end_stream() {
            return Self::empty();
        }
        Self::of(Source::H3Request(request))
    }

    pub(crate) fn h1(response: Box<H1Response>) -> Self {
        Self::of(Source::H1(response))
    }

    pub(crate) fn h2(response: Box<H2Response>) -> Self {
        Self::of(Source::H2(response))
    }

    pub(crate) fn h3(response: Box<H3Response>) -> Self {
        Self::of(Source::H3(response))
    }

    /// What another adapter pours: a response that is stored while it is sent, one that is coded.
    pub(crate) fn follow(follow: impl Pourable + 'static) -> Self {
        if follow.is_end_stream() {
            return Self::empty();
        }
        Self::of(Source::Follow(Box::new(follow)))
    }

    /// The response that is a tunnel.
    pub(crate) fn bridge(bridge: Bridge) -> Self {
        Self::of(Source::Bridge(Box::new(bridge)))
    }

    /// A body that does what a test says.
    #[cfg(test)]
    pub(crate) fn scripted(script: impl Pourable + 'static) -> Self {
        Self::of(Source::Follow(Box::new(script)))
    }

    const fn of(source: Source) -> Self {
        Self { source, end: None }
    }

    /// Hangs a watcher on the body; there is one at most.
    pub(crate) fn watched(mut self, end: Box<dyn End>) -> Self {
        debug_assert!(self.end.is_none(), "one watcher a body");
        self.end = Some(end);
        self
    }

    fn finish(&mut self, ending: Ending) {
        if let Some(mut end) = self.end.take() {
            end.end(ending);
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.source {
            Source::Empty => Poll::Ready(None),
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.source = Source::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Source::Hyper(incoming) => http_body::Body::poll_frame(Pin::new(incoming), cx)
                .map(|frame| frame.map(|frame| frame.map_err(|error| upload_error(&error)))),
            Source::Stream(stream) => stream.poll_frame(cx),
            Source::H3Request(request) => request.poll_frame(cx),
            Source::H1(response) => response.poll_frame(cx),
            Source::H2(response) => response.poll_frame(cx),
            Source::H3(response) => response.poll_frame(cx),
            Source::Follow(follow) => http_body::Body::poll_frame(Pin::new(follow), cx),
            Source::Bridge(bridge) => bridge.poll_frame(cx),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = ready!(this.poll_source(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(end), Some(data)) = (&mut this.end, frame.data_ref()) {
                    end.data(data);
                }
            }
            Some(Err(error)) => this.finish(Ending::Failed(*error)),
            None => this.finish(Ending::Completed),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Full(_) => false,
            Source::Hyper(incoming) => incoming.is_end_stream(),
            Source::Stream(stream) => stream.is_end_stream(),
            Source::H3Request(request) => request.reader.is_end_stream(),
            Source::H1(response) => response.is_end_stream(),
            Source::H2(response) => response.is_end_stream(),
            Source::H3(response) => response.is_end_stream(),
            Source::Follow(follow) => follow.is_end_stream(),
            Source::Bridge(bridge) => bridge.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Hyper(incoming) => incoming.size_hint(),
            Source::Stream(stream) => stream.size_hint(),
            Source::H3Request(request) => {
                request.reader.remaining().map_or_else(SizeHint::new, SizeHint::with_exact)
            }
            Source::H1(response) => response.size_hint(),
            Source::H2(response) => response.size_hint(),
            Source::H3(response) => response.size_hint(),
            Source::Follow(follow) => follow.size_hint(),
            Source::Bridge(_) => SizeHint::new(),
        }
    }
}

impl Pourable for Body {
    fn poll_aside(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let Source::Bridge(bridge) = &mut self.source else { return Ok(false) };
        bridge.poll_aside(cx).inspect_err(|error| self.finish(Ending::Failed(*error)))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.end.is_some() {
            // Whoever knows the length stops reading where it is reached.
            let done = match &self.source {
                Source::H3(response) => response.is_complete(),
                _ => http_body::Body::is_end_stream(self),
            };
            self.finish(if done { Ending::Completed } else { Ending::Aborted });
        }
    }
}

/// Why a client's HTTP/1.1 body broke: its framing is wrong, or the client went away within it.
fn upload_error(error: &hyper::Error) -> Error {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            Error::BadRequest(Reason::Body)
        }
        _ => Error::ClientGone,
    }
}

/// The receiving half of an HTTP/3 request stream behind its head. Dropped before its end it asks
/// the client to stop, for no fault of its own.
#[derive(Debug)]
pub(crate) struct H3Request {
    reader: Box<MessageReader>,
    bounds: Bounds,
    /// What the client did wrong, for whoever sends the response.
    fault: Rc<Cell<Option<Error>>>,
}

impl H3Request {
    /// A body that tells `fault` when the client breaks it off, or the rules.
    pub(crate) const fn new(
        reader: Box<MessageReader>,
        bounds: Bounds,
        fault: Rc<Cell<Option<Error>>>,
    ) -> Self {
        Self { reader, bounds, fault }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let piece = ready!(self.reader.poll_body(cx));
        Poll::Ready(piece.map(|piece| {
            match piece {
                Ok(Piece::Data(data)) => Ok(Frame::data(data)),
                Ok(Piece::Trailers(block)) => match fields::trailers(&block, self.bounds) {
                    Ok(trailers) => Ok(Frame::trailers(trailers)),
                    Err(Malformed::Connection(code)) => Err(self.close(code)),
                    Err(Malformed::Message | Malformed::TooLarge) => Err(self.malformed()),
                },
                Err(ReadError::Stopped(_)) => Err(Error::ClientGone),
                Err(ReadError::Connection(code)) => Err(self.close(code)),
                Err(ReadError::HeadersTooLong | ReadError::Incomplete | ReadError::Length) => {
                    Err(self.malformed())
                }
            }
            .inspect_err(|error| self.fault.set(Some(*error)))
        }))
    }

    fn close(&self, code: Code) -> Error {
        self.reader.connection().close(code.value(), "");
        Error::ClientGone
    }

    fn malformed(&mut self) -> Error {
        self.reader.stop(Code::MessageError);
        Error::BadRequest(Reason::Body)
    }
}

impl Drop for H3Request {
    fn drop(&mut self) {
        self.reader.stop(Code::NoError);
    }
}
