//! HTTP messages on QUIC streams, the same for both sides of the gateway: a [`MessageReader`] takes
//! one apart, a [`Pour`] puts one together.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};

use super::{Connection, RecvStream, SendStream, Stopped};
use crate::{
    error::Error,
    h3::{
        code::Code,
        fields::{encode_data_header, encode_trailers},
        frame::{Item, MessageFrames, Role},
    },
    http::{body::Pourable, headers},
};

/// Pieces of a body up to this length are copied behind their frame's header, so that a small
/// message is one write; longer ones are handed on as they are.
const COPIED: usize = 1024;

/// Why a message cannot be read on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReadError {
    /// The peer reset the stream, or the connection is lost.
    Stopped(Stopped),
    /// What came breaks the rules of the connection: it is to be closed with this code.
    Connection(Code),
    /// A head or trailers longer than taken.
    HeadersTooLong,
    /// The stream ended before the head.
    Incomplete,
    /// The body is shorter or longer than announced: the message is malformed.
    Length,
}

/// A piece of a message behind its head.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Bytes of the body; never empty.
    Data(Bytes),
    /// The field block of the trailers. Nothing but the end comes behind it.
    Trailers(Bytes),
}

type Next = Option<Result<Piece, ReadError>>;

/// Reads one message: a head, or several where interim ones come first, a body, perhaps trailers.
///
/// It looks one piece ahead, so that the last one is known to be the last.
pub(crate) struct MessageReader {
    stream: RecvStream,
    frames: MessageFrames,
    /// What is left of the body that was announced.
    remaining: Option<u64>,
    /// Trailers that wait for the end of the stream.
    trailers: Option<Bytes>,
    ahead: Option<Next>,
    over: bool,
}

impl fmt::Debug for MessageReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageReader")
            .field("stream", &self.stream.id())
            .field("remaining", &self.remaining)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl MessageReader {
    /// A reader of field blocks of at most `max_headers` bytes.
    pub(crate) fn new(stream: RecvStream, role: Role, max_headers: usize) -> Self {
        let frames = MessageFrames::new(role, max_headers);
        Self { stream, frames, remaining: None, trailers: None, ahead: None, over: false }
    }

    /// Reads the field block of the next head.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ReadError>> {
        Poll::Ready(match ready!(self.poll_item(cx))? {
            Some(Item::Headers(block)) => Ok(block),
            Some(Item::HeadersTooLong) => Err(ReadError::HeadersTooLong),
            // The frames see to it that a head comes first.
            Some(Item::Data(_)) => Err(ReadError::Connection(Code::FrameUnexpected)),
            None => Err(ReadError::Incomplete),
        })
    }

    /// The head was an interim response's: another follows.
    pub(crate) fn interim(&mut self) {
        self.frames.interim();
    }

    /// Holds the body against its announced length. To be called once, behind the head.
    pub(crate) const fn expect(&mut self, length: Option<u64>) {
        self.remaining = length;
    }

    /// Looks what comes next, and whether that is the end; false when it has not come yet. What
    /// goes wrong is told by the next [`MessageReader::poll_body`].
    pub(crate) fn look_ahead(&mut self, cx: &mut Context<'_>) -> bool {
        if self.ahead.is_none()
            && !self.over
            && let Poll::Ready(next) = self.poll_piece(cx)
        {
            self.ahead = Some(next);
        }
        self.over || self.ahead.is_some()
    }

    /// Reads on behind the head; `None` is the end of a complete message.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let next = match self.ahead.take() {
            Some(next) => next,
            None if self.over => None,
            None => ready!(self.poll_piece(cx)),
        };
        match next {
            Some(Ok(Piece::Data(_))) => {
                self.look_ahead(cx);
            }
            Some(Ok(Piece::Trailers(_))) | None => self.over = true,
            Some(Err(_)) => {}
        }
        Poll::Ready(next)
    }

    /// Whether the message was read to its end and is complete.
    pub(crate) const fn is_end_stream(&self) -> bool {
        self.over || matches!(self.ahead, Some(None))
    }

    /// What is left of the body's announced length.
    pub(crate) fn remaining(&self) -> Option<u64> {
        let ahead = match &self.ahead {
            Some(Some(Ok(Piece::Data(data)))) => data.len() as u64,
            _ => 0,
        };
        self.remaining.map(|remaining| remaining + ahead)
    }

    /// The connection that carries it.
    pub(crate) const fn connection(&self) -> &Rc<Connection> {
        self.stream.connection()
    }

    /// Asks the peer to stop sending, for this reason.
    pub(crate) fn stop(&mut self, code: Code) {
        self.stream.stop(code.value());
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            let item = match ready!(self.poll_item(cx)) {
                Ok(item) => item,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            return Poll::Ready(match item {
                Some(Item::Data(data)) if data.is_empty() => continue,
                Some(Item::Data(data)) => Some(self.count(data.len()).map(|()| Piece::Data(data))),
                Some(Item::Headers(block)) => {
                    // Whoever has the trailers may stop reading: the end must be there too.
                    self.trailers = Some(block);
                    continue;
                }
                Some(Item::HeadersTooLong) => Some(Err(ReadError::HeadersTooLong)),
                None if self.remaining.is_some_and(|remaining| remaining > 0) => {
                    Some(Err(ReadError::Length))
                }
                None => self.trailers.take().map(|block| Ok(Piece::Trailers(block))),
            });
        }
    }

    fn count(&mut self, length: usize) -> Result<(), ReadError> {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.checked_sub(length as u64).ok_or(ReadError::Length)?;
        }
        Ok(())
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Item>, ReadError>> {
        loop {
            if let Some(item) = self.frames.next().map_err(ReadError::Connection)? {
                return Poll::Ready(Ok(Some(item)));
            }
            match ready!(self.stream.poll_read(cx)).map_err(ReadError::Stopped)? {
                Some(chunk) => self.frames.push(chunk),
                None => {
                    self.frames.finish().map_err(ReadError::Connection)?;
                    return Poll::Ready(Ok(None));
                }
            }
        }
    }
}

/// Why a message was not sent to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Broken {
    /// The body's own source failed, which its watcher knows; the stream was reset.
    Source,
    /// The receiver takes no more.
    Receiver(Stopped),
}

/// A message poured into a stream, as fast as the peer's window opens: the counterpart of
/// [`crate::http::pipe::Pipe`].
///
/// At most one piece of the body waits here, besides small ones that are sent together. Dropped
/// before its end it resets the stream (that is the stream's own way), so that a cut body never
/// looks complete.
pub(crate) struct Pour<B> {
    body: B,
    stream: SendStream,
    /// What is being written.
    leaving: Bytes,
    /// Frames that go next.
    frames: BytesMut,
    /// What is left of the last of them, when it is long.
    piece: Bytes,
    /// The last of the body is among them.
    last: bool,
    waits_for_room: bool,
    pieces: u64,
}

impl<B> fmt::Debug for Pour<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pour")
            .field("stream", &self.stream.id())
            .field("last", &self.last)
            .field("pieces", &self.pieces)
            .finish_non_exhaustive()
    }
}

impl<B: Pourable> Pour<B> {
    /// Sends `head`, whole frames that may be empty, and `body` behind them.
    pub(crate) fn new(head: BytesMut, body: B, stream: SendStream) -> Self {
        let last = body.is_end_stream();
        Self {
            body,
            stream,
            frames: head,
            leaving: Bytes::new(),
            piece: Bytes::new(),
            last,
            waits_for_room: false,
            pieces: 0,
        }
    }

    /// Whether the last poll ended for want of room in the stream: the receiver's pause.
    pub(crate) const fn waits_for_room(&self) -> bool {
        self.waits_for_room
    }

    /// How often the stream took some of the message: it moves while the receiver reads.
    pub(crate) const fn pieces(&self) -> u64 {
        self.pieces
    }

    /// Gives the message up, for this reason.
    pub(crate) fn reset(&mut self, code: Code) {
        self.stream.reset(code.value());
    }

    /// Writes out what is there.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        self.waits_for_room = true;
        loop {
            if self.leaving.is_empty() {
                self.leaving = if self.frames.is_empty() {
                    mem::take(&mut self.piece)
                } else {
                    self.frames.split().freeze()
                };
            }
            let before = self.leaving.len();
            if before == 0 {
                break;
            }
            let written = self.stream.poll_write(cx, &mut self.leaving);
            self.pieces += u64::from(self.leaving.len() < before);
            ready!(written)?;
        }
        self.waits_for_room = false;
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, frame: http_body::Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => {
                self.last = self.body.is_end_stream();
                if data.is_empty() {
                    return;
                }
                encode_data_header(data.len() as u64, &mut self.frames);
                if data.len() <= COPIED {
                    self.frames.extend_from_slice(&data);
                } else {
                    self.piece = data;
                }
            }
            Err(frame) => {
                self.last = true;
                let mut trailers = frame.into_trailers().unwrap_or_default();
                headers::filter_trailers(&mut trailers);
                if !trailers.is_empty() {
                    encode_trailers(&trailers, &mut self.frames);
                }
            }
        }
    }

    /// Waits for room, while what must go on all the same does.
    fn poll_aside(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self.body.poll_aside(cx) {
            Ok(moved) => {
                self.pieces += u64::from(moved);
                Poll::Pending
            }
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: Error) -> Poll<Result<(), Broken>> {
        self.stream.reset(reset_code(error).value());
        Poll::Ready(Err(Broken::Source))
    }

    fn is_full(&self) -> bool {
        self.last
            || !self.leaving.is_empty()
            || !self.piece.is_empty()
            || self.frames.len() > COPIED
    }
}

impl<B: Pourable> Future for Pour<B> {
    type Output = Result<(), Broken>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Poll::Ready(stopped) = this.stream.poll_stopped(cx) {
            return Poll::Ready(Err(Broken::Receiver(stopped)));
        }
        loop {
            if this.is_full() {
                match this.poll_write_out(cx) {
                    Poll::Ready(written) => written.map_err(Broken::Receiver)?,
                    Poll::Pending => return this.poll_aside(cx),
                }
                if this.last {
                    this.stream.finish();
                    return Poll::Ready(Ok(()));
                }
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => this.take(frame),
                Poll::Ready(Some(Err(error))) => return this.fail(error),
                Poll::Ready(None) => this.last = true,
                // The source pauses: what there is must not wait for the rest.
                Poll::Pending => {
                    return match this.poll_write_out(cx) {
                        Poll::Ready(Ok(())) => Poll::Pending,
                        Poll::Ready(Err(stopped)) => Poll::Ready(Err(Broken::Receiver(stopped))),
                        Poll::Pending => this.poll_aside(cx),
                    };
                }
            }
        }
    }
}

/// The code with which a stream is reset when its body cannot be completed (RFC 9114 section 8.1).
const fn reset_code(error: Error) -> Code {
    match error {
        // Section 4.4.
        Error::TunnelBroken { connect: true } => Code::ConnectError,
        // RFC 9220, 3: what a reset is to TCP.
        Error::ClientGone | Error::TunnelBroken { connect: false } | Error::TunnelIdle => {
            Code::RequestCancelled
        }
        Error::BodyTooLarge | Error::BadRequest(_) => Code::MessageError,
        _ => Code::InternalError,
    }
}
