//! HTTP/2 from a client: the h2 crate's machine, one task a connection.
//!
//! The connection's task polls its own streams, and writes once after each turn what they all
//! gathered ([`super::gather`]): sixteen responses that are ready together cost one system call.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, Stream};
use h2::{
    Reason, RecvStream,
    server::{self, SendResponse},
};
use http::{Request, Response};

use super::{
    closing,
    connection::Connection,
    gather::{Gather, Shared},
    transport::Transport,
};
use crate::{
    clock::{self, Tick},
    http::{body::Body, exchange::Exchange, pipe::Pipe},
    pause::Pause,
    route::stack,
    timers::Deadline,
};

/// Unsent response bytes at which a stream's source is asked for no more; its last piece may go
/// past them. Each stream has this bound; a connection has as many as it may have streams
/// (`limits.h2_streams`).
const SEND_BUFFER: usize = 64 * 1024;
/// Resets that our side had to send before the client is cut off (MadeYouReset, CVE-2025-8671).
const LOCAL_RESETS: usize = 100;
/// Streams the client opened and reset at once before it is cut off (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// How long after GOAWAY an idle connection may stay open.
const GOODBYE: Duration = Duration::from_secs(5);

/// Serves a connection to its end.
pub(crate) async fn serve(transport: Transport, connection: Rc<Connection>) {
    let (gather, io) = Gather::new(transport);
    let deadline = connection.worker.timers.deadline();
    let world = connection.worker.world();
    let limits = &world.snapshot.limits;
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(limits.h2_streams)
        .initial_window_size(limits.h2_stream_window)
        .initial_connection_window_size(limits.h2_connection_window)
        .max_header_list_size(limits.header_bytes)
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(LOCAL_RESETS))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .enable_connect_protocol();
    deadline.set(clock::now() + world.snapshot.timeouts.handshake);
    let mut handshake = pin!(builder.handshake::<_, Bytes>(gather));
    let machine = poll_fn(|cx| {
        if deadline.poll_expired(cx).is_ready() {
            return Poll::Ready(None);
        }
        let machine = handshake.as_mut().poll(cx);
        let _ = io.poll_write_out(cx);
        machine.map(Result::ok)
    })
    .await;
    drop(world);
    deadline.clear();
    let Some(machine) = machine else { return };
    Session { machine, io, connection, deadline, stage: Stage::Open, wait: Wait::Nothing }
        .run()
        .await;
}

/// How far a connection's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// GOAWAY is sent, then; streams under way go on.
    Leaving(Tick),
}

/// What the connection's deadline stands for. It is set when this changes and only then: to set it
/// anew would forget an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Nothing,
    /// For a request, since then.
    Quiet(Tick),
    /// For the client to close after GOAWAY, since then.
    Goodbye(Tick),
    /// For the socket to take bytes, after it took so many.
    Socket(u64),
}

struct Session {
    machine: server::Connection<Gather, Bytes>,
    io: Rc<Shared>,
    connection: Rc<Connection>,
    deadline: Deadline,
    stage: Stage,
    wait: Wait,
}

impl Session {
    async fn run(mut self) {
        let mut streams = FuturesUnordered::new();
        poll_fn(|cx| {
            self.connection.register(cx);
            if self.connection.is_draining() {
                self.leave();
            }
            poll_streams(&mut streams, cx);
            loop {
                match self.machine.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, respond)))) => {
                        streams.push(answer(request, respond, self.connection.clone()));
                    }
                    Poll::Ready(_) => {
                        let _ = self.io.poll_write_out(cx);
                        return Poll::Ready(());
                    }
                    Poll::Pending => {
                        // New streams may have answered already; their frames go out now.
                        if !poll_streams(&mut streams, cx) {
                            break;
                        }
                    }
                }
            }
            if let Poll::Ready(Err(_)) = self.io.poll_write_out(cx) {
                return Poll::Ready(());
            }
            // A tunnel of which the endpoint has closed its direction may go on in the other.
            let quiet = streams.is_empty() && !self.connection.is_uploading(cx);
            self.poll_clock(cx, quiet)
        })
        .await;
        drop(streams);
        drop(self.machine);
        if let Some(transport) = Rc::into_inner(self.io).map(Shared::into_transport) {
            closing::close(transport).await;
        }
    }

    fn leave(&mut self) {
        if self.stage == Stage::Open {
            self.stage = Stage::Leaving(clock::now());
            self.machine.graceful_shutdown();
        }
    }

    /// Ends a connection that is quiet for too long, or whose client does not read.
    fn poll_clock(&mut self, cx: &mut Context<'_>, quiet: bool) -> Poll<()> {
        let timeouts = &self.connection.worker.world().snapshot.timeouts;
        let wait = match self.stage {
            _ if self.io.is_blocked() => Wait::Socket(self.io.written.get()),
            _ if !quiet => Wait::Nothing,
            Stage::Open => Wait::Quiet(self.connection.idle_since.get()),
            Stage::Leaving(since) => Wait::Goodbye(since.max(self.connection.idle_since.get())),
        };
        if wait != self.wait {
            match wait {
                Wait::Nothing => self.deadline.clear(),
                Wait::Socket(_) => self.deadline.set(clock::now() + timeouts.body_idle),
                Wait::Quiet(since) => self.deadline.set(since + timeouts.keep_alive),
                Wait::Goodbye(since) => self.deadline.set(since + timeouts.keep_alive.min(GOODBYE)),
            }
            self.wait = wait;
        }
        if self.deadline.poll_expired(cx).is_pending() {
            return Poll::Pending;
        }
        if matches!(wait, Wait::Quiet(_)) {
            self.leave();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

/// Polls the streams that are awake; true when one of them ended.
fn poll_streams<F: Future<Output = ()>>(
    streams: &mut FuturesUnordered<F>,
    cx: &mut Context<'_>,
) -> bool {
    let mut ended = false;
    while let Poll::Ready(Some(())) = Pin::new(&mut *streams).poll_next(cx) {
        ended = true;
    }
    ended
}

/// One request and its response. Not an `async fn`, for the size of its state.
fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    connection: Rc<Connection>,
) -> impl Future<Output = ()> {
    let mut exchange = Exchange::begin(&connection);
    let length = request
        .headers()
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let hints = exchange.take_hints();
    let request = request.map(|stream| Body::stream(stream, length));
    let mut serving = Box::pin(stack::serve(exchange, request));
    async move {
        let response = poll_fn(|cx| {
            if respond.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            let served = serving.as_mut().poll(cx).map(|(response, _)| Some(response));
            while let Some(hint) = hints.pop() {
                // A client that has reset the stream by now is seen by the next poll.
                let _ = respond.send_informational(hint);
            }
            served
        })
        .await;
        drop(serving);
        let Some(response) = response else { return };
        if let Some(pipe) = respond_with(&mut respond, response) {
            pour(pipe, &connection).await;
        }
    }
}

/// Sends the head; what is left is the body.
fn respond_with(respond: &mut SendResponse<Bytes>, response: Response<Body>) -> Option<Pipe<Body>> {
    let (head, body) = response.into_parts();
    let end = http_body::Body::is_end_stream(&body);
    match respond.send_response(Response::from_parts(head, ()), end) {
        Ok(_) if end => None,
        Ok(stream) => Some(Pipe::new(body, stream)),
        Err(_) => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            None
        }
    }
}

/// Sends a body; a client that opens its window for nothing within `body_idle` is cut off.
async fn pour(pipe: Pipe<Body>, connection: &Connection) {
    let worker = &connection.worker;
    let mut pipe = pin!(pipe);
    let mut pause = Pause::new(worker.timers.clone(), worker.world().snapshot.timeouts.body_idle);
    let mut seen = 0;
    poll_fn(|cx| {
        if pipe.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if seen != pipe.pieces() || !pipe.waits_for_room() {
            seen = pipe.pieces();
            pause.progress();
        }
        if pipe.waits_for_room() { pause.poll_over(cx) } else { Poll::Pending }
    })
    .await;
}
