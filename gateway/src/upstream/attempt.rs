//! One attempt: a connection to one endpoint, the request on it, the response's head.

use std::{pin::pin, rc::Rc, time::Duration};

use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};

use super::{
    clocks::Clocks,
    draft::Draft,
    forward::Forwarded,
    h1::{Answer, Failed},
    h2::{H2Answer, H2Connection},
    h3::{H3Answer, H3Connection},
    load::Outcome,
    pool::{Pooled, Ready},
    underway::Underway,
};
use crate::{
    clock,
    http::{body::Body, exchange::Exchange},
    pause::BodyClocks,
};

/// A response, as the connection gave it.
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
        return Ok(Received::H1(Answer::Switched(head, Box::new(wire))));
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
                    if connection.bytes_read() == heard && waited_enough(exchange, clocks) {
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

/// Whether silence for as long as this attempt took says something of its connection: the route's
/// time does; a client's own deadline, or the time until another attempt, may be as short as they
/// like.
fn waited_enough(exchange: &Exchange, clocks: &Clocks) -> bool {
    const LONG: Duration = Duration::from_secs(1);
    let now = clock::now();
    let began = exchange.in_flight.as_ref().map_or(exchange.began, Underway::began);
    !(exchange.is_late(now) || clocks.is_hurried()) || now.since(began) >= LONG
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

/// What a response's head says that the gateway goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub(super) status: StatusCode,
    /// How the endpoint fared.
    pub(super) outcome: Outcome,
    /// Whether its body may have no natural end: server-sent events, gRPC.
    pub(super) stream: bool,
}

impl Received {
    pub(super) fn head(&self) -> (StatusCode, &HeaderMap) {
        match self {
            Self::H1(Answer::Response(response)) => (response.status(), response.headers()),
            Self::H1(Answer::Bodiless(head, _) | Answer::Switched(head, _))
            | Self::H2(H2Answer::Switched(head, _))
            | Self::H3(H3Answer::Switched(head, _)) => (head.status, &head.headers),
            Self::H2(H2Answer::Response(response)) => (response.status(), response.headers()),
            Self::H3(H3Answer::Response(response)) => (response.status(), response.headers()),
        }
    }

    pub(super) fn heard(&self) -> Heard {
        let (status, headers) = self.head();
        let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let grpc = kind.starts_with(b"application/grpc");
        // A call of gRPC that fails at once has its status in the head: INTERNAL (13) or
        // UNAVAILABLE (14) when the server is at fault.
        let failed = |code: &HeaderValue| matches!(code.as_bytes(), b"13" | b"14");
        let failed =
            (grpc && headers.get("grpc-status").is_some_and(failed)) || status.is_server_error();
        Heard {
            status,
            outcome: if failed { Outcome::Failure } else { Outcome::Success },
            stream: grpc || kind.starts_with(b"text/event-stream"),
        }
    }

    /// The response with its body still to be read, within `clocks`; or the tunnel, whose client's
    /// end is `client` where that is a stream.
    pub(super) fn open(
        self,
        pool: &Pooled,
        clocks: impl FnOnce() -> BodyClocks,
        client: Option<Box<Body>>,
    ) -> Forwarded {
        Forwarded::Response(match self {
            Self::H1(Answer::Switched(head, wire))
            | Self::H2(H2Answer::Switched(head, wire))
            | Self::H3(H3Answer::Switched(head, wire)) => {
                return Forwarded::Switched(head, wire, client);
            }
            Self::H1(Answer::Bodiless(head, connection)) => {
                if let Some(connection) = connection {
                    pool.0.put_back(connection);
                }
                Response::from_parts(head, Body::empty())
            }
            Self::H1(Answer::Response(response)) => response.map(|mut body| {
                body.keep(pool.0.clone(), clocks());
                Body::h1(body)
            }),
            Self::H2(H2Answer::Response(response)) => response.map(|mut body| {
                if body.is_end_stream() {
                    return Body::empty();
                }
                body.keep(clocks());
                Body::h2(body)
            }),
            Self::H3(H3Answer::Response(response)) => response.map(|mut body| {
                if body.is_end_stream() {
                    return Body::empty();
                }
                body.keep(clocks());
                Body::h3(body)
            }),
        })
    }
}
