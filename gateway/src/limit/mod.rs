//! How often a route may be used, and by whom: `rate_limit`, and `concurrency` with a key.
//!
//! What counts is `weir_ratelimit`; here a request becomes keys and costs (`key`, `cost`), and
//! what the limits say becomes delays, fields and responses (`fields`). All limits of a route are
//! asked as one: a request passes all of them, or none is charged. Of the request nothing is kept
//! but a hash for a key, in a [`LimitStore`] that outlives configurations.
//!
//! A request of a route without limits costs one look at an `Option`.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Response, header, request};

mod cost;
mod fields;
pub(crate) mod key;
mod per_key;
mod route;
pub mod store;
pub mod tally;
#[cfg(test)]
mod tests;
mod verdict;

pub(crate) use fields::takes_problem;
pub use per_key::KeyedBulkhead;
pub use route::{RouteLimits, Rule};
pub use store::LimitStore;
pub(crate) use verdict::Limited;

use self::{key::Subject, per_key::Entry};
use crate::{
    clock,
    error::Error,
    http::{body::Body, exchange::Exchange},
    snapshot::Route,
};

/// Asks the limits of its route whether a request passes. What they say is kept with the exchange.
pub(crate) fn check(
    exchange: &mut Exchange,
    route: &Route,
    head: &request::Parts,
    path: &str,
) -> Result<(), Error> {
    match &route.limits {
        None => Ok(()),
        Some(limits) => {
            let subject = Subject {
                client: exchange.client,
                headers: &head.headers,
                path,
                query: head.uri.query(),
                route: &route.name,
            };
            ask(exchange, limits, &subject)
        }
    }
}

fn ask(exchange: &mut Exchange, limits: &RouteLimits, subject: &Subject<'_>) -> Result<(), Error> {
    match limits.per_key.as_ref().map(|bulkhead| bulkhead.enter(subject)) {
        Some(Entry::Busy) => return Err(Error::RouteBusy),
        Some(Entry::Counted(permit)) => exchange.key_permit = Some(permit),
        Some(Entry::Free) | None => {}
    }
    if limits.rules.is_empty() {
        return Ok(());
    }
    let tallies: &[Arc<_>] = exchange.route.map_or(&[], |route| exchange.world.tallies(route));
    let mut limited = Box::new(limits.check(subject, tallies, exchange.began));
    let denied = limited.is_denied();
    if denied {
        limited.takes_problem = takes_problem(subject.headers);
        let rng = &mut exchange.connection.worker.rng.borrow_mut();
        limited.retry_after = limited.retry_after().map(|least| fields::jittered(least, rng));
    }
    exchange.limited = Some(limited);
    if denied { Err(Error::RateLimited) } else { Ok(()) }
}

/// How long to hold a request back, by its limits; `None` where not at all.
pub(crate) fn delay(exchange: &Exchange) -> Option<Duration> {
    let limited = exchange.limited.as_ref()?;
    (!limited.delay.is_zero()).then_some(limited.delay)
}

/// Holds a request back until its turn, which is `delay` after its beginning. Where its time would
/// be over by then, it is over at once.
pub(crate) async fn hold(exchange: &Exchange, delay: Duration) -> Result<(), Error> {
    let turn = exchange.began + delay;
    let route = exchange.route.map(|index| &exchange.world.snapshot.routes[index]);
    let total = route.and_then(|route| route.timeout.total);
    let over = total.is_some_and(|total| delay >= total);
    if over || exchange.is_late(turn) {
        return Err(Error::DeadlinePassed);
    }
    tokio::time::sleep_until(turn.instant()).await;
    Ok(())
}

/// Settles the charges of a request by what its response says it did cost.
pub(crate) fn settle(exchange: &mut Exchange, route: &Route, headers: &HeaderMap) {
    let Some(limits) = route.limits.as_ref().filter(|limits| limits.settles) else { return };
    let Some(limited) = &mut exchange.limited else { return };
    limits.settle(limited, headers, clock::now());
}

/// Tells the client how it stands.
pub(crate) fn tell(exchange: &Exchange, headers: &mut HeaderMap) {
    if let Some((limits, limited)) = said(exchange) {
        fields::tell(limits, limited, headers);
    }
}

/// Says in the response to a denied request when to come again and, but to a gRPC call, what denied
/// it.
pub(crate) fn explain(exchange: &Exchange, grpc: bool, response: &mut Response<Body>) {
    let Some((limits, limited)) = said(exchange) else { return };
    if let Some(seconds) = limited.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if let Some(name) = limited.denied_by(limits).filter(|_| limited.takes_problem && !grpc) {
        let (field, media) = fields::problem_type();
        response.headers_mut().insert(field, media);
        *response.body_mut() = Body::full(fields::problem(name, limited.retry_after));
    }
}

/// What the limits of its route said to a request, and which they are.
pub(crate) fn said(exchange: &Exchange) -> Option<(&RouteLimits, &Limited)> {
    let limited = exchange.limited.as_deref()?;
    let limits = exchange.world.snapshot.routes[exchange.route?].limits.as_ref()?;
    Some((limits, limited))
}
