//! The one way through the gateway, outermost step first.
//!
//! ```text
//! account    the exchange counts the request until its last byte, whatever happens inside
//! rescue     any error below becomes a response that says why
//! check      one host, one framing, bounds: nothing further in sees an ambiguous head
//! receive    hop-by-hop fields go, the client's address and the request's id are settled
//! route      by host, path, method, headers, query; 404 and 405 end here
//! greet      preflights are answered, and 503 by a route that is closed for maintenance
//! bound      413 for a body that is announced to be too long
//! admit      503 for who is turned away under pressure, or is one too many for the route
//! allow      403 for addresses that the route does not let in
//! auth       401 for who does not say who it is, or is not believed; some wait for an answer
//! limit      429 for who comes more often than the route's limits allow; some wait for their turn
//! script     what the route's script says
//! decode     the body gets the form in which its upstream takes it; 415 for codings nobody knows
//! key        the outcome that is stored, where the request has an idempotency key; else all that
//!            follows is done for it once
//! recall     the answer from memory, where the route has a cache that knows one
//! act        redirect, fixed response, file, or
//! fault      what goes wrong on purpose
//! forward    a place in the upstream's bounds, an endpoint, a connection, the response; again
//!            where the route's policy says so; else its fallback
//! relay      hop-by-hop fields of the response go, the route's edits apply
//! ```

use std::{borrow::Cow, future::Future, rc::Rc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header, request, response,
};

use super::{
    Found,
    act::{Routed, act, bad_target, dress},
    canonical_host,
    carry::carry_out,
    early::mark_early,
    gate::{self, Step},
};
use crate::{
    cache,
    error::Error,
    files::{self, Wanted},
    http::{
        body::Body,
        bridge::Bridge,
        exchange::{Asked, EarlyData, Exchange},
        guard::{self, Checked, Framing},
        headers::{self, Received, name},
        path::normalize,
        problem, reply,
        tunnel::Tunnel,
        upload::Progress,
    },
    idempotency::{self, Keyed},
    limit,
    listen::connection::Carrier,
    pause::Pause,
    policy,
    snapshot::Route,
    telemetry::trace::Place,
    upstream::{draft::Draft, forward::Forwarded, wire::Wire},
};

/// Takes a request to its response. With a tunnel, the response is its 101, or the 200 of CONNECT.
///
/// All but the forwarding happens at once, before the future is first polled: what need not wait
/// has no place in the future's state, of which there is one for each request under way.
pub(crate) fn serve(
    mut exchange: Box<Exchange>,
    request: Request<Body>,
) -> impl Future<Output = (Response<Body>, Option<Box<Tunnel>>)> {
    let version = request.version();
    // A gRPC error is a 200, which to extended CONNECT would be a tunnel.
    let grpc = version >= Version::HTTP_2
        && *request.method() != Method::CONNECT
        && reply::is_grpc(request.headers());
    let bodiless = version >= Version::HTTP_2 && *request.method() == Method::HEAD;
    let mut planned = plan(&mut exchange, request);
    async move {
        if let Ok(plan @ Plan::Wait(..)) = planned {
            // Boxed: its state is no part of every request's.
            planned = Box::pin(gate::pass(&mut exchange, plan)).await;
        }
        if let Some(delay) = limit::delay(&exchange)
            && let Err(error) = Box::pin(limit::hold(&exchange, delay)).await
        {
            planned = Err(error.into());
        }
        if policy::is_struck(&exchange)
            && matches!(planned, Ok(Plan::Forward(_) | Plan::Keyed(..)))
            && let Err(error) = Box::pin(policy::suffer(&mut exchange)).await
        {
            planned = Err(error.into());
        }
        let mut response = match planned {
            Ok(Plan::Answer(response)) => response,
            Ok(Plan::Forward(draft)) => match carry_out(&mut exchange, draft).await {
                Ok(Forwarded::Response(response)) => response,
                Ok(Forwarded::Switched(head, upstream, Some(client))) => {
                    bridge(&mut exchange, head, *upstream, *client)
                }
                Ok(Forwarded::Switched(head, upstream, None)) => {
                    return switch(exchange, head, *upstream);
                }
                Err(error) => rescue(&mut exchange, error.into(), version, grpc),
            },
            // Boxed: rare, and its state is no part of every request's.
            Ok(Plan::Keyed(keyed, draft)) => {
                let carried = Box::pin(idempotency::carry(&mut exchange, keyed, draft)).await;
                carried.unwrap_or_else(|error| rescue(&mut exchange, error.into(), version, grpc))
            }
            Ok(Plan::Files(wanted)) => {
                let answered = Box::pin(files::answer(&mut exchange, *wanted)).await;
                match answered {
                    Ok(response) => dressed(&exchange, response),
                    Err(error) => rescue(&mut exchange, Refusal::of_files(error), version, grpc),
                }
            }
            Ok(Plan::Wait(..)) => rescue(&mut exchange, Error::Bug.into(), version, grpc),
            Err(refusal) => rescue(&mut exchange, refusal, version, grpc),
        };
        if exchange.policy.is_some() {
            response = Box::pin(policy::see_off(&mut exchange, response)).await;
        }
        (account(exchange, response, version, bodiless), None)
    }
}

/// Hands the response to the protocol, watched until its last byte. Over HTTP/1.1 hyper keeps the
/// body of an answer to HEAD to itself; elsewhere it has to be `bodiless` here.
fn account(
    mut exchange: Box<Exchange>,
    mut response: Response<Body>,
    version: Version,
    bodiless: bool,
) -> Response<Body> {
    exchange.status = response.status().as_u16();
    if version >= Version::HTTP_2 && !response.headers().contains_key(header::DATE) {
        let date = exchange.connection.worker.date().clone();
        response.headers_mut().insert(header::DATE, date);
    }
    if let Some(value) = alt_svc(&exchange) {
        response.headers_mut().insert(header::ALT_SVC, value);
    }
    response.map(|body| if bodiless { body.unheard() } else { body }.watched(exchange))
}

/// Where else the client finds this listener: over HTTP/3. Only TLS tells, since only there is the
/// answer sure to be ours, and the current configuration: that of the connection may be long gone.
fn alt_svc(exchange: &Exchange) -> Option<HeaderValue> {
    let connection = &exchange.connection;
    if connection.carrier != Carrier::Tls || connection.is_draining() {
        return None;
    }
    exchange.world.listener(&connection.listener.shared.config.bind)?.alt_svc.clone()
}

/// What is to be done with a request.
pub(super) enum Plan {
    /// Nothing more: this is the answer.
    Answer(Response<Body>),
    /// It goes upstream.
    Forward(Box<Draft>),
    /// It goes upstream, once.
    Keyed(Box<Keyed>, Box<Draft>),
    /// It is answered with a file.
    Files(Box<Wanted>),
    /// A step on its way cannot tell yet.
    Wait(Step, Box<Routed>),
}

/// An error, and what else the client should know.
pub(super) struct Refusal {
    error: Error,
    allow: Option<HeaderValue>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, allow: None }
    }
}

impl Refusal {
    /// Why there is no file.
    fn of_files(error: Error) -> Self {
        let allow = (error == Error::MethodNotAllowed).then_some(files::METHODS);
        Self { error, allow }
    }
}

/// The most seconds that a client is asked to wait for a breaker.
const LONGEST_RETRY_AFTER: f64 = 300.0;

/// A response that the route made, with what is said of all of them.
fn dressed(exchange: &Exchange, mut response: Response<Body>) -> Response<Body> {
    if let Some(route) = exchange.route {
        let route = &exchange.world.snapshot.routes[route];
        dress(exchange, route, response.headers_mut());
    }
    response
}

/// Makes a response of an error.
fn rescue(
    exchange: &mut Exchange,
    refusal: Refusal,
    version: Version,
    grpc: bool,
) -> Response<Body> {
    exchange.error = Some(refusal.error);
    let mut response = match refusal.error {
        error if grpc => reply::of_grpc_error(error),
        Error::RateLimited if limit::explains(exchange) => {
            reply::of_error_saying(Error::RateLimited, Bytes::new())
        }
        error => match policy::problem(exchange, error) {
            Some(document) => reply::of_problem(error, document),
            None => reply::of_error(error),
        },
    };
    let headers = response.headers_mut();
    if version >= Version::HTTP_2 {
        headers.remove(header::CONNECTION);
    }
    if let Some(time) = exchange.retry_after.filter(|_| refusal.error == Error::BreakerOpen) {
        let seconds = time.as_secs_f64().ceil().clamp(1.0, LONGEST_RETRY_AFTER) as u64;
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    cache::tell(exchange, headers);
    policy::explain(exchange, refusal.error, headers);
    if let Some(allow) = refusal.allow {
        headers.insert(header::ALLOW, allow);
    }
    if let Some(id) = &exchange.request_id {
        headers.insert(&name::X_REQUEST_ID, id.clone());
    }
    limit::tell(exchange, headers);
    if refusal.error == Error::RateLimited {
        limit::explain(exchange, grpc, &mut response);
    }
    idempotency::tell(exchange, response.headers_mut());
    idempotency::explain(exchange, refusal.error, grpc, &mut response);
    response
}

/// Everything before the upstream, or before a step that waits.
fn plan(exchange: &mut Exchange, request: Request<Body>) -> Result<Plan, Refusal> {
    let (mut head, body) = request.into_parts();
    let world = exchange.world.clone();
    let snapshot = &*world.snapshot;
    if let Some(tracing) = &snapshot.config.tracing {
        let mut rng = exchange.connection.worker.rng.borrow_mut();
        exchange.place = Place::of(tracing, &head.headers, &mut rng);
    }
    if exchange.connection.worker.is_logging() || exchange.place.is_some() {
        exchange.asked = Some(Asked::of(&head));
    }
    let ended = http_body::Body::is_end_stream(&body);
    let checked = guard::check(&mut head, ended, &snapshot.limits)?;
    // It may turn out to be too long when the head is gone.
    exchange.takes_problem = !ended && problem::is_taken(&head.headers);
    let Received { trailers, mut vouched, .. } = receive(exchange, &mut head, &checked);
    if snapshot.matcher.reads_vouched() {
        vouch(exchange, &mut head.headers, head.version, &checked, &mut vouched);
    }
    if head.extensions.get::<EarlyData>().is_some() {
        mark_early(&mut head, checked.bridged)?;
    }
    let path = routed_path(&head.uri)?;
    let host = canonical_host(checked.authority());
    let query = head.uri.query();
    let found = match gate::preflight(snapshot, &host, &path, &head) {
        Some((_, matched)) => Found::Route(matched),
        None => snapshot.matcher.find(&host, &path, query, &head.method, &head.headers),
    };
    let matched = match found {
        Found::Route(matched) => matched,
        // Its target is no resource of ours, of which there were other methods to tell.
        _ if head.method == Method::CONNECT => return Err(Error::MethodNotAllowed.into()),
        Found::NotFound => return Err(Error::NoRoute.into()),
        Found::MethodNotAllowed(methods) => {
            let (error, allow) = (Error::MethodNotAllowed, Some(methods.to_allow()));
            return Err(Refusal { error, allow });
        }
    };
    exchange.route = Some(matched.route);
    let route = &snapshot.routes[matched.route];
    // Before anything turns the request away: policies see to every response of their route.
    exchange.policy = route.policies.as_ref().map(|policies| policies.note(&head));
    if let Some(response) = gate::greet(exchange, route, &head) {
        return Ok(Plan::Answer(response));
    }
    if matches!(checked.framing, Framing::Length(length) if length > route.max_body) {
        return Err(Error::BodyTooLarge.into());
    }
    if route.reads_vouched() {
        vouch(exchange, &mut head.headers, head.version, &checked, &mut vouched);
    }
    admit(exchange, route, &head.headers)?;
    let plain = route.policies.is_none();
    // Before the request is put together: most of what is turned away is turned away here.
    let waits = plain && limit::check(exchange, route, &head, &path)?;
    let path = match path {
        Cow::Owned(path) => Some(path),
        Cow::Borrowed(_) => None,
    };
    let routed = Routed { head, body, path, matched, checked, ended, trailers, vouched };
    if !plain {
        return gate::enter(exchange, route, routed);
    }
    if waits {
        return Ok(Plan::Wait(Step::Limit, Box::new(routed)));
    }
    act(exchange, route, routed).map_err(Into::into)
}

/// Turns the request away when there is too much at once.
fn admit(exchange: &mut Exchange, route: &Route, headers: &HeaderMap) -> Result<(), Error> {
    if !exchange.connection.worker.admits(route, headers) {
        return Err(Error::Overloaded);
    }
    if let Some(bulkhead) = &route.bulkhead {
        exchange.route_permit = Some(bulkhead.enter().ok_or(Error::RouteBusy)?);
    }
    Ok(())
}

/// Settles who asks and under which id; whether the client reads trailers.
fn receive(exchange: &mut Exchange, head: &mut request::Parts, checked: &Checked) -> Received {
    let connection = exchange.connection.clone();
    let mut ids = connection.worker.ids.borrow_mut();
    let host = checked.host.as_ref();
    let received = headers::receive(head, host, &connection.peer(), &mut ids);
    exchange.client = received.client;
    exchange.request_id = Some(received.request_id.clone());
    received
}

/// Vouches for a request that somebody is going to look at, unless that is done. Put off for as
/// long as nobody does: what memory answers, or a limit denies, needs nobody's word.
pub(super) fn vouch(
    exchange: &Exchange,
    headers: &mut HeaderMap,
    version: Version,
    checked: &Checked,
    vouched: &mut bool,
) {
    if let Some(id) = exchange.request_id.as_ref().filter(|_| !*vouched) {
        let peer = exchange.connection.peer();
        headers::vouch(headers, version, (&peer, checked.host.as_ref()), id);
        *vouched = true;
    }
}

/// The path that routes are compared with.
pub(crate) fn routed_path(uri: &Uri) -> Result<Cow<'_, str>, Error> {
    match uri.path() {
        // `OPTIONS *` is for the host as a whole (RFC 9110 section 9.3.7): routed as its root. So
        // is CONNECT, which names a host and nothing else.
        "*" | "" => Ok("/".into()),
        path => normalize(path).map_err(bad_target),
    }
}

/// The connection becomes a tunnel to the upstream.
fn switch(
    mut exchange: Box<Exchange>,
    head: response::Parts,
    upstream: Wire,
) -> (Response<Body>, Option<Box<Tunnel>>) {
    exchange.status = head.status.as_u16();
    exchange.upload = Some(Rc::default());
    let pause = patience(&exchange);
    let response = Response::from_parts(head, Body::empty());
    (response, Some(Box::new(Tunnel { upstream, exchange, pause })))
}

/// The request's stream becomes a tunnel to the upstream.
fn bridge(
    exchange: &mut Exchange,
    head: response::Parts,
    upstream: Wire,
    client: Body,
) -> Response<Body> {
    let progress = Rc::<Progress>::default();
    exchange.upload = Some(progress.clone());
    let bridge = Bridge::new(client, progress, upstream, patience(exchange));
    Response::from_parts(head, Body::bridge(bridge))
}

/// How long nothing may move in a tunnel.
fn patience(exchange: &Exchange) -> Pause {
    let idle = exchange.route.map(|route| exchange.world.snapshot.routes[route].timeout.idle);
    let longest = idle.unwrap_or(exchange.world.snapshot.timeouts.body_idle);
    Pause::new(exchange.connection.worker.timers.clone(), longest)
}
