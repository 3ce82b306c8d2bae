//! The body of a response.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

use super::{BOUNDS, StreamCount};
use crate::{
    error::Error,
    h3::{
        code::Code,
        fields::{self, Malformed},
    },
    pause::BodyClocks,
    quic::{MessageReader, Piece, ReadError},
};

/// See the module's page. Dropped before its end it tells the endpoint to stop.
#[derive(Debug)]
pub(crate) struct H3Response {
    reader: MessageReader,
    clocks: Option<BodyClocks>,
    /// Why the body is cut, to be told with the next poll.
    cut: Option<Error>,
    /// Dropped when the response is over, which ends an upload that is not.
    _unfinished: Option<oneshot::Sender<()>>,
    stream: StreamCount,
}

type Next = Option<Result<Frame<Bytes>, Error>>;

impl H3Response {
    pub(super) const fn new(
        reader: MessageReader,
        unfinished: Option<oneshot::Sender<()>>,
        stream: StreamCount,
    ) -> Self {
        Self { reader, clocks: None, cut: None, _unfinished: unfinished, stream }
    }

    /// Fails the body when `clocks` say so.
    pub(crate) fn keep(&mut self, clocks: BodyClocks) {
        self.clocks = Some(clocks);
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(error) = self.cut {
            return Poll::Ready(Some(Err(error)));
        }
        if self.clocks.as_ref().is_some_and(BodyClocks::is_over) {
            return Poll::Ready(Some(Err(Error::DeadlinePassed)));
        }
        let frame = match self.reader.poll_body(cx) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Ok(Piece::Data(data)))) => Ok(Frame::data(data)),
            Poll::Ready(Some(Ok(Piece::Trailers(block)))) => fields::trailers(&block, BOUNDS)
                .map(Frame::trailers)
                .map_err(|broken| match broken {
                    Malformed::Message | Malformed::TooLarge => ReadError::Length,
                    Malformed::Connection(code) => ReadError::Connection(code),
                }),
            Poll::Ready(Some(Err(error))) => Err(error),
            Poll::Pending => {
                let Some(clocks) = &mut self.clocks else { return Poll::Pending };
                return clocks.poll_over(cx).map(|error| Some(Err(error)));
            }
        };
        match frame {
            Ok(frame) => {
                if let Some(clocks) = &mut self.clocks {
                    clocks.progress();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            // What came before the cut may still be on its way to the client, who is to see it.
            Err(error) => {
                self.fail(error);
                self.cut = Some(Error::UpstreamBodyBroken);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn fail(&mut self, error: ReadError) {
        match error {
            ReadError::Connection(code) => self.stream.0.condemn(code),
            ReadError::Length | ReadError::Incomplete => self.reader.stop(Code::MessageError),
            ReadError::Stopped(_) | ReadError::HeadersTooLong => {}
        }
    }

    pub(crate) const fn is_end_stream(&self) -> bool {
        self.reader.is_end_stream()
    }

    /// Whether all of the body was read, as far as its announced length goes: the end of the stream
    /// may still be on its way.
    pub(crate) fn is_complete(&self) -> bool {
        self.cut.is_none() && (self.is_end_stream() || self.reader.remaining() == Some(0))
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() {
            return SizeHint::with_exact(0);
        }
        self.reader.remaining().map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
