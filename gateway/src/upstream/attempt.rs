//! One attempt: a connection to one endpoint, the request on it, the response's head.

use std::{pin::pin, rc::Rc};

use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};

use super::{
    clocks::Clocks,
    draft::Draft,
    forward::{Forwarded, judge},
    h1::{Answer, Failed},
    h2::{H2Answer, H2Connection},
    h3::{H3Answer, H3Connection},
    load::Outcome,
    pool::{Pooled, Ready, UpstreamPool},
};
use crate::{
    clock,
    http::{body::Body, exchange::Exchange},
    pause::{BodyClocks, Pause},
};

/// The response's head, by the connection that it came by.
pub(super) enum Received {
    H1(Answer),
    H2(H2Answer),
    H3(H3Answer),
}

/// Makes one.
pub(super) async fn attempt(
    exchange: &Exchange,
    pool: &Pooled,
    clocks: &mut Clocks,
    draft: &mut Draft,
) -> Result<Received, Failed> {
    if draft.is_connect() {
        let mut dialling = Box::pin(pool.0.dial());
        let dialled = clocks.limit(exchange, dialling.as_mut()).await.and_then(|dialled| dialled);
        let wire = dialled.map_err(Failed::unsent)?;
        let (head, ()) = Response::new(()).into_parts();
        return Ok(Received::H1(Answer::Switched(head, wire)));
    }
    let tunnel = draft.shape.upgrade.is_some();
    let ready = match pool.0.take(tunnel) {
        Some(ready) => Ok(ready),
        None => {
            // Boxed: a handshake is large and rare, the request's own future common.
            let mut open = Box::pin(pool.0.open(tunnel));
            clocks.limit(exchange, open.as_mut()).await.and_then(|opened| opened)
        }
    };
    match ready.map_err(Failed::unsent)? {
        Ready::H1(connection) => {
            draft.prepare(pool, Version::HTTP_11)?;
            let mut sending = pin!(connection.exchange(draft, exchange.hints()));
            match clocks.limit(exchange, sending.as_mut()).await {
                Ok(answered) => answered.map(Received::H1),
                Err(error) => Err(Failed { error, sent: true }),
            }
        }
        Ready::H2(connection) => {
            draft.prepare(pool, Version::HTTP_2)?;
            let mut sending = Box::pin(over_h2(exchange, draft, &connection));
            let heard = connection.bytes_read();
            match clocks.limit(exchange, sending.as_mut()).await {
                Ok(answered) => answered.map(Received::H2),
                Err(error) => {
                    // Not a byte in all that time: the connection is dead, not just slow.
                    if connection.bytes_read() == heard {
                        connection.retire();
                    }
                    Err(Failed { error, sent: true })
                }
            }
        }
        Ready::H3(connection) => {
            draft.prepare(pool, Version::HTTP_3)?;
            let mut sending = Box::pin(over_h3(exchange, draft, &connection));
            match clocks.limit(exchange, sending.as_mut()).await {
                Ok(answered) => answered.map(Received::H3),
                Err(error) => Err(Failed { error, sent: true }),
            }
        }
    }
}

async fn over_h2(
    exchange: &Exchange,
    draft: &mut Draft,
    connection: &Rc<H2Connection>,
) -> Result<H2Answer, Failed> {
    connection.exchange(draft, exchange.upload.as_deref(), early(exchange)).await
}

async fn over_h3(
    exchange: &Exchange,
    draft: &mut Draft,
    connection: &Rc<H3Connection>,
) -> Result<H3Answer, Failed> {
    connection.exchange(draft, exchange.upload.as_deref(), early(exchange)).await
}

/// Passes interim responses on.
fn early(exchange: &Exchange) -> impl FnMut(Response<()>) {
    let hints = exchange.hints();
    move |response| {
        if let Some(hints) = hints {
            hints.push(response.status(), response.headers());
        }
    }
}

impl Received {
    fn head(&self) -> (StatusCode, &HeaderMap) {
        match self {
            Self::H1(Answer::Response(response)) => (response.status(), response.headers()),
            Self::H1(Answer::Bodiless(head, _) | Answer::Switched(head, _))
            | Self::H2(H2Answer::Switched(head, _))
            | Self::H3(H3Answer::Switched(head, _)) => (head.status, &head.headers),
            Self::H2(H2Answer::Response(response)) => (response.status(), response.headers()),
            Self::H3(H3Answer::Response(response)) => (response.status(), response.headers()),
        }
    }
}

/// The head is there: takes the latency sample and sets the clocks of the body.
pub(super) fn finish(
    exchange: &mut Exchange,
    (upstream, pool): (&UpstreamPool, &Pooled),
    clocks: Clocks,
    received: Received,
    draft: Box<Draft>,
) -> Forwarded {
    let now = clock::now();
    exchange.error = None;
    exchange.upstream_time =
        exchange.in_flight.as_ref().map(|in_flight| now.since(in_flight.began()));
    let (status, headers) = received.head();
    let kind = Kind::of(headers);
    judge(exchange, upstream, kind.outcome(status, headers), now);
    let stream = kind != Kind::Other;
    pool.0.hear(headers, now);
    let timers = exchange.connection.worker.timers.clone();
    let pause = Pause::new(timers, clocks.timeout.idle);
    let clocks =
        |exchange: &Exchange| BodyClocks::new(pause, clocks.into_body_limit(exchange, stream));
    Forwarded::Response(match received {
        Received::H1(Answer::Switched(head, wire))
        | Received::H2(H2Answer::Switched(head, wire))
        | Received::H3(H3Answer::Switched(head, wire)) => {
            return Forwarded::Switched(head, wire, draft.client);
        }
        Received::H1(Answer::Bodiless(head, connection)) => {
            if let Some(connection) = connection {
                pool.0.put_back(connection);
            }
            Response::from_parts(head, Body::empty())
        }
        Received::H1(Answer::Response(response)) => response.map(|mut body| {
            body.keep(pool.0.clone(), clocks(exchange));
            Body::h1(body)
        }),
        Received::H2(H2Answer::Response(response)) => response.map(|mut body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            body.keep(clocks(exchange));
            Body::h2(body)
        }),
        Received::H3(H3Answer::Response(response)) => response.map(|mut body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            body.keep(clocks(exchange));
            Body::h3(body)
        }),
    })
}

/// What a response's type says of how it is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Server-sent events: no natural end.
    Events,
    /// gRPC: perhaps no natural end, and a status of its own.
    Grpc,
    Other,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Self {
        let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        if kind.starts_with(b"application/grpc") {
            Self::Grpc
        } else if kind.starts_with(b"text/event-stream") {
            Self::Events
        } else {
            Self::Other
        }
    }

    /// Whether the endpoint failed, as far as the head tells: a call of gRPC that fails at once has
    /// its status there, INTERNAL (13) or UNAVAILABLE (14) when the server is at fault.
    fn outcome(self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        let failed = |code: &HeaderValue| matches!(code.as_bytes(), b"13" | b"14");
        let grpc = self == Self::Grpc && headers.get("grpc-status").is_some_and(failed);
        if grpc || status.is_server_error() { Outcome::Failure } else { Outcome::Success }
    }
}
