//! How often a route may be used, and by whom: `rate_limit`, and `concurrency` with a key.
//!
//! What counts is `weir_ratelimit`; here a request becomes keys and costs (`key`, `cost`), and
//! what the limits say becomes delays, fields and responses (`fields`). All limits of a route are
//! asked as one: a request passes all of them, or none is charged. Of the request nothing is kept
//! but a hash for a key, in a [`LimitStore`] that outlives configurations, or on the servers of a
//! [`SharedStore`] (`shared`), which are asked once all that is kept here lets the request pass.
//!
//! A request of a route without limits costs one look at an `Option`.

use std::{rc::Rc, sync::Arc, time::Duration};

use http::{HeaderMap, Response, header, request};

mod cost;
mod fields;
pub(crate) mod key;
mod meter;
mod per_key;
mod places;
mod route;
pub(crate) mod shared;
pub mod store;
pub mod tally;
#[cfg(test)]
mod tests;
mod toll;
mod verdict;

pub(crate) use meter::Meter;
pub(crate) use per_key::KeyPermit;
pub use per_key::KeyedBulkhead;
pub use route::{RouteLimits, Rule};
pub use shared::SharedStore;
pub use store::{LimitStore, Stores};
pub(crate) use toll::Toll;
pub(crate) use verdict::Limited;

use self::{key::Subject, per_key::Entry};
use crate::{
    clock::{self, Tick},
    error::Error,
    http::{body::Body, exchange::Exchange, problem},
    policy::Identity,
    script::Values,
    snapshot::Route,
    worker::World,
};

/// Asks the limits of its route whether a request passes. What they say is kept with the exchange.
/// Where some are kept elsewhere, or its place is, this is true, and those are still to be asked by
/// [`ask`].
pub(crate) fn check(
    exchange: &mut Exchange,
    route: &Route,
    head: &request::Parts,
    path: &str,
) -> Result<bool, Error> {
    let Some(limits) = &route.limits else { return Ok(false) };
    let (world, identity) = (exchange.world.clone(), exchange.identity.clone());
    let values = values(exchange, &world, head);
    let subject = Subject {
        lua: values.as_ref().map(|values| values as _),
        ..subject(exchange, route, (head, path), identity.as_deref())
    };
    let waits = judge(exchange, limits, &subject);
    if let Some(values) = &values {
        values.note(exchange);
    }
    waits
}

/// Whether the limits of a request must be asked elsewhere.
fn judge(
    exchange: &mut Exchange,
    limits: &RouteLimits,
    subject: &Subject<'_>,
) -> Result<bool, Error> {
    match limits.per_key.as_ref().map(|bulkhead| bulkhead.enter(subject)) {
        Some(Entry::Busy) => return Err(Error::RouteBusy),
        Some(Entry::Counted(permit)) => exchange.key_permit = Some(KeyPermit::Here(permit)),
        // Nothing is charged before it has its place.
        Some(Entry::Open(_)) => return Ok(true),
        Some(Entry::Free) | None => {}
    }
    if limits.rules.is_empty() {
        return Ok(false);
    }
    let limited = Box::new(limits.check(subject, exchange.began));
    if limited.is_open() {
        exchange.limited = Some(limited);
        return Ok(true);
    }
    settle_on(exchange, limits, limited, subject).map(|()| false)
}

/// Asks the limits that are kept elsewhere.
pub(crate) async fn ask(
    exchange: &mut Exchange,
    head: &request::Parts,
    path: &str,
) -> Result<(), Error> {
    let world = exchange.world.clone();
    let route = exchange.route.and_then(|route| world.snapshot.routes.get(route));
    let route = route.ok_or(Error::Bug)?;
    let limits = route.limits.as_ref().ok_or(Error::Bug)?;
    let identity = exchange.identity.clone();
    let values = values(exchange, &world, head);
    let subject = Subject {
        lua: values.as_ref().map(|values| values as _),
        ..subject(exchange, route, (head, path), identity.as_deref())
    };
    let mut limited = match exchange.limited.take() {
        Some(limited) => limited,
        None => {
            exchange.key_permit = enter(&world, limits, &subject).await?;
            if limits.rules.is_empty() {
                return Ok(());
            }
            Box::new(limits.check(&subject, exchange.began))
        }
    };
    if let Some(values) = &values {
        values.note(exchange);
    }
    if limited.is_open() {
        let outcome = shared::ask(&world, limits, &limited).await.ok_or(Error::Bug)?;
        limits.conclude(&mut limited, &outcome.verdict, outcome.source);
    }
    settle_on(exchange, limits, limited, &subject)
}

/// Asks for a place that is counted elsewhere.
async fn enter(
    world: &World,
    limits: &RouteLimits,
    subject: &Subject<'_>,
) -> Result<Option<KeyPermit>, Error> {
    match limits.per_key.as_ref().map(|bulkhead| bulkhead.enter(subject)) {
        Some(Entry::Open(asking)) => {
            let store = world.shared.as_ref().ok_or(Error::Bug)?;
            let permit = store.enter(asking).await.map_err(|_| Error::RouteBusy)?;
            Ok(Some(KeyPermit::Shared(Box::new(permit))))
        }
        Some(Entry::Counted(permit)) => Ok(Some(KeyPermit::Here(permit))),
        Some(Entry::Busy) => Err(Error::RouteBusy),
        Some(Entry::Free) | None => Ok(None),
    }
}

/// What computes keys in Lua.
fn values<'a>(
    exchange: &Exchange,
    world: &'a World,
    head: &'a request::Parts,
) -> Option<Values<'a>> {
    Values::new(&world.snapshot.scripts, &world.vms, &head.method, exchange.request_id.as_ref())
}

fn subject<'a>(
    exchange: &Exchange,
    route: &'a Route,
    (head, path): (&'a request::Parts, &'a str),
    identity: Option<&'a Identity>,
) -> Subject<'a> {
    Subject {
        client: exchange.client,
        headers: &head.headers,
        path,
        query: head.uri.query(),
        route: &route.name,
        identity,
        lua: None,
    }
}

/// Takes down what all limits said.
fn settle_on(
    exchange: &mut Exchange,
    limits: &RouteLimits,
    mut limited: Box<Limited>,
    subject: &Subject<'_>,
) -> Result<(), Error> {
    let tallies: &[Arc<_>] = exchange.route.map_or(&[], |route| exchange.world.tallies(route));
    limits.count(&limited, subject, tallies);
    let denied = limited.is_denied();
    if denied {
        limited.takes_problem = problem::is_taken(subject.headers);
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

/// Settles the charges of a request by what the head of its response says that it did cost. Where
/// the body says it, that is read as it passes.
pub(crate) fn settle(exchange: &mut Exchange, route: &Route, headers: &HeaderMap) {
    let Some(limits) = &route.limits else { return };
    let Some(limited) = exchange.limited.as_ref().filter(|_| limits.settles || limits.reads) else {
        return;
    };
    if limits.reads {
        let asked = limited.asked.iter().enumerate();
        let wanted = asked.filter(|(_, asked)| !limits.json_path(asked.rule).is_empty());
        exchange.meter = Meter::of(headers, wanted.map(|(place, _)| place)).map(Box::new);
    }
    if limits.settles {
        let costs = limits.named(limited, headers);
        settle_by(exchange, limits, &costs, clock::now());
    }
}

/// A piece of the response's body passes.
pub(crate) fn read(exchange: &mut Exchange, piece: &[u8]) {
    let Some(mut meter) = exchange.meter.take() else { return };
    if let Some((limits, limited)) = said(exchange) {
        meter.pass(piece, limits, limited);
    }
    exchange.meter = Some(meter);
}

/// The response's body is over: what it named is what the request did cost.
pub(crate) fn settle_read(exchange: &mut Exchange, now: Tick) {
    let Some(meter) = exchange.meter.take() else { return };
    let world = exchange.world.clone();
    let route = exchange.route.and_then(|route| world.snapshot.routes.get(route));
    if let Some(limits) = route.and_then(|route| route.limits.as_ref()) {
        settle_by(exchange, limits, &meter.costs(), now);
    }
}

fn settle_by(exchange: &mut Exchange, limits: &RouteLimits, costs: &[(usize, u64)], now: Tick) {
    let (Some(route), Some(limited)) = (exchange.route, &mut exchange.limited) else { return };
    put_right(&exchange.world, (route, limits), limited, costs, now);
}

fn put_right(
    world: &Rc<World>,
    (route, limits): (usize, &RouteLimits),
    limited: &mut Limited,
    costs: &[(usize, u64)],
    now: Tick,
) {
    let rest = limits.settle(limited, costs, now);
    if let Some(source) = limited.source.filter(|_| !rest.is_empty()) {
        shared::settle(world, route, rest, source);
    }
}

/// Tells the client how it stands.
pub(crate) fn tell(exchange: &Exchange, headers: &mut HeaderMap) {
    if let Some((limits, limited)) = said(exchange) {
        fields::tell(limits, limited, headers);
    }
}

/// Whether a denied request is told in a body of its own what denied it.
pub(crate) fn explains(exchange: &Exchange) -> bool {
    said(exchange)
        .is_some_and(|(limits, limited)| limited.takes_problem && limited.denier(limits).is_some())
}

/// Says in the response to a denied request when to come again and, but to a gRPC call, what denied
/// it.
pub(crate) fn explain(exchange: &Exchange, grpc: bool, response: &mut Response<Body>) {
    let Some((limits, limited)) = said(exchange) else { return };
    if let Some(seconds) = limited.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if let Some(rule) = limited.denier(limits).filter(|_| limited.takes_problem && !grpc) {
        problem::put(response, fields::problem(&rule.problem, limited.retry_after));
    }
}

/// What the limits of its route said to a request, and which they are.
pub(crate) fn said(exchange: &Exchange) -> Option<(&RouteLimits, &Limited)> {
    let limited = exchange.limited.as_deref()?;
    let limits = exchange.world.snapshot.routes[exchange.route?].limits.as_ref()?;
    Some((limits, limited))
}
