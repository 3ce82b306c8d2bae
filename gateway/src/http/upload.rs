//! A request's body on its way upstream: bounded, counted, and never waited for without end.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{
    body::{Body, Pourable},
    headers,
};
use crate::{error::Error, pause::Pause};

/// What became of an upload so far; shared by the body, which goes where the
/// endpoint's connection is driven, and the request.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes taken from the client.
    pub(crate) bytes: Cell<u64>,
    /// Whether the last of it was taken, or nobody will take any more.
    pub(crate) over: Cell<bool>,
    /// Why the client's side failed, if it did.
    pub(crate) failed: Cell<Option<Error>>,
    /// Who waits for `over`.
    waiting: RefCell<Option<Waker>>,
}

impl Progress {
    /// Ready when the upload is over; else the task of the latest call is woken when it is.
    pub(crate) fn poll_over(&self, cx: &Context<'_>) -> Poll<()> {
        if self.over.get() {
            return Poll::Ready(());
        }
        *self.waiting.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Nobody will take any more of it.
    pub(crate) fn end(&self) {
        self.over.set(true);
        let waiting = self.waiting.take();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

/// The body given to the upstream connection.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Body,
    watch: Option<Watch>,
    touched: bool,
}

#[derive(Debug)]
struct Watch {
    progress: Rc<Progress>,
    remaining: u64,
    pause: Pause,
}

impl Upload {
    /// An upload without a body.
    pub(crate) const fn empty() -> Self {
        Self { body: Body::empty(), watch: None, touched: false }
    }

    /// An upload that is all there, of a request of the gateway's own.
    pub(crate) const fn whole(body: Body) -> Self {
        Self { body, watch: None, touched: false }
    }

    /// What is left when somebody else has the upload.
    pub(crate) const fn taken() -> Self {
        Self { body: Body::empty(), watch: None, touched: true }
    }

    /// An upload of at most `limit` bytes, with pauses as `pause` allows.
    pub(crate) const fn new(body: Body, progress: Rc<Progress>, limit: u64, pause: Pause) -> Self {
        Self { body, watch: Some(Watch { progress, remaining: limit, pause }), touched: false }
    }

    /// Whether all of it is still there.
    pub(crate) const fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// To be called while the endpoint takes nothing of it; ready once that was for too long.
    pub(crate) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.watch.as_mut().map_or(Poll::Pending, |watch| watch.pause.poll_over(cx))
    }

    /// The endpoint's connection holds the last of it.
    pub(crate) fn finish(&self) {
        if let Some(watch) = &self.watch {
            watch.progress.end();
        }
    }
}

impl Watch {
    fn fail(&self, error: Error) -> Option<Result<Frame<Bytes>, Error>> {
        self.progress.failed.set(Some(error));
        self.progress.end();
        Some(Err(error))
    }

    fn pass(&mut self, mut frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, Error>> {
        self.pause.progress();
        if let Some(data) = frame.data_ref() {
            let length = data.len() as u64;
            let Some(remaining) = self.remaining.checked_sub(length) else {
                return self.fail(Error::BodyTooLarge);
            };
            self.remaining = remaining;
            self.progress.bytes.set(self.progress.bytes.get() + length);
        } else if let Some(trailers) = frame.trailers_mut() {
            headers::filter_trailers(trailers);
        }
        Some(Ok(frame))
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        this.touched |= frame.is_ready();
        let Some(watch) = &mut this.watch else { return frame };
        match frame {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(watch.pass(frame)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(watch.fail(error)),
            Poll::Ready(None) => {
                watch.progress.end();
                Poll::Ready(None)
            }
            Poll::Pending => watch.pause.poll_over(cx).map(|()| watch.fail(Error::RequestTimeout)),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Pourable for Upload {}

impl Drop for Upload {
    fn drop(&mut self) {
        self.finish();
    }
}
