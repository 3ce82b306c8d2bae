//! HTTP/1.1 towards an endpoint.
//!
//! The connection has no task of its own: whoever waits for the response drives it, first the
//! request's future, then the reader of the response's body. That saves a spawn, a wake and a
//! hand-off per request. When a body is read to its end the connection goes back to its pool; when
//! the response comes before the request's body is out, the connection gets a task after all, so
//! that neither direction waits for the other.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, response::Parts};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, Connection, SendRequest},
    },
};
use hyper_util::rt::TokioIo;

use super::pool::{EndpointPool, OpenConnection};
use crate::{
    clock::Tick,
    error::Error,
    http::upload::{Progress, Upload},
    listen::transport::Transport,
    pause::BodyClocks,
    task,
};

/// The longest response head taken from an endpoint, and the most read ahead of a body.
const READ_BUFFER: usize = 64 * 1024;

/// An open connection that no request is using.
pub(crate) struct H1Connection {
    sender: SendRequest<Upload>,
    driver: Box<Connection<TokioIo<Transport>, Upload>>,
    /// Counts the connection as open until it is dropped.
    _open: OpenConnection,
    /// When the pool's sweep first found it idle.
    pub(crate) idle_since: Option<Tick>,
    /// Whether it has served a request before.
    pub(crate) reused: bool,
}

impl fmt::Debug for H1Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("H1Connection").field("reused", &self.reused).finish_non_exhaustive()
    }
}

/// An attempt that ended without a response.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Why.
    pub(crate) error: Error,
    /// The request, when not a byte of it was sent.
    pub(crate) unsent: Option<Box<Request<Upload>>>,
}

/// A response, or the connection it turned into.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A head and its body.
    Response(Response<Box<H1Response>>),
    /// 101: the head, the stream, and what the endpoint already sent on it.
    Switched(Parts, Transport, Bytes),
}

impl H1Connection {
    /// Begins HTTP/1.1 on a fresh stream.
    pub(crate) async fn handshake(
        transport: Transport,
        open: OpenConnection,
    ) -> Result<Self, Error> {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .handshake(TokioIo::new(transport))
            .await
            .map_err(|_| Error::ConnectFailed)?;
        Ok(Self { sender, driver: Box::new(driver), _open: open, idle_since: None, reused: false })
    }

    /// Whether the connection can take a request now. Polls it, without waking anyone, so that a
    /// close that has arrived is seen; that costs no system call while the socket is quiet.
    pub(crate) fn is_usable(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.driver.poll_without_shutdown(&mut cx).is_pending() && self.sender.is_ready()
    }

    /// Sends a request and waits for the response's head.
    ///
    /// Not an `async fn`: that would keep the request twice in its state, which every request of
    /// the gateway would carry along.
    pub(crate) fn exchange(
        mut self,
        request: Request<Upload>,
        progress: Option<Rc<Progress>>,
    ) -> impl Future<Output = Result<(Answer, Option<Self>), Failed>> {
        let mut response = Box::pin(self.sender.try_send_request(request));
        let mut closed = false;
        async move {
            let driver = &mut self.driver;
            let answer = poll_fn(|cx| {
                closed = closed || driver.poll_without_shutdown(cx).is_ready();
                response.as_mut().poll(cx)
            })
            .await;
            drop(response);
            match answer {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    Box::pin(self.switch(response, closed)).await
                }
                Ok(response) => Ok(self.respond(response, closed, progress.as_deref())),
                Err(failed) => Err(self.fail(failed, progress.as_deref())),
            }
        }
    }

    fn fail(
        &self,
        mut failed: TrySendError<Request<Upload>>,
        progress: Option<&Progress>,
    ) -> Failed {
        let client = progress.and_then(|progress| progress.failed.get());
        let error = client.unwrap_or_else(|| classify(failed.error(), self.reused));
        Failed { error, unsent: failed.take_message().map(Box::new) }
    }

    fn respond(
        mut self,
        response: Response<Incoming>,
        closed: bool,
        progress: Option<&Progress>,
    ) -> (Answer, Option<Self>) {
        self.reused = true;
        let (head, incoming) = response.into_parts();
        let uploading = progress.is_some_and(|progress| !progress.over.get());
        let mut body = H1Response { incoming, connection: None, pool: None, clocks: None };
        let mut rest = None;
        if closed {
            // The endpoint closes after this response; what it sent is buffered in `incoming`.
        } else if uploading {
            let Self { driver, _open, .. } = self;
            task::spawn(async move {
                let _open = _open;
                let _ = driver.await;
            });
        } else if body.incoming.is_end_stream() {
            rest = Some(self);
        } else {
            body.connection = Some(self);
        }
        (Answer::Response(Response::from_parts(head, Box::new(body))), rest)
    }

    async fn switch(
        mut self,
        response: Response<Incoming>,
        mut closed: bool,
    ) -> Result<(Answer, Option<Self>), Failed> {
        let driver = &mut self.driver;
        let ended = poll_fn(|cx| {
            if closed {
                return Poll::Ready(Ok(()));
            }
            closed = true;
            driver.poll_without_shutdown(cx)
        })
        .await;
        if ended.is_err() {
            return Err(Failed { error: Error::UpgradeFailed, unsent: None });
        }
        let parts = self.driver.into_parts();
        let head = response.into_parts().0;
        Ok((Answer::Switched(head, parts.io.into_inner(), parts.read_buf), None))
    }
}

/// What went wrong, as far as hyper tells.
fn classify(error: &hyper::Error, reused: bool) -> Error {
    if error.is_parse_too_large() {
        Error::UpstreamHeadersTooLarge
    } else if error.is_parse() {
        Error::UpstreamGarbage
    } else {
        Error::UpstreamReset { reused }
    }
}

/// The body of a response; reading it drives the connection.
pub(crate) struct H1Response {
    incoming: Incoming,
    connection: Option<H1Connection>,
    pool: Option<Rc<EndpointPool>>,
    clocks: Option<BodyClocks>,
}

impl fmt::Debug for H1Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("H1Response").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl H1Response {
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
        if self.clocks.as_ref().is_some_and(BodyClocks::is_over) {
            self.connection = None;
            return Poll::Ready(Some(Err(Error::DeadlinePassed)));
        }
        // What the connection has read already comes first; driving it again may read more.
        let mut polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_pending()
            && let Some(connection) = &mut self.connection
        {
            if connection.driver.poll_without_shutdown(cx).is_ready() {
                self.connection = None;
            }
            polled = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(clocks) = &mut self.clocks {
                    clocks.progress();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => {
                self.connection = None;
                Poll::Ready(Some(Err(Error::UpstreamBodyBroken)))
            }
            Poll::Ready(None) => {
                self.release();
                Poll::Ready(None)
            }
            Poll::Pending => self.poll_clocks(cx),
        }
    }

    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(clocks) = &mut self.clocks else { return Poll::Pending };
        clocks.poll_over(cx).map(|error| {
            self.connection = None;
            Some(Err(error))
        })
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    fn release(&mut self) {
        if let (Some(connection), Some(pool)) = (self.connection.take(), self.pool.take()) {
            pool.put_back(connection);
        }
    }
}

impl Drop for H1Response {
    fn drop(&mut self) {
        // hyper's server drops a body whose length is reached without asking for its end.
        if self.incoming.is_end_stream() {
            self.release();
        }
    }
}
