//! The heart: choose an endpoint, get a connection, send the request, judge the outcome, perhaps
//! once more. One loop, so that balancing, bounds and second tries share one control flow.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
};

use http::{HeaderMap, HeaderValue, Request, Response, Version, header, request::Parts};
use smallvec::SmallVec;
use weir_config::model::RouteTimeout;

use super::{
    clocks::Clocks,
    h1::{Answer, Failed, H1Connection},
    h2::{H2Connection, H2Response},
    load::{EndpointLoad, Outcome},
    pool::{Pooled, Ready, UpstreamPool},
};
use crate::{
    clock,
    error::{Error, Retry},
    http::{
        body::Body,
        exchange::Exchange,
        guard::Framing,
        headers::{Outbound, prepare_upstream},
        upload::Upload,
    },
    listen::transport::Transport,
    pause::{BodyClocks, Pause},
};

/// Endpoints tried for one request while none of them has seen it.
const MOST_ATTEMPTS: u32 = 3;

/// A request ready to be sent, as often as need be.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Its head.
    pub(crate) head: Parts,
    /// Its body.
    pub(crate) upload: Upload,
    /// How it is to be sent.
    pub(crate) shape: Shape,
}

/// How a request is to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// How long the body is.
    pub(crate) framing: Framing,
    /// Protocol the client wants to switch to.
    pub(crate) upgrade: Option<HeaderValue>,
    /// Whether an attempt was made with it.
    pub(crate) again: bool,
    /// Whether the client reads trailers.
    pub(crate) trailers: bool,
    /// Host that the route sets.
    pub(crate) host: Option<HeaderValue>,
}

impl Draft {
    /// A second copy of a request that may be sent twice: without a body, and idempotent (RFC 9110
    /// section 9.2.2), so that an endpoint which did see the first does no harm with the second.
    fn duplicate(&self) -> Option<Box<Self>> {
        let repeatable = self.shape.framing == Framing::None
            && self.shape.upgrade.is_none()
            && (self.head.method.is_idempotent() || self.head.method.as_str() == "QUERY");
        repeatable.then(|| {
            let (head, shape) = (self.head.clone(), self.shape.clone());
            Box::new(Self { head, upload: Upload::empty(), shape })
        })
    }

    /// The request in the form of one connection.
    fn prepare(
        mut self: Box<Self>,
        pool: &Pooled,
        version: Version,
    ) -> Result<(Request<Upload>, Shape), Error> {
        let shape = &self.shape;
        let outbound = Outbound {
            version,
            tls: pool.0.is_tls(),
            host: shape.host.as_ref(),
            fallback_host: &pool.0.shared.host,
            framing: shape.framing,
            upgrade: shape.upgrade.as_ref(),
            again: shape.again,
            trailers: shape.trailers,
        };
        prepare_upstream(&mut self.head, &outbound)?;
        let Self { head, upload, mut shape } = *self;
        shape.again = true;
        Ok((Request::from_parts(head, upload), shape))
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Forwarded {
    /// A response.
    Response(Response<Body>),
    /// The endpoint switched protocols: its head, its stream and what it sent on it already.
    Switched(http::response::Parts, Transport, bytes::Bytes),
}

/// Sends a request to `upstream` and returns the response, its body still to be read.
pub(crate) async fn forward(
    exchange: &mut Exchange,
    upstream: &UpstreamPool,
    timeout: RouteTimeout,
    mut draft: Box<Draft>,
) -> Result<Forwarded, Error> {
    let mut clocks = Clocks::start(exchange, timeout);
    enter(exchange, upstream).await?;
    let mut tried: SmallVec<[usize; 4]> = SmallVec::new();
    let mut replayed = false;
    loop {
        let now = if exchange.attempts == 0 { exchange.began } else { clock::now() };
        let picked = {
            let mut rng = exchange.connection.worker.rng.borrow_mut();
            upstream.pick(|index| tried.contains(&index), now, &mut rng)
        };
        let Some(index) = picked else { return Err(exchange.error.unwrap_or(Error::NoEndpoint)) };
        let pool = &upstream.endpoints[index];
        exchange.attempts += 1;
        exchange.in_flight = Some(EndpointLoad::begin(pool.clone(), now));
        let failed = match attempt(exchange, pool, &mut clocks, draft).await {
            Ok(received) => return Ok(finish(exchange, pool, clocks, received)),
            Err(failed) => failed,
        };
        if let Some(in_flight) = &mut exchange.in_flight {
            in_flight.record(Outcome::Failure, clock::now());
        }
        exchange.error = Some(failed.error);
        let fresh = matches!(failed.error, Error::UpstreamReset { reused: true });
        match failed.draft {
            // Nothing was sent on a kept connection that had died: the endpoint is not to blame.
            Some(rest) if fresh && !replayed => {
                replayed = true;
                draft = rest;
            }
            Some(rest)
                if failed.error.disposition().retry == Retry::Safe
                    && exchange.attempts < MOST_ATTEMPTS =>
            {
                tried.push(index);
                draft = rest;
            }
            _ => return Err(failed.error),
        }
    }
}

/// Waits for a place among the upstream's requests.
async fn enter(exchange: &mut Exchange, upstream: &UpstreamPool) -> Result<(), Error> {
    let gate = &upstream.shared.gates.requests;
    exchange.permit = gate.try_acquire();
    if exchange.permit.is_none() {
        let patience = exchange.connection.worker.timers.deadline();
        patience.set(clock::now() + upstream.shared.config.limits.queue_timeout);
        let mut turn = pin!(gate.acquire());
        let permit = poll_fn(|cx| {
            if let Poll::Ready(permit) = turn.as_mut().poll(cx) {
                return Poll::Ready(permit.map_err(|_| Error::UpstreamBusy));
            }
            patience.poll_expired(cx).map(|()| Err(Error::QueueTimeout))
        })
        .await?;
        exchange.permit = Some(permit);
    }
    Ok(())
}

/// An attempt without a response; the draft is there when it may be sent again.
struct Lost {
    error: Error,
    draft: Option<Box<Draft>>,
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self { error, draft: None }
    }
}

/// An attempt with one.
enum Received {
    H1(Answer),
    H2(Response<Box<H2Response>>),
}

async fn attempt(
    exchange: &Exchange,
    pool: &Pooled,
    clocks: &mut Clocks,
    draft: Box<Draft>,
) -> Result<Received, Lost> {
    let ready = match pool.0.take() {
        Some(ready) => Ok(ready),
        None => {
            // Boxed: a handshake is large and rare, the request's own future common.
            let mut open = Box::pin(pool.0.open());
            clocks.limit(exchange, open.as_mut()).await.and_then(|opened| opened)
        }
    };
    match ready {
        Ok(Ready::H1(connection)) => over_h1(exchange, pool, clocks, draft, connection).await,
        Ok(Ready::H2(connection)) => over_h2(exchange, pool, clocks, draft, &connection).await,
        Err(error) => Err(Lost { error, draft: Some(draft) }),
    }
}

/// Sends over HTTP/1.1. Not an `async fn`, for the size of its state.
fn over_h1<'a>(
    exchange: &'a Exchange,
    pool: &'a Pooled,
    clocks: &'a mut Clocks,
    draft: Box<Draft>,
    connection: H1Connection,
) -> impl Future<Output = Result<Received, Lost>> + 'a {
    let spare = if connection.reused { draft.duplicate() } else { None };
    let sending = draft.prepare(pool, Version::HTTP_11).map(|(mut request, shape)| {
        if let Some(hints) = exchange.hints().cloned() {
            hyper::ext::on_informational(&mut request, move |response| {
                hints.push(response.status(), response.headers());
            });
        }
        (Box::pin(connection.exchange(request, exchange.upload.clone())), shape)
    });
    async move {
        let (mut sending, shape) = sending?;
        match clocks.limit(exchange, sending.as_mut()).await? {
            Ok((answer, rest)) => {
                if let Some(connection) = rest {
                    pool.0.put_back(connection);
                }
                Ok(Received::H1(answer))
            }
            Err(failed) => Err(lost(failed, shape, spare)),
        }
    }
}

async fn over_h2(
    exchange: &Exchange,
    pool: &Pooled,
    clocks: &mut Clocks,
    draft: Box<Draft>,
    connection: &Rc<H2Connection>,
) -> Result<Received, Lost> {
    let spare = draft.duplicate();
    let (request, shape) = draft.prepare(pool, Version::HTTP_2)?;
    let heard = connection.bytes_read();
    let hints = exchange.hints();
    let mut sent = Box::pin(connection.exchange(request, exchange.upload.as_deref(), |response| {
        if let Some(hints) = hints {
            hints.push(response.status(), response.headers());
        }
    }));
    match clocks.limit(exchange, sent.as_mut()).await {
        Ok(Ok(response)) => Ok(Received::H2(response)),
        Ok(Err(failed)) => Err(lost(failed, shape, spare)),
        Err(error) => {
            // Not a byte in all that time: the connection is dead, not just this request slow.
            if connection.bytes_read() == heard {
                connection.retire();
            }
            Err(error.into())
        }
    }
}

fn lost(failed: Failed, shape: Shape, spare: Option<Box<Draft>>) -> Lost {
    let draft = match failed.unsent {
        Some(request) => {
            let (head, upload) = (*request).into_parts();
            Some(Box::new(Draft { head, upload, shape }))
        }
        None => spare.filter(|_| {
            matches!(failed.error, Error::UpstreamReset { reused: true } | Error::UpstreamRefused)
        }),
    };
    Lost { error: failed.error, draft }
}

/// The head is there: takes the latency sample and sets the clocks of the body.
fn finish(exchange: &mut Exchange, pool: &Pooled, clocks: Clocks, received: Received) -> Forwarded {
    let now = clock::now();
    exchange.error = None;
    exchange.upstream_time = Some(now.since(exchange.began));
    let (status, headers) = match &received {
        Received::H1(Answer::Response(response)) => (response.status(), response.headers()),
        Received::H1(Answer::Switched(head, ..)) => (head.status, &head.headers),
        Received::H2(response) => (response.status(), response.headers()),
    };
    let outcome = if status.is_server_error() { Outcome::Failure } else { Outcome::Success };
    if let Some(in_flight) = &mut exchange.in_flight {
        in_flight.record(outcome, now);
    }
    let stream = is_stream(headers);
    let timers = exchange.connection.worker.timers.clone();
    let pause = Pause::new(timers, clocks.timeout.idle);
    let clocks =
        |exchange: &Exchange| BodyClocks::new(pause, clocks.into_body_limit(exchange, stream));
    Forwarded::Response(match received {
        Received::H1(Answer::Switched(head, stream, early)) => {
            return Forwarded::Switched(head, stream, early);
        }
        Received::H1(Answer::Response(response)) => response.map(|mut body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            body.keep(pool.0.clone(), clocks(exchange));
            Body::h1(body)
        }),
        Received::H2(response) => response.map(|mut body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            body.keep(clocks(exchange));
            Body::h2(body)
        }),
    })
}

/// Whether a response is one that has no natural end: server-sent events, gRPC.
fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.starts_with(b"text/event-stream") || kind.starts_with(b"application/grpc")
    })
}
