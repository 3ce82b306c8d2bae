//! The one way through the gateway, outermost step first.
//!
//! ```text
//! account    the exchange counts the request until its last byte, whatever happens inside
//! rescue     any error below becomes a response that says why
//! check      one host, one framing, bounds: nothing further in sees an ambiguous head
//! receive    hop-by-hop fields go, the client's address and the request's id are settled
//! route      by host, path, method, headers, query; 404 and 405 end here
//! act        redirect, fixed response, or
//! forward    a place in the upstream's bounds, an endpoint, a connection, the response
//! relay      hop-by-hop fields of the response go, the route's edits apply
//! ```

use std::{borrow::Cow, rc::Rc};

use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header, request, response};

use super::{Found, Matched, Origin, canonical_host, join};
use crate::{
    error::{Error, Reason},
    http::{
        body::Body,
        exchange::{Asked, Exchange},
        guard::{self, Checked, Framing},
        headers::{self, name},
        host::without_port,
        path::normalize,
        reply,
        tunnel::Tunnel,
        upload::{Progress, Upload},
    },
    pause::Pause,
    snapshot::{Action, Forward, Route},
    upstream::forward::{Draft, Forwarded, Shape, forward},
};

/// Takes a request to its response. With a tunnel, the response is its 101.
pub(crate) async fn serve(
    mut exchange: Box<Exchange>,
    request: Request<Body>,
) -> (Response<Body>, Option<Tunnel>) {
    let (head, body) = request.into_parts();
    if exchange.connection.worker.is_logging() {
        exchange.asked = Some(Asked {
            method: head.method.clone(),
            uri: head.uri.clone(),
            host: head.headers.get(header::HOST).cloned(),
            version: head.version,
        });
    }
    let version = head.version;
    let mut response = match run(&mut exchange, head, body).await {
        Ok(Reply::Response(response)) => response,
        Ok(Reply::Switched(head, tunnel)) => {
            exchange.status = head.status.as_u16();
            let tunnel = tunnel(exchange);
            return (Response::from_parts(head, Body::empty()), Some(tunnel));
        }
        Err(refusal) => rescue(&mut exchange, refusal, version),
    };
    exchange.status = response.status().as_u16();
    if version == Version::HTTP_2 && !response.headers().contains_key(header::DATE) {
        let date = exchange.connection.worker.date().clone();
        response.headers_mut().insert(header::DATE, date);
    }
    (response.map(|body| body.watched(exchange)), None)
}

/// What a route comes to.
enum Reply {
    Response(Response<Body>),
    Switched(response::Parts, Box<dyn FnOnce(Box<Exchange>) -> Tunnel>),
}

/// An error, and what else the client should know.
struct Refusal {
    error: Error,
    allow: Option<HeaderValue>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, allow: None }
    }
}

/// Makes a response of an error.
fn rescue(exchange: &mut Exchange, refusal: Refusal, version: Version) -> Response<Body> {
    exchange.error = Some(refusal.error);
    let mut response = reply::of_error(refusal.error);
    let headers = response.headers_mut();
    if version == Version::HTTP_2 {
        headers.remove(header::CONNECTION);
    }
    if let Some(allow) = refusal.allow {
        headers.insert(header::ALLOW, allow);
    }
    if let Some(id) = &exchange.request_id {
        headers.insert(&name::X_REQUEST_ID, id.clone());
    }
    response
}

async fn run(
    exchange: &mut Exchange,
    mut head: request::Parts,
    body: Body,
) -> Result<Reply, Refusal> {
    let world = exchange.world.clone();
    let snapshot = &*world.snapshot;
    let checked = guard::check(&mut head, http_body::Body::is_end_stream(&body), &snapshot.limits)?;
    let trailers = receive(exchange, &mut head);
    let path = routed_path(&head.uri)?;
    let authority = guard::host(&head.headers).unwrap_or_default();
    let host = canonical_host(authority);
    let found = snapshot.matcher.find(&host, &path, head.uri.query(), &head.method, &head.headers);
    let matched = match found {
        Found::Route(matched) => matched,
        Found::NotFound => return Err(Error::NoRoute.into()),
        Found::MethodNotAllowed(methods) => {
            let (error, allow) = (Error::MethodNotAllowed, Some(methods.to_allow()));
            return Err(Refusal { error, allow });
        }
    };
    exchange.route = Some(matched.route);
    let route = &snapshot.routes[matched.route];
    match &route.action {
        Action::Forward(to) => {
            let target = rewrite(to, &head, &path, &matched)?;
            if let Some(target) = target {
                head.uri = target.into();
            }
            let request = (head, body);
            send(exchange, route, to, request, checked, trailers).await.map_err(Into::into)
        }
        Action::Redirect(location, status) => {
            let origin = Origin {
                scheme: exchange.connection.scheme(),
                host: without_port(authority),
                path: &path,
                query: head.uri.query(),
            };
            let location = location.render(&origin, &matched.spans).map_err(bad_target)?;
            Ok(fixed(exchange, route, *status, Body::empty(), |headers| {
                headers.insert(header::LOCATION, location);
            }))
        }
        Action::Respond(respond) => {
            let body = Body::full(respond.body.clone());
            Ok(fixed(exchange, route, respond.status, body, |headers| {
                headers.extend(respond.headers.clone());
            }))
        }
    }
}

/// Settles who asks and under which id; whether the client reads trailers.
fn receive(exchange: &mut Exchange, head: &mut request::Parts) -> bool {
    let connection = exchange.connection.clone();
    let mut rng = connection.worker.rng.borrow_mut();
    let received = headers::receive(head, &connection.peer, &mut rng);
    exchange.client = received.client;
    exchange.request_id = Some(received.request_id);
    received.trailers
}

/// The path that routes are compared with.
pub(crate) fn routed_path(uri: &Uri) -> Result<Cow<'_, str>, Error> {
    match uri.path() {
        // `OPTIONS *` is for the host as a whole (RFC 9110 section 9.3.7): routed as its root.
        "*" => Ok("/".into()),
        path => normalize(path).map_err(bad_target),
    }
}

/// The target sent upstream, where it is another than the client's.
pub(crate) fn rewrite(
    to: &Forward,
    head: &request::Parts,
    path: &str,
    matched: &Matched,
) -> Result<Option<http::uri::PathAndQuery>, Error> {
    let query = head.uri.query();
    if head.uri.path() == "*" {
        return Ok(None);
    }
    let rewritten = to.rewrite.apply(path, query, &matched.spans).map_err(bad_target)?;
    if rewritten.is_none() && path != head.uri.path() {
        return join(path, query).map(Some).map_err(bad_target);
    }
    Ok(rewritten)
}

fn bad_target<E>(_: E) -> Error {
    Error::BadRequest(Reason::Target)
}

/// A response that the route itself holds.
fn fixed(
    exchange: &Exchange,
    route: &Route,
    status: StatusCode,
    body: Body,
    fill: impl FnOnce(&mut http::HeaderMap),
) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    fill(headers);
    if let Some(id) = &exchange.request_id {
        headers.insert(&name::X_REQUEST_ID, id.clone());
    }
    route.response_edits.apply(headers);
    Reply::Response(response)
}

/// Forwards, and makes the answer the gateway's own.
async fn send(
    exchange: &mut Exchange,
    route: &Route,
    to: &Forward,
    (mut head, body): (request::Parts, Body),
    checked: Checked,
    trailers: bool,
) -> Result<Reply, Error> {
    let worker = exchange.connection.worker.clone();
    let index = to.choose(&mut worker.rng.borrow_mut()).ok_or(Error::NoEndpoint)?;
    exchange.upstream = Some(index);
    route.request_edits.apply(&mut head.headers);
    let method = head.method.clone();
    let shape = Shape {
        framing: checked.framing,
        websocket: checked.websocket,
        trailers,
        host: to.host.clone(),
    };
    head.extensions.clear();
    let upload = upload(exchange, body, checked.framing);
    let world = exchange.world.clone();
    let draft = Draft { head, upload, shape };
    let forwarded = forward(exchange, &world.upstreams[index], route.timeout, draft).await?;
    let request_id = exchange.request_id.clone().unwrap_or_else(|| HeaderValue::from_static(""));
    match forwarded {
        Forwarded::Response(response) => {
            let (mut head, body) = response.into_parts();
            headers::relay(&mut head, &method, checked.websocket, &request_id)?;
            route.response_edits.apply(&mut head.headers);
            Ok(Reply::Response(Response::from_parts(head, body)))
        }
        Forwarded::Switched(mut head, upstream, early) => {
            headers::relay(&mut head, &method, checked.websocket, &request_id)?;
            route.response_edits.apply(&mut head.headers);
            let pause = Pause::new(worker.timers.clone(), route.timeout.idle);
            exchange.upload = Some(Rc::default());
            let tunnel = |exchange| Tunnel { upstream, early, exchange, pause };
            Ok(Reply::Switched(head, Box::new(tunnel)))
        }
    }
}

/// The request's body, bounded.
fn upload(exchange: &mut Exchange, body: Body, framing: Framing) -> Upload {
    if framing == Framing::None || http_body::Body::is_end_stream(&body) {
        return Upload::empty();
    }
    let snapshot = &exchange.world.snapshot;
    let progress = Rc::<Progress>::default();
    exchange.upload = Some(progress.clone());
    let timers = exchange.connection.worker.timers.clone();
    let pause = Pause::new(timers, snapshot.timeouts.body_idle);
    Upload::new(body, progress, snapshot.limits.body, pause)
}
