//! A request's body on its way upstream: bounded, counted, and never waited for without end.
//!
//! An upload that is to be [kept](Upload::keep) can be sent by several attempts, one after another:
//! what was read of it is still there for the next one.

use std::{
    cell::{Cell, RefCell},
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::{
    body::{Body, End, Pourable},
    headers,
};
use crate::{error::Error, pause::Pause};

mod replay;

#[cfg(test)]
mod tests;

use replay::Reader;

/// What became of an upload so far; shared by the body, which goes where the
/// endpoint's connection is driven, and the request.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes taken from the client; those that are sent once more count once.
    pub(crate) bytes: Cell<u64>,
    /// Whether the attempt took the last of it, or nobody will take any more.
    pub(crate) over: Cell<bool>,
    /// Whether what was read of it is gone, so that no other attempt can send it.
    pub(crate) spent: Cell<bool>,
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
pub(crate) struct Upload(Source);

#[derive(Debug)]
enum Source {
    /// Read once.
    Own(Stream),
    /// One attempt's share of what several may read.
    Kept(Reader),
}

/// What the client sends, as it comes.
#[derive(Debug)]
struct Stream {
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
        Self::whole(Body::empty())
    }

    /// An upload that is all there, of a request of the gateway's own.
    pub(crate) const fn whole(body: Body) -> Self {
        Self(Source::Own(Stream { body, watch: None, touched: false }))
    }

    /// An upload of at most `limit` bytes, with pauses as `pause` allows.
    pub(crate) const fn new(body: Body, progress: Rc<Progress>, limit: u64, pause: Pause) -> Self {
        let watch = Some(Watch { progress, remaining: limit, pause });
        Self(Source::Own(Stream { body, watch, touched: false }))
    }

    /// From here on keeps what is read, so that it can be sent [again](Self::again), up to `most`
    /// bytes: what is longer is let go of as soon as that shows, at once where it is announced.
    pub(crate) fn keep(&mut self, most: u32) {
        let Source::Own(stream) = &mut self.0 else { return };
        if stream.touched || stream.body.is_end_stream() {
            return;
        }
        if stream.body.size_hint().lower() > u64::from(most) {
            if let Some(watch) = &stream.watch {
                watch.progress.spent.set(true);
            }
            return;
        }
        let stream = mem::replace(stream, Stream::taken());
        self.0 = Source::Kept(Reader::new(stream, most));
    }

    /// Hangs a watcher on what the client sends, which hears each piece once; false where it is too
    /// late for that.
    pub(crate) fn watched(&mut self, end: Box<dyn End>) -> bool {
        match &mut self.0 {
            Source::Own(stream) => stream.watched(end),
            Source::Kept(reader) => reader.watched(end),
        }
    }

    /// The upload for a connection that goes on with it by itself. What stays behind is good for
    /// nothing but to send it [again](Self::again).
    pub(crate) fn take(&mut self) -> Self {
        match &mut self.0 {
            Source::Own(stream) => Self(Source::Own(mem::replace(stream, Stream::taken()))),
            Source::Kept(reader) => Self(Source::Kept(reader.lend())),
        }
    }

    /// Back to the first byte for another attempt, wherever the one before took the upload: that
    /// one reads no more. False, and nothing changed, when what was read is not there any more.
    pub(crate) fn again(&mut self) -> bool {
        match &mut self.0 {
            Source::Own(stream) => !stream.touched,
            Source::Kept(reader) => reader.again(),
        }
    }

    /// Whether it could be sent again.
    pub(crate) fn is_repeatable(&self) -> bool {
        match &self.0 {
            Source::Own(stream) => !stream.touched,
            Source::Kept(reader) => reader.is_repeatable(),
        }
    }

    /// To be called while the endpoint takes nothing of it; ready once that was for too long.
    pub(crate) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Source::Own(stream) => stream.poll_stalled(cx),
            Source::Kept(reader) => reader.poll_stalled(cx),
        }
    }

    /// The endpoint's connection holds the last of it.
    pub(crate) fn finish(&self) {
        match &self.0 {
            Source::Own(stream) => {
                if let Some(watch) = &stream.watch {
                    watch.progress.end();
                }
            }
            Source::Kept(reader) => reader.finish(),
        }
    }
}

impl Stream {
    /// What is left when somebody else has it.
    const fn taken() -> Self {
        Self { body: Body::empty(), watch: None, touched: true }
    }

    fn watched(&mut self, end: Box<dyn End>) -> bool {
        if self.touched {
            return false;
        }
        self.body = mem::replace(&mut self.body, Body::empty()).watched(end);
        true
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.watch.as_mut().map_or(Poll::Pending, |watch| watch.pause.poll_over(cx))
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.touched |= frame.is_ready();
        let Some(watch) = &mut self.watch else { return frame };
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
        match &mut self.get_mut().0 {
            Source::Own(stream) => stream.poll_frame(cx),
            Source::Kept(reader) => reader.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Own(stream) => stream.body.is_end_stream(),
            Source::Kept(reader) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Own(stream) => stream.body.size_hint(),
            Source::Kept(reader) => reader.size_hint(),
        }
    }
}

impl Pourable for Upload {}

impl Drop for Upload {
    fn drop(&mut self) {
        self.finish();
    }
}
