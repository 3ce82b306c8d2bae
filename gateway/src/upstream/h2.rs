//! HTTP/2 towards an endpoint: one connection carries many requests.
//!
//! A connection has a task, which writes out what all its streams gathered in one go
//! ([`crate::listen::gather`]). Requests beyond the peer's limit of streams open another
//! connection ([`super::pool`]).

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{RecvStream, client};
use http::{HeaderMap, Method, Request, Response, response::Parts};
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::oneshot;

use super::{
    draft::Draft,
    h1::Failed,
    pool::OpenConnection,
    wire::{H2Wire, Wire},
};
use crate::{
    clock::{self, Tick},
    error::Error,
    http::{
        body::{poll_trailers, take_window},
        pipe::Pipe,
        upload::{Progress, Upload},
    },
    listen::{
        gather::{Gather, Shared},
        transport::Transport,
    },
    pause::BodyClocks,
    task,
};

/// Receive window of one response: what an endpoint may send before the client has taken it.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Receive window of all responses of a connection together.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// The longest response head taken from an endpoint.
const HEADER_LIST: u32 = 64 * 1024;
/// Streams opened before the peer has said how many it allows (RFC 9113 recommends no less).
const FIRST_STREAMS: usize = 100;

/// An open connection, shared by its requests.
#[derive(Debug)]
pub(crate) struct H2Connection {
    sender: client::SendRequest<Bytes>,
    io: Rc<Shared>,
    streams: Cell<usize>,
    idle_since: Cell<Tick>,
    retired: Cell<bool>,
    /// Whether a response came over it.
    served: Cell<bool>,
}

/// A response, or the tunnel that its stream turned into.
#[derive(Debug)]
pub(crate) enum H2Answer {
    /// A head and its body.
    Response(Response<Box<H2Response>>),
    /// 2xx to extended CONNECT: the head and the stream.
    Switched(Parts, Box<Wire>),
}

impl H2Connection {
    /// Begins HTTP/2 on a fresh stream and starts the task that drives it. Waits for the peer's
    /// SETTINGS: before them nobody knows how many streams it allows, and what goes beyond is
    /// refused.
    pub(crate) async fn handshake(
        transport: Transport,
        open: OpenConnection,
    ) -> Result<Rc<Self>, Error> {
        let (gather, io) = Gather::new(transport);
        let (sender, connection) = client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST)
            .initial_max_send_streams(FIRST_STREAMS)
            .enable_push(false)
            .handshake(gather)
            .await
            .map_err(|_| Error::ConnectFailed)?;
        let this = Rc::new(Self {
            sender,
            io: io.clone(),
            streams: Cell::new(0),
            idle_since: Cell::new(clock::now()),
            retired: Cell::new(false),
            served: Cell::new(false),
        });
        let handle = Rc::downgrade(&this);
        let (settle, settled) = oneshot::channel();
        task::spawn(async move {
            let _open = open;
            drive(connection, &io, settle).await;
            if let Some(this) = handle.upgrade() {
                this.retire();
            }
        });
        settled.await.map_err(|_| Error::ConnectFailed)?;
        Ok(this)
    }

    /// Whether another request fits.
    pub(crate) fn has_room(&self) -> bool {
        !self.retired.get() && self.streams.get() < self.sender.current_max_send_streams()
    }

    /// Takes no more requests; those under way go on.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
    }

    /// Whether it is of no more use.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// For how long no request has been under way.
    pub(crate) fn idle_for(&self, now: Tick) -> Duration {
        if self.streams.get() > 0 { Duration::ZERO } else { now.since(self.idle_since.get()) }
    }

    /// Bytes received so far; a stall shows as no change.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.io.read.get()
    }

    /// Sends a request and waits for the response's head. `early` is called for each 1xx.
    pub(crate) async fn exchange(
        self: &Rc<Self>,
        draft: &mut Draft,
        progress: Option<&Progress>,
        mut early: impl FnMut(Response<()>),
    ) -> Result<H2Answer, Failed> {
        let stream = StreamCount::new(self.clone());
        let mut sender = self.sender.clone();
        if let Err(error) = poll_fn(|cx| sender.poll_ready(cx)).await {
            self.retire();
            return Err(Failed::unsent(self.classify(&error)));
        }
        draft.check_claim()?;
        // The head stays with the draft, for another attempt.
        let head = Request::from_parts(draft.head.clone(), ());
        let connect = *head.method() == Method::CONNECT;
        if connect && !sender.is_extended_connect_protocol_enabled() {
            return Err(Failed::unsent(Error::UpgradeUnsupported));
        }
        let bare = draft.upload.is_end_stream();
        let (mut response, send) = match sender.send_request(head, bare && !connect) {
            Ok(sent) => sent,
            Err(error) => return Err(self.fail(&error, progress)),
        };
        let (mut pipe, tunnel) = match (connect, bare) {
            (true, _) => (None, Some(send)),
            (false, true) => {
                draft.upload.finish();
                (None, None)
            }
            (false, false) => {
                let upload = draft.upload.take();
                (Some(Box::pin(Pipe::new(upload, send))), None)
            }
        };
        let head = poll_fn(|cx| {
            if let Some(sending) = &mut pipe
                && let Poll::Ready(_) = sending.as_mut().poll(cx)
            {
                // A refused upload still gets its response; a failed one shows in `progress`.
                pipe = None;
            }
            if let Some(error) = progress.and_then(|progress| progress.failed.get()) {
                return Poll::Ready(Err(Failed { error, sent: true }));
            }
            while let Poll::Ready(Some(Ok(head))) = response.poll_informational(cx) {
                early(head);
            }
            Pin::new(&mut response)
                .poll(cx)
                .map(|head| head.map_err(|error| self.fail(&error, progress)))
        })
        .await?;
        self.served.set(true);
        if let Some(mut send) = tunnel {
            if head.status().is_success() {
                let (head, body) = head.into_parts();
                let wire = H2Wire::new(send, body, stream);
                return Ok(H2Answer::Switched(head, Box::new(Wire::H2(Box::new(wire)))));
            }
            // Refused: nothing will follow. An endpoint that is done with the stream knows.
            let _ = send.send_data(Bytes::new(), true);
        }
        let unfinished = pipe.map(pour);
        let length = content_length(head.headers());
        Ok(H2Answer::Response(head.map(|body| {
            Box::new(H2Response {
                body,
                length,
                data_done: false,
                clocks: None,
                _unfinished: unfinished,
                _stream: stream,
            })
        })))
    }

    fn fail(&self, error: &h2::Error, progress: Option<&Progress>) -> Failed {
        if error.is_go_away() || error.is_io() {
            self.retire();
        }
        let client = progress.and_then(|progress| progress.failed.get());
        // A GOAWAY ends the streams that it leaves out: nobody has looked at those (RFC 9113
        // section 6.8).
        let sent = !(error.is_go_away() && error.is_remote());
        Failed { error: client.unwrap_or_else(|| self.classify(error)), sent }
    }

    /// What went wrong, as RFC 9113 sections 7 and 8.7 tell it. An endpoint that resets the stream
    /// has looked at the request: the connection did not just turn out closed.
    fn classify(&self, error: &h2::Error) -> Error {
        match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) => Error::UpstreamRefused,
            Some(h2::Reason::PROTOCOL_ERROR | h2::Reason::COMPRESSION_ERROR)
                if !error.is_remote() =>
            {
                Error::UpstreamGarbage
            }
            _ => Error::UpstreamReset { reused: self.served.get() && !error.is_reset() },
        }
    }
}

/// Goes on sending a request whose response is there already, until either is over.
fn pour(mut pipe: Pin<Box<Pipe<Upload>>>) -> oneshot::Sender<()> {
    let (unfinished, mut over) = oneshot::channel();
    task::spawn(async move {
        poll_fn(|cx| {
            if Pin::new(&mut over).poll(cx).is_ready() || pipe.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    });
    unfinished
}

/// Runs a connection to its end: first what came in, then one write of all that is to go out.
/// `settle` is told of the peer's first frame, which is its SETTINGS (RFC 9113 section 3.4).
async fn drive(
    mut connection: client::Connection<Gather, Bytes>,
    io: &Shared,
    settle: oneshot::Sender<()>,
) {
    let mut settle = Some(settle);
    poll_fn(|cx| {
        let ended = Pin::new(&mut connection).poll(cx).is_ready();
        if io.read.get() > 0
            && !ended
            && let Some(settle) = settle.take()
        {
            // Whoever opened the connection may be gone.
            let _ = settle.send(());
        }
        match io.poll_write_out(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            _ if ended => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Counts one request on its connection.
#[derive(Debug)]
pub(super) struct StreamCount(Rc<H2Connection>);

impl StreamCount {
    fn new(connection: Rc<H2Connection>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self(connection)
    }
}

impl Drop for StreamCount {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        if self.0.streams.get() == 0 {
            self.0.idle_since.set(clock::now());
        }
    }
}

/// The body of a response.
#[derive(Debug)]
pub(crate) struct H2Response {
    body: RecvStream,
    length: Option<u64>,
    data_done: bool,
    clocks: Option<BodyClocks>,
    /// Dropped when the response is over, which ends an upload that is not.
    _unfinished: Option<oneshot::Sender<()>>,
    _stream: StreamCount,
}

impl H2Response {
    /// Fails the body when `clocks` say so.
    pub(crate) fn keep(&mut self, clocks: BodyClocks) {
        self.clocks = Some(clocks);
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.clocks.as_ref().is_some_and(BodyClocks::is_over) {
            return Poll::Ready(Some(Err(Error::DeadlinePassed)));
        }
        if !self.data_done {
            match self.body.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => {
                    take_window(&mut self.body, data.len());
                    if let Some(clocks) = &mut self.clocks {
                        clocks.progress();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Poll::Ready(Some(Err(_))) => {
                    return Poll::Ready(Some(Err(Error::UpstreamBodyBroken)));
                }
                Poll::Ready(None) => self.data_done = true,
                Poll::Pending => return self.poll_clocks(cx),
            }
        }
        match poll_trailers(&mut self.body, cx) {
            Poll::Pending => self.poll_clocks(cx),
            Poll::Ready(trailers) => Poll::Ready(trailers.map(|trailers| {
                trailers.map(Frame::trailers).map_err(|_| Error::UpstreamBodyBroken)
            })),
        }
    }

    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(clocks) = &mut self.clocks else { return Poll::Pending };
        clocks.poll_over(cx).map(|error| Some(Err(error)))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        if self.body.is_end_stream() {
            return SizeHint::with_exact(0);
        }
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
