//! One request over HTTP/3 and its response.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, header};

use super::Cancels;
use crate::{
    clock,
    error::{Error, Reason},
    h3::{
        code::Code,
        fields::{self, Bounds, Malformed},
        frame::Role,
    },
    http::{
        body::{Body, H3Request},
        exchange::{EarlyData, Exchange},
        hints::Hints,
        reply,
    },
    listen::connection::Connection,
    pause::Pause,
    quic::{MessageReader, Pour, ReadError, RecvStream, SendStream, Stopped},
    route::stack,
    telemetry::record,
};

/// Bytes of a response's head and of a small body that are written without growing.
const HEAD: usize = 512;
/// How long the end of a stream may come behind a head that has no body, at the least and the most:
/// two round trips between.
const FIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(200));

/// Reads a request, has it served, and sends the response. Not an `async fn`, for the size of its
/// state.
pub(super) fn answer(
    (mut send, recv): (SendStream, RecvStream),
    connection: Rc<Connection>,
    cancels: Rc<Cancels>,
    early: bool,
) -> impl Future<Output = ()> {
    let bounds = bounds(&connection);
    let mut reader = Box::new(MessageReader::new(recv, Role::Server, bounds.bytes));
    async move {
        let request = match read_head(&mut reader, &mut send, bounds, &connection).await {
            Ok(request) => request,
            Err(Unread::Refused(error)) => return refuse(send, reader, &connection, error).await,
            Err(Unread::Malformed(code)) => {
                count(send.connection(), &cancels);
                return malformed(send, reader, &connection, code);
            }
            Err(Unread::Broken(code)) => return send.connection().close(code.value(), ""),
            Err(Unread::Gone) => return cancelled(&send, &cancels),
        };
        let (request, fault) = with_body(request, reader, bounds, &connection, early).await;
        if connection.is_uncertified()
            && let Some(leaf) = send.connection().peer_leaf()
        {
            connection.certify(&leaf);
        }
        let mut exchange = Exchange::begin(&connection);
        let hints = exchange.take_hints();
        let mut serving = Box::pin(stack::serve(exchange, request));
        let mut early_heads = Bytes::new();
        let response = poll_fn(|cx| {
            if send.poll_stopped(cx).is_ready() {
                return Poll::Ready(None);
            }
            let served = serving.as_mut().poll(cx).map(|(response, _)| Some(response));
            send_hints(&hints, &mut early_heads, &mut send, cx);
            served
        })
        .await;
        drop(serving);
        match response {
            None => cancelled(&send, &cancels),
            // Nobody asks for this response any more.
            Some(_) if of(&fault) == Some(Error::ClientGone) => {
                cancelled(&send, &cancels);
                send.reset(Code::RequestCancelled.value());
            }
            Some(response) => {
                if of(&fault).is_some() {
                    count(send.connection(), &cancels);
                }
                pour(response, early_heads, send, &connection, &cancels).await;
            }
        }
    }
}

/// What the client did wrong with the request's body so far.
type Fault = Rc<Cell<Option<Error>>>;

fn of(fault: &Option<Fault>) -> Option<Error> {
    fault.as_ref().and_then(|fault| fault.get())
}

fn bounds(connection: &Connection) -> Bounds {
    let limits = &connection.worker.world().snapshot.limits;
    // Pseudo-header fields count among them here.
    Bounds { bytes: limits.header_bytes as usize, count: limits.header_count as usize + 5 }
}

/// Why there is no request.
enum Unread {
    /// It is answered with this.
    Refused(Error),
    /// It breaks the rules of a message: the stream is reset with this code.
    Malformed(Code),
    /// It breaks the rules of the connection.
    Broken(Code),
    /// The client gave it up.
    Gone,
}

impl From<ReadError> for Unread {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Stopped(_) => Self::Gone,
            ReadError::Connection(code) => Self::Broken(code),
            ReadError::HeadersTooLong => Self::Refused(Error::HeadersTooLarge),
            ReadError::Incomplete => Self::Malformed(Code::RequestIncomplete),
            ReadError::Length => Self::Malformed(Code::MessageError),
        }
    }
}

async fn read_head(
    reader: &mut MessageReader,
    send: &mut SendStream,
    bounds: Bounds,
    connection: &Connection,
) -> Result<Request<()>, Unread> {
    let worker = &connection.worker;
    let mut pause = Pause::new(worker.timers.clone(), worker.world().snapshot.timeouts.header_read);
    let block = poll_fn(|cx| {
        if let Poll::Ready(block) = reader.poll_head(cx) {
            return Poll::Ready(block.map_err(Unread::from));
        }
        if send.poll_stopped(cx).is_ready() {
            return Poll::Ready(Err(Unread::Gone));
        }
        pause.poll_over(cx).map(|()| Err(Unread::Refused(Error::RequestTimeout)))
    })
    .await?;
    fields::request(&block, bounds).map_err(|malformed| match malformed {
        Malformed::Message => Unread::Malformed(Code::MessageError),
        Malformed::TooLarge => Unread::Refused(Error::HeadersTooLarge),
        Malformed::Connection(code) => Unread::Broken(code),
    })
}

/// Looks whether a body follows the head. Where none is to be expected the end of the stream, which
/// may come in another packet, is waited for: a request without a body needs no framing upstream,
/// and may be sent again.
async fn with_body(
    mut request: Request<()>,
    mut reader: Box<MessageReader>,
    bounds: Bounds,
    connection: &Connection,
    early: bool,
) -> (Request<Body>, Option<Fault>) {
    if early {
        request.extensions_mut().insert(EarlyData);
    }
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    reader.expect(length);
    let bodiless =
        length.is_none() && (request.method().is_safe() || request.method() == Method::DELETE);
    let patience = (2 * reader.connection().rtt()).clamp(FIN.0, FIN.1);
    let mut pause = Pause::new(connection.worker.timers.clone(), patience);
    poll_fn(|cx| {
        let known = reader.look_ahead(cx);
        if known || !bodiless { Poll::Ready(()) } else { pause.poll_over(cx) }
    })
    .await;
    if reader.is_end_stream() {
        return (request.map(|()| Body::empty()), None);
    }
    let fault = Fault::default();
    let body = H3Request::new(reader, bounds, fault.clone());
    (request.map(|()| Body::h3_request(body)), Some(fault))
}

/// Writes interim responses. One that does not fit at once waits for the next turn.
fn send_hints(hints: &Hints, early: &mut Bytes, send: &mut SendStream, cx: &mut Context<'_>) {
    loop {
        // A client that takes no more is seen by the next turn.
        if send.poll_write(cx, early).is_pending() {
            return;
        }
        let Some(hint) = hints.pop() else { return };
        let mut head = BytesMut::new();
        fields::encode_response(hint.status(), hint.headers(), &mut head);
        *early = head.freeze();
    }
}

/// Sends a response; a client that opens its window for nothing within `body_idle` is cut off.
async fn pour(
    response: Response<Body>,
    early: Bytes,
    send: SendStream,
    connection: &Connection,
    cancels: &Cancels,
) {
    let quic = send.connection().clone();
    let (parts, body) = response.into_parts();
    let mut head = BytesMut::with_capacity(HEAD);
    head.extend_from_slice(&early);
    fields::encode_response(parts.status, &parts.headers, &mut head);
    drop(parts);
    let worker = &connection.worker;
    let mut pour = pin!(Pour::new(head, body, send));
    let mut pause = Pause::new(worker.timers.clone(), worker.world().snapshot.timeouts.body_idle);
    let mut seen = 0;
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = pour.as_mut().poll(cx) {
            return Poll::Ready(Some(ended));
        }
        if seen != pour.pieces() || !pour.waits_for_room() {
            seen = pour.pieces();
            pause.progress();
        }
        if pour.waits_for_room() { pause.poll_over(cx).map(|()| None) } else { Poll::Pending }
    })
    .await;
    if let Some(Err(crate::quic::Broken::Receiver(Stopped::Code(_)))) = ended {
        count(&quic, cancels);
    }
}

/// Answers what is no request yet.
async fn refuse(
    send: SendStream,
    mut reader: Box<MessageReader>,
    connection: &Rc<Connection>,
    error: Error,
) {
    reader.stop(Code::NoError);
    let mut response = reply::of_error(error);
    let length = http_body::Body::size_hint(response.body()).exact().unwrap_or(0);
    let headers = response.headers_mut();
    headers.remove(header::CONNECTION);
    headers.insert(header::DATE, connection.worker.date().clone());
    headers.insert(header::CONTENT_LENGTH, length.into());
    record::refusal(connection, error, length);
    let unlimited = Cancels::new(clock::now());
    pour(response, Bytes::new(), send, connection, &unlimited).await;
}

/// A malformed request is a stream error (RFC 9114 section 4.1.2).
fn malformed(
    mut send: SendStream,
    mut reader: Box<MessageReader>,
    connection: &Rc<Connection>,
    code: Code,
) {
    record::refusal(connection, Error::BadRequest(Reason::FieldValue), 0);
    reader.stop(code);
    send.reset(code.value());
}

/// The client gave a request up before it was answered.
fn cancelled(send: &SendStream, cancels: &Cancels) {
    count(send.connection(), cancels);
}

fn count(quic: &crate::quic::Connection, cancels: &Cancels) {
    if cancels.add(clock::now()) {
        quic.close(Code::ExcessiveLoad.value(), "too many requests given up");
    }
}
