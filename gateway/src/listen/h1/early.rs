//! Interim responses (1xx) to a client that speaks HTTP/1.1, written past hyper, which has no word
//! for them.
//!
//! They go out when hyper flushes: all that it had to say is written then, so that nothing is cut
//! in two, and the response that they announce has not begun. A response that is ready together
//! with them waits for that one flush.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{Response, StatusCode};
use tokio::io::AsyncWrite;

use crate::http::hints::Hints;

/// The interim responses of a connection, one request after the other.
#[derive(Debug, Default)]
pub(super) struct Early {
    hints: RefCell<Hints>,
    /// Whether a response is still to come. Once it has begun nothing may be written between.
    open: Cell<bool>,
    /// One of which a part may be written.
    begun: RefCell<Bytes>,
}

impl Early {
    /// Where those of the next request go.
    pub(super) fn hints(&self) -> Hints {
        let mut hints = self.hints.borrow_mut();
        if hints.is_shared() {
            // What goes on of a request that is answered must not speak for the next one.
            *hints = Hints::default();
        }
        hints.clear();
        self.open.set(true);
        hints.clone()
    }

    /// Whether some may be written.
    fn is_due(&self) -> bool {
        self.open.get() && !self.hints.borrow().is_empty()
    }

    /// What `serving` comes to, once the interim responses that came first are written; if the
    /// client does not take them at once they are dropped.
    pub(super) async fn after<T>(&self, mut serving: Pin<&mut impl Future<Output = T>>) -> T {
        let (mut served, mut asked) = (None, false);
        poll_fn(|cx| {
            if served.is_none()
                && let Poll::Ready(value) = serving.as_mut().poll(cx)
            {
                // Nearly always: nothing is to be kept, which would copy it twice.
                if !self.is_due() {
                    self.open.set(false);
                    return Poll::Ready(value);
                }
                served = Some(value);
            }
            if !self.is_due() {
                asked = false;
            } else if !std::mem::replace(&mut asked, true) {
                // hyper flushes after this poll, and polls again.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Some(value) = served.take() else { return Poll::Pending };
            self.open.set(false);
            Poll::Ready(value)
        })
        .await
    }

    /// Writes what is left of one that was begun. To be called before anything else is written.
    pub(super) fn poll_rest(
        &self,
        to: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut begun = self.begun.borrow_mut();
        while !begun.is_empty() {
            let written = ready!(Pin::new(&mut *to).poll_write(cx, &begun))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            begun.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all of them. To be called when hyper has nothing left to write.
    pub(super) fn poll_write_out(
        &self,
        to: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_rest(to, cx))?;
            if !self.is_due() {
                return Poll::Ready(Ok(()));
            }
            match self.hints.borrow().pop() {
                // hyper has one of its own for who waits to be invited.
                Some(hint) if hint.status() == StatusCode::CONTINUE => {}
                Some(hint) => *self.begun.borrow_mut() = encode(&hint),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

fn encode(hint: &Response<()>) -> Bytes {
    let mut head = BytesMut::new();
    let reason = hint.status().canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", hint.status().as_str(), " ", reason, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in hint.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head.freeze()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use http::HeaderMap;
    use tokio::io::{AsyncRead, ReadBuf, duplex};

    use super::*;

    fn hinting(hints: &Hints) {
        let mut fields = HeaderMap::new();
        fields.insert("link", "</a>".parse().unwrap());
        hints.push(StatusCode::EARLY_HINTS, &fields);
    }

    /// What of them is written by now.
    fn written(early: &Early) -> String {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut written = Vec::new();
        assert!(early.poll_write_out(&mut written, &mut cx).is_ready());
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn one_that_is_begun_is_ended_before_anything_else() {
        let early = Early::default();
        let hints = early.hints();
        hinting(&hints);
        hints.invite();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let (mut near, mut far) = duplex(9);
        let mut read = |cx: &mut Context<'_>| {
            let mut buffer = [0; 99];
            let mut buffer = ReadBuf::new(&mut buffer);
            let _ = Pin::new(&mut far).poll_read(cx, &mut buffer);
            buffer.filled().to_vec()
        };
        assert!(early.poll_write_out(&mut near, &mut cx).is_pending());
        let mut text = read(&mut cx);
        assert!(early.poll_rest(&mut near, &mut cx).is_pending());
        while early.poll_rest(&mut near, &mut cx).is_pending() {
            text.extend(read(&mut cx));
        }
        text.extend(read(&mut cx));
        assert_eq!(text, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
        // The invitation is hyper's to write.
        assert!(early.poll_write_out(&mut near, &mut cx).is_ready());
        assert!(hints.is_empty() && read(&mut cx).is_empty());
    }

    #[test]
    fn a_response_waits_for_one_flush_and_no_longer() {
        let early = Early::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let hints = early.hints();
        let seven = pin!(async {
            hinting(&hints);
            7
        });
        let mut serving = pin!(early.after(seven));
        assert!(serving.as_mut().poll(&mut cx).is_pending());
        assert_eq!(serving.as_mut().poll(&mut cx), Poll::Ready(7));
        assert!(written(&early).is_empty(), "the client did not take it in time");
        let eight = pin!(async { 8 });
        assert_eq!(pin!(early.after(eight)).poll(&mut cx), Poll::Ready(8));
    }

    /// Who goes on with a request that is answered still has its queue: a run for an idempotency
    /// key does whose client has no more time.
    #[test]
    fn what_comes_too_late_is_written_nowhere() {
        let early = Early::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let late = early.hints();
        assert_eq!(pin!(early.after(pin!(async { 7 }))).poll(&mut cx), Poll::Ready(7));
        hinting(&late);
        assert_eq!(written(&early), "", "the response has begun");
        let next = early.hints();
        hinting(&late);
        assert_eq!(written(&early), "", "it is about another request");
        hinting(&next);
        assert_eq!(written(&early), "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    }
}
