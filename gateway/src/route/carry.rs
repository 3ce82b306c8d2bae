//! Forwarding as a route says: to its upstream, and where that cannot answer, what stands in.

use http::{HeaderMap, HeaderValue, Method, Response, response};

use crate::{
    cache, clock,
    error::{Error, Side},
    http::{
        body::Body,
        exchange::Exchange,
        headers::{self, Upgrade, name},
        reply,
    },
    idempotency, limit, policy,
    snapshot::{Fallback, Respond, Route},
    upstream::{
        draft::Draft,
        forward::{Forwarded, forward},
    },
};

/// Forwards, and makes the answer the gateway's own.
pub(crate) async fn carry_out(
    exchange: &mut Exchange,
    mut draft: Box<Draft>,
) -> Result<Forwarded, Error> {
    let world = exchange.world.clone();
    let (Some(route), Some(upstream)) = (exchange.route, exchange.upstream) else {
        return Err(Error::Bug);
    };
    let route = &world.snapshot.routes[route];
    // What its limits held it back for is no endpoint's time.
    let held = limit::delay(exchange).is_some() || policy::is_held(exchange);
    let began = if held { clock::now() } else { exchange.began };
    let (method, upgrade) = (draft.head.method.clone(), draft.shape.upgrade.clone());
    let forwarded = match (&route.cache, exchange.asking.take()) {
        // Boxed: its state is no part of every request's.
        (Some(rule), Some(asking)) => {
            Box::pin(cache::fetch(exchange, route, rule, asking, &mut draft)).await
        }
        _ => forward(exchange, &world.upstreams[upstream], route, &mut draft, began).await,
    };
    let forwarded = match forwarded {
        Ok(forwarded) => forwarded,
        Err(error) => match fallback(exchange, route, &mut draft, error).ok_or(error)? {
            Instead::Respond(response) => return Ok(Forwarded::Response(response)),
            Instead::Ask(index) => {
                // Boxed: rare, and its state is no part of every request's.
                let spare = &world.upstreams[index];
                Box::pin(forward(exchange, spare, route, &mut draft, clock::now())).await?
            }
        },
    };
    if let Forwarded::Response(response) = &forwarded {
        limit::settle(exchange, route, response.headers());
    }
    Ok(match forwarded {
        Forwarded::Response(response) => {
            let (mut head, body) = response.into_parts();
            own(exchange, route, &method, upgrade.as_ref(), &mut head)?;
            Forwarded::Response(Response::from_parts(head, body))
        }
        Forwarded::Switched(mut head, upstream, client) => {
            own(exchange, route, &method, upgrade.as_ref(), &mut head)?;
            Forwarded::Switched(head, upstream, client)
        }
    })
}

/// What came of a request that runs once.
pub(crate) enum Ran {
    /// The upstream's response; its head is still to be made the gateway's own.
    Answered(Response<Body>),
    /// The fixed response of the fallback, which stands for the error that the exchange has.
    Instead(Response<Body>),
}

/// Forwards a request that is no tunnel, for whoever stores what comes of it.
pub(crate) async fn run_once(
    exchange: &mut Exchange,
    route: &Route,
    draft: &mut Draft,
) -> Result<Ran, Error> {
    let world = exchange.world.clone();
    let upstream = exchange.upstream.ok_or(Error::Bug)?;
    let began = clock::now();
    let forwarded = match (&route.cache, exchange.asking.take()) {
        (Some(rule), Some(asking)) => cache::fetch(exchange, route, rule, asking, draft).await,
        _ => forward(exchange, &world.upstreams[upstream], route, draft, began).await,
    };
    let forwarded = match forwarded {
        Ok(forwarded) => forwarded,
        Err(error) => match fallback(exchange, route, draft, error).ok_or(error)? {
            Instead::Respond(response) => return Ok(Ran::Instead(response)),
            Instead::Ask(index) => {
                forward(exchange, &world.upstreams[index], route, draft, clock::now()).await?
            }
        },
    };
    match forwarded {
        Forwarded::Response(response) => {
            limit::settle(exchange, route, response.headers());
            Ok(Ran::Answered(response))
        }
        Forwarded::Switched(..) => Err(Error::UpgradeFailed),
    }
}

/// Makes the head of a response the gateway's own.
pub(crate) fn own(
    exchange: &Exchange,
    route: &Route,
    method: &Method,
    upgrade: Option<&Upgrade>,
    head: &mut response::Parts,
) -> Result<(), Error> {
    let id = exchange.request_id.as_ref().ok_or(Error::Bug)?;
    if *method == Method::CONNECT {
        // Nobody answered: that the connection stands is all there is to say.
        head.headers.insert(&name::X_REQUEST_ID, id.clone());
    } else {
        headers::relay(head, method, upgrade, id)?;
    }
    tell(exchange, route, &mut head.headers);
    Ok(())
}

/// The same for a response out of the store.
pub(super) fn own_stored(
    exchange: &Exchange,
    route: &Route,
    head: &mut response::Parts,
) -> Result<(), Error> {
    let id = exchange.request_id.as_ref().ok_or(Error::Bug)?;
    headers::relay_stored(head, id);
    tell(exchange, route, &mut head.headers);
    Ok(())
}

/// Says what the gateway did, and what the route wants said.
fn tell(exchange: &Exchange, route: &Route, headers: &mut HeaderMap) {
    cache::tell(exchange, headers);
    limit::tell(exchange, headers);
    route.response_edits.apply(headers);
    idempotency::tell(exchange, headers);
}

/// What stands in for an upstream.
enum Instead {
    Ask(usize),
    Respond(Response<Body>),
}

/// The route's fallback, where it has one and this failure and this request allow it.
fn fallback(
    exchange: &mut Exchange,
    route: &Route,
    draft: &mut Draft,
    error: Error,
) -> Option<Instead> {
    let fallback = route.fallback.as_ref()?;
    let disposition = error.disposition();
    let fails = matches!(disposition.status.as_u16(), 502..=504);
    if disposition.side != Side::Upstream || !fails {
        return None;
    }
    let instead = match fallback {
        Fallback::Upstream(index) => {
            // When all the time is over, none is left for another upstream either.
            (error != Error::DeadlinePassed && draft.may_move()).then_some(())?;
            exchange.upstream = Some(*index);
            Instead::Ask(*index)
        }
        Fallback::Respond(fixed) => {
            // A client that asked for a tunnel takes a 2xx for one.
            let tunnel = draft.client.is_some() || draft.head.method == Method::CONNECT;
            (!tunnel || !fixed.status.is_success()).then_some(())?;
            exchange.error = Some(error);
            Instead::Respond(respond(exchange, route, fixed, reply::proxy_status(error)))
        }
    };
    (exchange.permit, exchange.in_flight) = (None, None);
    exchange.trail.get_or_insert_default().fallback = true;
    Some(instead)
}

/// A fixed response, which says what it stands for.
fn respond(
    exchange: &Exchange,
    route: &Route,
    fixed: &Respond,
    why: HeaderValue,
) -> Response<Body> {
    let mut response = Response::new(Body::full(fixed.body.clone()));
    *response.status_mut() = fixed.status;
    let headers = response.headers_mut();
    headers.extend(fixed.headers.clone());
    if let Some(id) = &exchange.request_id {
        headers.insert(&name::X_REQUEST_ID, id.clone());
    }
    cache::tell(exchange, headers);
    limit::tell(exchange, headers);
    route.response_edits.apply(headers);
    headers.insert(&name::PROXY_STATUS, why);
    response
}
