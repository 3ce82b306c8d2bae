//! The heart: choose an endpoint, get a connection, send the request, judge the outcome, perhaps
//! once more. One loop, so that balancing, bounds and second tries share one control flow.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};
use smallvec::SmallVec;
use weir_config::model::RouteTimeout;

use super::{
    clocks::Clocks,
    h1::{Answer, Failed},
    h2::{H2Answer, H2Connection},
    h3::{H3Answer, H3Connection},
    load::{EndpointLoad, Outcome},
    pool::{Pooled, Ready, UpstreamPool},
    wire::Wire,
};
use crate::{
    clock::{self, Tick},
    error::{Error, Retry, Side},
    http::{
        body::Body,
        exchange::Exchange,
        guard::Framing,
        headers::{Outbound, Upgrade, prepare_upstream},
        upload::Upload,
    },
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
    /// The client's half of the tunnel that it asks for on its own stream.
    pub(crate) client: Option<Box<Body>>,
    /// How it is to be sent.
    pub(crate) shape: Shape,
}

/// How a request is to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// How long the body is.
    pub(crate) framing: Framing,
    /// What the client wants its connection or stream to become.
    pub(crate) upgrade: Option<Upgrade>,
    /// Whether an attempt was made with it.
    pub(crate) again: bool,
    /// Which attempt at it is next or under way, the first being 1: the upstream is told from the
    /// second on.
    pub(crate) attempt: u32,
    /// Whether the client reads trailers.
    pub(crate) trailers: bool,
    /// Host that the route sets.
    pub(crate) host: Option<HeaderValue>,
}

impl Draft {
    /// Whether the request may be sent once more: when nothing of it was sent, or when an endpoint
    /// that did see it does no harm by seeing it again (RFC 9110 section 9.2.2) and most likely did
    /// not, its connection having been closed between two requests.
    fn may_repeat(&self, failed: Failed) -> bool {
        if !failed.sent {
            return self.upload.is_untouched();
        }
        let method = &self.head.method;
        self.shape.framing == Framing::None
            && self.shape.upgrade.is_none()
            && (method.is_idempotent() || method.as_str() == "QUERY")
            && matches!(
                failed.error,
                Error::UpstreamReset { reused: true } | Error::UpstreamRefused
            )
    }

    /// Whether no request goes upstream but the bytes behind this one. What asks for an upgrade may
    /// be a CONNECT as well, an extended one, in an attempt's form.
    fn is_connect(&self) -> bool {
        self.head.method == Method::CONNECT && self.shape.upgrade.is_none()
    }

    /// Brings the head into the form of one connection.
    pub(super) fn prepare(&mut self, pool: &Pooled, version: Version) -> Result<(), Failed> {
        let shape = &self.shape;
        let outbound = Outbound {
            version,
            tls: pool.0.is_tls(),
            host: shape.host.as_ref(),
            fallback_host: &pool.0.shared.host,
            framing: shape.framing,
            upgrade: shape.upgrade.as_ref(),
            again: shape.again,
            attempt: shape.attempt,
            trailers: shape.trailers,
        };
        prepare_upstream(&mut self.head, &outbound).map_err(Failed::unsent)?;
        self.shape.again = true;
        Ok(())
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Forwarded {
    /// A response.
    Response(Response<Body>),
    /// The endpoint switched protocols: its head, its end of the tunnel, and the client's where
    /// that is a stream.
    Switched(http::response::Parts, Wire, Option<Box<Body>>),
}

/// Sends a request to `upstream` and returns the response, its body still to be read.
pub(crate) async fn forward(
    exchange: &mut Exchange,
    upstream: &UpstreamPool,
    timeout: RouteTimeout,
    mut draft: Box<Draft>,
) -> Result<Forwarded, Error> {
    let mut clocks = Clocks::start(exchange, timeout);
    // Time in the queue is none of an endpoint's.
    let mut now = if enter(exchange, upstream).await? { clock::now() } else { exchange.began };
    let mut tried: SmallVec<[usize; 4]> = SmallVec::new();
    let mut replayed = false;
    loop {
        if exchange.attempts > 0 {
            now = clock::now();
        }
        let picked = {
            let mut rng = exchange.connection.worker.rng.borrow_mut();
            upstream.pick(|index| tried.contains(&index), now, &mut rng)
        };
        let Some(index) = picked else { return Err(exchange.error.unwrap_or(Error::NoEndpoint)) };
        let pool = &upstream.endpoints[index];
        exchange.attempts += 1;
        exchange.in_flight = Some(EndpointLoad::begin(pool.clone(), now));
        let failed = match attempt(exchange, pool, &mut clocks, &mut draft).await {
            Ok(received) => {
                return Ok(finish(exchange, (upstream, pool), clocks, received, draft));
            }
            Err(failed) => failed,
        };
        let stale = matches!(failed.error, Error::UpstreamReset { reused: true })
            && draft.may_repeat(failed)
            && !replayed;
        // For a kept connection that had died an endpoint is not to blame.
        if !stale && is_to_blame(failed.error, &clocks) {
            judge(exchange, upstream, Outcome::Failure, clock::now());
        }
        exchange.error = Some(failed.error);
        if !draft.may_repeat(failed) {
            return Err(failed.error);
        }
        if stale {
            replayed = true;
        } else if failed.error.disposition().retry == Retry::Safe
            && exchange.attempts < MOST_ATTEMPTS
        {
            tried.push(index);
        } else {
            return Err(failed.error);
        }
    }
}

/// Whether an attempt that failed speaks against its endpoint. Neither the gateway's own bound
/// does, nor what a client can bring about: an upgrade that the endpoint need not know, or an
/// upload that takes all the time there is.
fn is_to_blame(error: Error, clocks: &Clocks) -> bool {
    match error {
        Error::UpstreamBusy | Error::UpgradeUnsupported => false,
        Error::DeadlinePassed => clocks.is_answering(),
        error => error.disposition().side == Side::Upstream,
    }
}

/// Takes the sample of the attempt under way, and tells of a failure.
fn judge(exchange: &mut Exchange, upstream: &UpstreamPool, outcome: Outcome, now: Tick) {
    let Some(in_flight) = &mut exchange.in_flight else { return };
    let run = in_flight.record(outcome, now);
    if run > 0 {
        upstream.shared.roster.failed(&in_flight.load().0.shared, run, now);
    }
}

/// Takes a place among the upstream's requests; whether that took a wait.
async fn enter(exchange: &mut Exchange, upstream: &UpstreamPool) -> Result<bool, Error> {
    let gate = &upstream.shared.gates.requests;
    exchange.permit = gate.try_acquire();
    let waits = exchange.permit.is_none();
    if waits {
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
    Ok(waits)
}

/// An attempt with one.
enum Received {
    H1(Answer),
    H2(H2Answer),
    H3(H3Answer),
}

async fn attempt(
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

/// The head is there: takes the latency sample and sets the clocks of the body.
fn finish(
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
    let (status, headers) = match &received {
        Received::H1(Answer::Response(response)) => (response.status(), response.headers()),
        Received::H1(Answer::Bodiless(head, _) | Answer::Switched(head, _))
        | Received::H2(H2Answer::Switched(head, _))
        | Received::H3(H3Answer::Switched(head, _)) => (head.status, &head.headers),
        Received::H2(H2Answer::Response(response)) => (response.status(), response.headers()),
        Received::H3(H3Answer::Response(response)) => (response.status(), response.headers()),
    };
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
