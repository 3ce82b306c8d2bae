//! HTTP/1.1 from a client: hyper's machine, our clocks.
//!
//! One coarse deadline serves all of a connection's time-outs: waiting for the first byte of a
//! request, for the rest of its head, and for a client that does not read its response. A
//! connection that has been quiet for a while is parked: hyper's buffers are given back and only
//! the socket is kept, which is what ten thousand idle clients cost.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::TokioIo;

use self::{early::Early, watched::Watched};
use super::{closing, connection::Connection, transport::Transport};
use crate::{
    clock::{self, Tick},
    error::{Error, Reason},
    http::{body::Body, exchange::Exchange, tunnel::Tunnel},
    route::stack,
    telemetry::record,
    timers::Deadline,
};

mod early;
mod watched;

/// Quiet for this long, a connection is parked.
const PARK_AFTER: Duration = Duration::from_secs(1);
/// Fields of a head that hyper takes unless told otherwise.
const HYPER_FIELDS: usize = 100;
/// The most hyper reads ahead.
const READ_BUFFER: usize = 64 * 1024;

/// Serves a connection to its end.
pub(crate) async fn serve(transport: Transport, connection: Rc<Connection>) {
    let mut deadline = connection.worker.timers.deadline();
    let (mut transport, mut early) = (transport, Bytes::new());
    loop {
        let activity = Rc::new(Activity::default());
        let left = Box::pin(active(transport, early, &connection, &activity, &mut deadline)).await;
        match left {
            Exit::Parked(quiet, begun) => {
                (transport, early) = (quiet, begun);
                if early.is_empty() && !parked(&transport, &connection, &mut deadline).await {
                    return Box::pin(closing::close(transport)).await;
                }
            }
            Exit::Refused(socket, error) => {
                return Box::pin(closing::refuse(socket, &connection, error)).await;
            }
            Exit::Switched(socket, early) => {
                if let Some(tunnel) = activity.tunnel.take() {
                    Box::pin(tunnel.run(socket, early)).await;
                }
                return;
            }
            Exit::Done(socket) => return Box::pin(closing::close(socket)).await,
            Exit::Dead => return,
        }
    }
}

/// Why hyper's machine was left.
enum Exit {
    /// Nothing happens; the socket is all there is, but for a head that had begun unseen.
    Parked(Transport, Bytes),
    /// The client sent something that is not a request, or was too slow with it.
    Refused(Transport, Error),
    /// The connection is a tunnel now; the bytes came behind the request.
    Switched(Transport, Bytes),
    /// The last response is written.
    Done(Transport),
    /// The socket is of no use.
    Dead,
}

/// What hyper's socket, its service and the loop around them share.
#[derive(Default)]
struct Activity {
    /// Bytes of a next request have come.
    head_begun: Cell<bool>,
    /// A request has come.
    served: Cell<bool>,
    /// The socket takes no more bytes for now.
    blocked: Cell<bool>,
    /// Bytes it took so far.
    written: Cell<u64>,
    /// The status with which hyper itself refused a request.
    refused: Cell<Option<u16>>,
    /// What the connection becomes once hyper lets go of it.
    tunnel: Cell<Option<Box<Tunnel>>>,
    /// What comes before the response.
    early: Early,
}

/// What the deadline stands for at the moment. It is set when this changes and only then: to set it
/// anew would forget an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// For a request, since then; long enough quiet means parking.
    Quiet(Tick),
    /// For the rest of a head.
    Head,
    /// For the client to read, after it took so many bytes.
    Reader(u64),
    /// For the rest of an upload whose response has ended; no progress prolongs it.
    Upload,
    /// For ourselves and the upstream, who keep clocks of their own.
    Nothing,
}

async fn active(
    transport: Transport,
    early: Bytes,
    connection: &Rc<Connection>,
    activity: &Rc<Activity>,
    deadline: &mut Deadline,
) -> Exit {
    let io =
        Watched { transport, early, connection: connection.clone(), activity: activity.clone() };
    let world = connection.worker.world();
    let limits = &world.snapshot.limits;
    let head = limits.header_bytes as usize;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(READ_BUFFER.max(head + 8 * 1024)).max_header_size(head);
    // Up to its own bound hyper parses without an allocation, and the guard counts.
    if limits.header_count as usize > HYPER_FIELDS {
        builder.max_headers(limits.header_count as usize);
    }
    drop(world);
    let mut machine =
        Box::new(builder.serve_connection(TokioIo::new(io), service(connection, activity)));
    let mut asked_to_end = false;
    let mut wait = Wait::Nothing;
    let end = poll_fn(|cx| {
        connection.register(cx);
        // Asked before its first request, hyper would close on a request that is on its way.
        if connection.is_draining() && !asked_to_end && activity.served.get() {
            asked_to_end = true;
            Pin::new(&mut *machine).graceful_shutdown();
        }
        // `Watched` keeps the socket open where hyper means to shut it down: what comes after the
        // last response is ours to decide.
        if let Poll::Ready(end) = Pin::new(&mut *machine).poll(cx) {
            return Poll::Ready(Some(end));
        }
        wait_for(&mut wait, connection, activity, deadline, cx);
        deadline.poll_expired(cx).map(|()| None)
    })
    .await;
    deadline.clear();
    let parts = machine.into_parts();
    let socket = parts.io.into_inner().transport;
    match end {
        None if matches!(wait, Wait::Quiet(_)) => {
            // Empty as it is, it would hold on to hyper's whole buffer.
            let begun = if parts.read_buf.is_empty() { Bytes::new() } else { parts.read_buf };
            Exit::Parked(socket, begun)
        }
        None if wait == Wait::Head => Exit::Refused(socket, Error::RequestTimeout),
        None => Exit::Dead,
        // A client that speaks something else entirely would not understand a 400 either.
        Some(_) if activity.refused.get().is_some() && is_foreign(&parts.read_buf) => {
            record::refusal(connection, Error::BadRequest(Reason::Syntax), 0);
            Exit::Done(socket)
        }
        Some(_) if activity.refused.get().is_some() => {
            Exit::Refused(socket, refusal(activity.refused.get(), &parts.read_buf, head))
        }
        Some(Ok(())) => {
            let tunnel = activity.tunnel.take();
            let switched = tunnel.is_some();
            activity.tunnel.set(tunnel);
            if switched { Exit::Switched(socket, parts.read_buf) } else { Exit::Done(socket) }
        }
        Some(Err(_)) => Exit::Dead,
    }
}

/// Points the deadline at what the connection waits for now.
fn wait_for(
    wait: &mut Wait,
    connection: &Connection,
    activity: &Activity,
    deadline: &mut Deadline,
    cx: &Context<'_>,
) {
    // The response may end before the request does: until then, what comes is no next head, and
    // hyper's machine must stay, for only it knows where the body ends.
    let uploading = connection.is_uploading(cx);
    let next = if activity.blocked.get() {
        Wait::Reader(activity.written.get())
    } else if uploading {
        activity.head_begun.set(false);
        Wait::Upload
    } else if connection.busy.get() > 0 || connection.unflushed.get() {
        Wait::Nothing
    } else if activity.head_begun.get() {
        Wait::Head
    } else {
        Wait::Quiet(connection.idle_since.get())
    };
    if *wait == next {
        return;
    }
    *wait = next;
    let timeouts = &connection.worker.world().snapshot.timeouts;
    match next {
        Wait::Nothing => deadline.clear(),
        Wait::Quiet(since) => deadline.set(since + PARK_AFTER.min(timeouts.keep_alive)),
        Wait::Head => deadline.set(clock::now() + timeouts.header_read),
        Wait::Reader(_) | Wait::Upload => deadline.set(clock::now() + timeouts.body_idle),
    }
}

/// Waits for the next byte on a parked connection; false when it should close instead.
async fn parked(transport: &Transport, connection: &Connection, deadline: &mut Deadline) -> bool {
    let keep_alive = connection.worker.world().snapshot.timeouts.keep_alive;
    deadline.set(connection.idle_since.get() + keep_alive);
    let readable = poll_fn(|cx| {
        connection.register(cx);
        if connection.is_draining() {
            return Poll::Ready(false);
        }
        if let Poll::Ready(readable) = transport.stream().poll_readable(cx) {
            return Poll::Ready(readable.is_ok());
        }
        deadline.poll_expired(cx).map(|()| false)
    })
    .await;
    deadline.clear();
    readable
}

fn service(
    connection: &Rc<Connection>,
    activity: &Rc<Activity>,
) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + use<> {
    let (connection, activity) = (connection.clone(), activity.clone());
    service_fn(move |request: Request<Incoming>| {
        activity.head_begun.set(false);
        activity.served.set(true);
        let mut exchange = Exchange::begin(&connection);
        // Clients of HTTP/1.0 take the first head for the last (RFC 9110 section 15.2).
        if request.version() == Version::HTTP_11 {
            exchange.pass_hints(activity.early.hints());
        }
        // Refused or not, what comes behind it was meant for a tunnel and never is a request.
        let last = *request.method() == Method::CONNECT;
        let (activity, connection) = (activity.clone(), connection.clone());
        async move {
            let serving = pin!(stack::serve(exchange, request.map(Body::hyper)));
            let (mut response, tunnel) = activity.early.after(serving).await;
            if (last || connection.is_draining()) && tunnel.is_none() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            activity.tunnel.set(tunnel);
            Ok(response)
        }
    })
}

/// Whether these bytes, which hyper refused, begin with a line of three words of which the last is
/// no HTTP version: no request of any HTTP/1 (RFC 9112 section 3), but perhaps a broken HTTP/2
/// preface, on which RFC 9113 section 3.4 has the connection closed.
fn is_foreign(bytes: &[u8]) -> bool {
    let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    method.is_some()
        && target.is_some()
        && words.next().is_none()
        && version.is_some_and(|version| !version.starts_with(b"HTTP"))
}

/// The error behind a status that hyper chose for bytes it could not take as a request. To hyper a
/// target that alone is longer than the head may be is a head too long.
fn refusal(status: Option<u16>, bytes: &[u8], limit: usize) -> Error {
    match status {
        Some(414) => Error::UriTooLong,
        Some(431) if bytes.iter().take(limit).all(|b| *b != b'\n') => Error::UriTooLong,
        Some(431) => Error::HeadersTooLarge,
        _ => Error::BadRequest(Reason::Syntax),
    }
}
