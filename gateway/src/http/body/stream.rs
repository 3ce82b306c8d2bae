//! A request's body in an HTTP/2 stream.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::error::Error;

/// The receiving half of an HTTP/2 stream; its window opens as the bytes are taken.
pub(super) struct RequestStream {
    stream: h2::RecvStream,
    length: Option<u64>,
    data_done: bool,
}

impl RequestStream {
    pub(super) const fn new(stream: h2::RecvStream, length: Option<u64>) -> Self {
        Self { stream, length, data_done: false }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.data_done {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    take_window(&mut self.stream, data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(_)) => return Poll::Ready(Some(Err(Error::ClientGone))),
                None => self.data_done = true,
            }
        }
        poll_trailers(&mut self.stream, cx)
            .map(|trailers| trailers.map(|t| t.map(Frame::trailers).map_err(|_| Error::ClientGone)))
    }
}

/// Tells the sender that so many bytes were taken.
pub(crate) fn take_window(stream: &mut h2::RecvStream, length: usize) {
    // It fails only when the stream is gone, which the next poll says.
    let _ = stream.flow_control().release_capacity(length);
}

/// Trailers of an HTTP/2 stream whose data has ended.
pub(crate) fn poll_trailers(
    stream: &mut h2::RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<HeaderMap, h2::Error>>> {
    stream.poll_trailers(cx).map(Result::transpose)
}
