//! A request under way, until the head of its response is there.

use std::{
    future::Future as _,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};

use super::{BOUNDS, H3Connection};
use crate::{
    error::Error,
    h3::{
        code::Code,
        fields::{self, Malformed},
    },
    http::upload::{Progress, Upload},
    quic::{MessageReader, Piece, Pour, ReadError, SendStream, Stopped},
    upstream::h1::Failed,
};

/// See the module's page.
pub(super) struct Request<'a> {
    pub(super) connection: &'a Rc<H3Connection>,
    /// Number of its stream.
    pub(super) id: u64,
    /// What is left of it to send.
    pub(super) sending: Sending,
    /// Whether any of it was sent.
    pub(super) sent: bool,
    pub(super) reader: MessageReader,
    pub(super) head: Option<Response<()>>,
    /// Its place among those to be told of a GOAWAY.
    pub(super) waiting: Option<Waiting>,
}

/// How a request is sent.
#[expect(clippy::large_enum_variant, reason = "nearly all are messages, and live in one box")]
pub(super) enum Sending {
    /// A head and a body.
    Message(Pour<Upload>),
    /// The head of an extended CONNECT; the stream stays open.
    Tunnel(SendStream, Bytes),
    /// There is nothing left of it.
    Over,
}

/// A place among the requests without a response.
pub(super) struct Waiting {
    connection: Rc<H3Connection>,
    key: usize,
}

impl Request<'_> {
    /// Sends on and reads until the final head is there, and for a response that has no body until
    /// it is over.
    pub(super) fn poll_head(
        &mut self,
        to_head: bool,
        progress: Option<&Progress>,
        early: &mut impl FnMut(Response<()>),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, Failed>> {
        self.send(cx);
        if let Some(error) = progress.and_then(|progress| progress.failed.get()) {
            return Poll::Ready(Err(Failed { error, sent: true }));
        }
        let read = self.poll_response(to_head, early, cx);
        if read.is_pending() {
            if self.is_refused() {
                return Poll::Ready(Err(Failed::unsent(Error::UpstreamRefused)));
            }
            self.wait(cx);
        }
        read.map_err(|error| self.fail(error))
    }

    fn send(&mut self, cx: &mut Context<'_>) {
        match &mut self.sending {
            Sending::Message(pour) => {
                let over = Pin::new(&mut *pour).poll(cx).is_ready();
                self.sent |= pour.pieces() > 0;
                if over {
                    // A refused upload still gets its response; a failed one shows in `progress`.
                    self.sending = Sending::Over;
                }
            }
            Sending::Tunnel(stream, head) => {
                // That it is refused shows in the response, or instead of it.
                let _ = stream.poll_write(cx, head);
                self.sent = true;
            }
            Sending::Over => {}
        }
    }

    fn poll_response(
        &mut self,
        to_head: bool,
        early: &mut impl FnMut(Response<()>),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, Broken>> {
        loop {
            let Some(head) = self.head.take() else {
                let block = ready!(self.reader.poll_head(cx))?;
                let head = fields::response(&block, BOUNDS)?;
                match head.status() {
                    // There is none in HTTP/3 (RFC 9114 section 4.5).
                    StatusCode::SWITCHING_PROTOCOLS => return Poll::Ready(Err(MALFORMED)),
                    status if status.is_informational() => {
                        self.reader.interim();
                        early(head);
                    }
                    _ => {
                        self.reader.expect(self.length(to_head, &head)?);
                        self.head = Some(head);
                    }
                }
                continue;
            };
            if to_head || is_bodiless(head.status()) && !self.is_tunnel(head.status()) {
                // The end belongs to the head: nobody is going to read on.
                self.head = Some(head);
                match ready!(self.reader.poll_body(cx)) {
                    Some(Ok(Piece::Data(_))) => return Poll::Ready(Err(MALFORMED)),
                    Some(Err(error)) => return Poll::Ready(Err(error.into())),
                    Some(Ok(Piece::Trailers(_))) | None => {}
                }
                let head = self.head.take().ok_or(MALFORMED)?;
                return Poll::Ready(Ok(head));
            }
            self.reader.look_ahead(cx);
            self.connection.served.set(true);
            return Poll::Ready(Ok(head));
        }
    }

    /// What the body must come to.
    fn length(&self, to_head: bool, head: &Response<()>) -> Result<Option<u64>, Broken> {
        let length = content_length(head.headers())?;
        Ok(match head.status() {
            // What it says of a body is without meaning (RFC 9110 section 9.3.6).
            status if self.is_tunnel(status) => None,
            status if to_head || is_bodiless(status) => Some(0),
            _ => length,
        })
    }

    fn is_tunnel(&self, status: StatusCode) -> bool {
        status.is_success() && matches!(self.sending, Sending::Tunnel(..))
    }

    fn is_refused(&self) -> bool {
        self.id >= self.connection.refused_from.get()
    }

    /// A GOAWAY wakes the task.
    fn wait(&mut self, cx: &Context<'_>) {
        let mut unanswered = self.connection.unanswered.borrow_mut();
        match &self.waiting {
            Some(waiting) => unanswered[waiting.key].clone_from(cx.waker()),
            None => {
                let key = unanswered.insert(cx.waker().clone());
                self.waiting = Some(Waiting { connection: self.connection.clone(), key });
            }
        }
    }

    fn fail(&mut self, broken: Broken) -> Failed {
        let error = match broken {
            Broken::Read(ReadError::Stopped(Stopped::Code(REJECTED))) => {
                return Failed::unsent(Error::UpstreamRefused);
            }
            Broken::Read(ReadError::Stopped(Stopped::Lost(_))) => {
                self.connection.retire();
                if self.is_refused() {
                    return Failed::unsent(Error::UpstreamRefused);
                }
                Error::UpstreamReset { reused: self.connection.served.get() }
            }
            Broken::Read(ReadError::Stopped(Stopped::Code(_))) => {
                Error::UpstreamReset { reused: false }
            }
            Broken::Read(ReadError::Connection(code)) => {
                self.connection.condemn(code);
                Error::UpstreamGarbage
            }
            Broken::Read(ReadError::Incomplete | ReadError::Length) => {
                self.refuse();
                Error::UpstreamGarbage
            }
            Broken::Fields(Malformed::Message) => {
                self.refuse();
                Error::UpstreamGarbage
            }
            Broken::Fields(Malformed::Connection(code)) => {
                self.connection.condemn(code);
                Error::UpstreamGarbage
            }
            Broken::Read(ReadError::HeadersTooLong) | Broken::Fields(Malformed::TooLarge) => {
                Error::UpstreamHeadersTooLarge
            }
        };
        Failed { error, sent: self.sent }
    }

    /// The response is malformed (RFC 9114 section 4.1.2).
    fn refuse(&mut self) {
        self.reader.stop(Code::MessageError);
        match &mut self.sending {
            Sending::Message(pour) => pour.reset(Code::MessageError),
            Sending::Tunnel(stream, _) => stream.reset(Code::MessageError.value()),
            Sending::Over => {}
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let waker = self.connection.unanswered.borrow_mut().remove(self.key);
        // With nothing borrowed: the last waker of a task takes the task with it.
        drop(waker);
    }
}

const REJECTED: u64 = Code::RequestRejected.value();
const MALFORMED: Broken = Broken::Fields(Malformed::Message);

/// What is wrong with a response.
#[derive(Clone, Copy)]
enum Broken {
    Read(ReadError),
    Fields(Malformed),
}

impl From<ReadError> for Broken {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Fields(malformed)
    }
}

/// Whether responses of this status have no body (RFC 9110 section 6.4.1).
fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The announced length of the body.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Broken> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = value.as_bytes();
    if values.next().is_some() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(MALFORMED);
    }
    let length = value.to_str().ok().and_then(|digits| digits.parse().ok());
    length.map(Some).ok_or(MALFORMED)
}
