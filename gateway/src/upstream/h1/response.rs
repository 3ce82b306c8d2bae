//! The body of an HTTP/1.1 response; reading it drives the connection.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    mem,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{
    H1Connection, SendError, Sending,
    decode::{self, Step},
};
use crate::{
    error::Error, http::upload::Upload, pause::BodyClocks, task, upstream::pool::EndpointPool,
};

/// See the module's page.
#[derive(Debug)]
pub(crate) struct H1Response {
    connection: Source,
    body: decode::Body,
    /// Whether the endpoint keeps the connection open behind its response.
    keep: bool,
    pool: Option<Rc<EndpointPool>>,
    clocks: Option<BodyClocks>,
    /// Why the body is cut, to be told with the next poll.
    cut: Option<Error>,
}

#[derive(Debug)]
enum Source {
    Own(Box<H1Connection>),
    /// An upload is still using it, perhaps for no longer than the response takes.
    Shared(Rc<RefCell<H1Connection>>, Rc<Answering>),
    Gone,
}

/// What the upload must know of the response beside which it goes on.
#[derive(Debug, Default)]
struct Answering {
    /// Nobody reads the rest of the upload.
    over: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Answering {
    fn poll_over(&self, cx: &Context<'_>) -> Poll<()> {
        if self.over.get() {
            return Poll::Ready(());
        }
        *self.waiting.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    fn end(&self) {
        self.over.set(true);
        let waiting = self.waiting.take();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

impl H1Response {
    pub(super) const fn new(connection: Box<H1Connection>, body: decode::Body, keep: bool) -> Self {
        let connection = Source::Own(connection);
        Self { connection, body, keep, pool: None, clocks: None, cut: None }
    }

    /// A response to a request that is not sent to its end: a task goes on sending. It ends with
    /// the upload, or when either side pauses for longer than `body_idle`. An endpoint that keeps
    /// the connection open (`reads_on`) may read it behind its response; another one does not.
    pub(super) fn duplex(
        connection: H1Connection,
        body: decode::Body,
        reads_on: bool,
        mut part: Sending,
        mut upload: Upload,
    ) -> Self {
        let shared = Rc::new(RefCell::new(connection));
        let sender = shared.clone();
        let response = Rc::new(Answering::default());
        let answering = response.clone();
        task::spawn(async move {
            let mut sent = true;
            let ended = poll_fn(|cx| {
                if answering.poll_over(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                let sending = sender.borrow_mut().poll_send(&mut part, &mut upload, &mut sent, cx);
                // The response's clocks may be gone: an endpoint that takes no more ends it here.
                if sending.is_ready() { sending } else { upload.poll_stalled(cx).map(Ok) }
            })
            .await;
            drop(upload);
            if let Err(SendError::Body(_)) = ended {
                // An endpoint that waits for the rest learns that there is none. It has answered
                // already: what is left of that may still come.
                poll_fn(|cx| sender.borrow_mut().poll_shutdown(cx)).await;
            }
        });
        let connection = Source::Shared(shared, response);
        Self { connection, body, keep: reads_on, pool: None, clocks: None, cut: None }
    }

    /// Gives the connection back to `pool` once the body is read, and fails the body when
    /// `clocks` say so.
    pub(crate) fn keep(&mut self, pool: Rc<EndpointPool>, clocks: BodyClocks) {
        self.pool = Some(pool);
        self.clocks = Some(clocks);
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(error) = self.cut {
            return self.fail(error);
        }
        if self.clocks.as_ref().is_some_and(BodyClocks::is_over) {
            return self.fail(Error::DeadlinePassed);
        }
        let step = match &mut self.connection {
            Source::Own(connection) => poll_step(connection, &mut self.body, cx),
            Source::Shared(connection, _) => {
                poll_step(&mut connection.borrow_mut(), &mut self.body, cx)
            }
            Source::Gone => Poll::Ready(Ok(Step::End)),
        };
        let frame = match step {
            Poll::Ready(Ok(Step::Data(data))) => Frame::data(data),
            Poll::Ready(Ok(Step::Trailers(trailers))) => {
                self.release();
                Frame::trailers(trailers)
            }
            Poll::Ready(Ok(Step::End | Step::More)) => {
                self.release();
                return Poll::Ready(None);
            }
            // What came before the cut may still be on its way to the client, who is to see it.
            Poll::Ready(Err(error)) => {
                self.abandon();
                self.cut = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Pending => {
                let Some(clocks) = &mut self.clocks else { return Poll::Pending };
                let error = ready!(clocks.poll_over(cx));
                return self.fail(error);
            }
        };
        if let Some(clocks) = &mut self.clocks {
            clocks.progress();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.abandon();
        Poll::Ready(Some(Err(error)))
    }

    pub(crate) const fn is_end_stream(&self) -> bool {
        self.body.is_done()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.remaining().map_or_else(SizeHint::new, SizeHint::with_exact)
    }

    /// The body will not be read to its end.
    fn abandon(&mut self) {
        if let Source::Shared(_, answering) = mem::replace(&mut self.connection, Source::Gone) {
            answering.end();
        }
    }

    /// The body is over: what is left of the connection goes back to its pool.
    fn release(&mut self) {
        let source = mem::replace(&mut self.connection, Source::Gone);
        match (source, self.keep, &self.pool) {
            (Source::Own(connection), true, Some(pool)) => pool.put_back(connection),
            (Source::Shared(_, answering), false, _) => answering.end(),
            _ => {}
        }
    }
}

/// The next piece of the body, reading as far as need be.
fn poll_step(
    connection: &mut H1Connection,
    body: &mut decode::Body,
    cx: &mut Context<'_>,
) -> Poll<Result<Step, Error>> {
    loop {
        match body.step(&mut connection.read)? {
            Step::More => {}
            step => return Poll::Ready(Ok(step)),
        }
        match ready!(connection.poll_fill(cx)) {
            Ok(0) => {
                body.close()?;
                return Poll::Ready(Ok(Step::End));
            }
            Ok(_) => {}
            Err(_) => return Poll::Ready(Err(Error::UpstreamBodyBroken)),
        }
    }
}

impl Drop for H1Response {
    fn drop(&mut self) {
        // Who knows the length stops reading where it is reached, without asking for the end.
        if self.body.is_done() {
            self.release();
        } else {
            self.abandon();
        }
    }
}
