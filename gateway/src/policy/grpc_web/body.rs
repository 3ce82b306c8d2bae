//! The bodies of a call: the request's out of base64, the response's with its trailers as a frame.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{BufMut as _, Bytes};
use http::HeaderMap;
use http_body::Frame;

use super::text::Text;
use crate::{
    base64,
    error::{Error, Reason},
    http::body::{Body, Pourable},
};

type Polled = Poll<Option<Result<Frame<Bytes>, Error>>>;

/// A request's body that comes in base64.
#[derive(Debug)]
pub(super) struct Asked {
    inner: Body,
    text: Text,
    over: bool,
}

impl Asked {
    pub(super) fn new(inner: Body) -> Self {
        Self { inner, text: Text::default(), over: false }
    }
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        let malformed = Error::BadRequest(Reason::Body);
        while !this.over {
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
            let Some(Ok(frame)) = frame else {
                this.over = true;
                return Poll::Ready(match frame {
                    None if !this.text.is_complete() => Some(Err(malformed)),
                    end => end,
                });
            };
            // A call has no trailers on its way up.
            let Ok(data) = frame.into_data() else { continue };
            let mut out = Vec::new();
            if this.text.decode(&data, &mut out).is_err() {
                this.over = true;
                return Poll::Ready(Some(Err(malformed)));
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

impl Pourable for Asked {}

/// A response's body whose trailers become its last frame.
#[derive(Debug)]
pub(super) struct Answered {
    inner: Body,
    in_text: bool,
    over: bool,
}

impl Answered {
    pub(super) const fn new(inner: Body, in_text: bool) -> Self {
        Self { inner, in_text, over: false }
    }
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            end => {
                this.over = true;
                return Poll::Ready(end);
            }
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                this.over = true;
                trailer_frame(&frame.into_trailers().unwrap_or_default())
            }
        };
        let data = if this.in_text { base64::encode(&data).into() } else { data };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

impl Pourable for Answered {}

/// Marks a frame of trailers.
const TRAILERS: u8 = 0x80;

/// Trailers as the frame that stands for them: `name:value`, each with its end of line.
fn trailer_frame(trailers: &HeaderMap) -> Bytes {
    let mut lines = Vec::with_capacity(64);
    for (name, value) in trailers {
        for part in [name.as_str().as_bytes(), b":", value.as_bytes(), b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }
    let mut frame = Vec::with_capacity(lines.len() + 5);
    frame.put_u8(TRAILERS);
    // Trailers are bounded like fields are, far below this.
    frame.put_u32(u32::try_from(lines.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&lines);
    frame.into()
}
