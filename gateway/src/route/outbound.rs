//! A request as it goes upstream: where to, with which body, under which bounds.

use std::rc::Rc;

use http::{HeaderMap, Method, request};

use crate::{
    cache::{self, Asking},
    clock,
    error::Error,
    http::{
        body::Body,
        deadline,
        exchange::Exchange,
        guard::{Checked, Framing},
        headers::{Upgrade, name},
        upload::{Progress, Upload},
    },
    pause::Pause,
    policy,
    script::Scripted,
    snapshot::{Forward, Route},
    upstream::draft::{Draft, Runs, Shape},
};

/// The upstream that is asked: the one that a script chose or the request stays with, or as the
/// shares say.
pub(super) fn choose(
    exchange: &mut Exchange,
    route: &Route,
    to: &Forward,
    head: (&Method, &HeaderMap),
    target: (&str, Option<&str>),
) -> Result<usize, Error> {
    if let Some(policies) = &route.policies {
        let script = exchange.policy.as_ref().and_then(|seen| seen.script.as_deref());
        let chosen = script.and_then(Scripted::upstream);
        if let Some(upstream) = chosen.or_else(|| policy::stay(exchange, policies, head, target)) {
            return Ok(upstream);
        }
    }
    to.choose(&mut exchange.connection.worker.rng.borrow_mut()).ok_or(Error::NoEndpoint)
}

/// Has what is stale made anew, while the client is answered with it.
pub(super) fn renew(
    exchange: &mut Exchange,
    route: &Route,
    to: &Forward,
    mut head: request::Parts,
    checked: &Checked,
) -> Result<(), Error> {
    let Some(asking) = exchange.asking.take() else { return Ok(()) };
    let mut own = exchange.beside();
    own.cache = exchange.cache;
    head.method = Method::GET;
    route.cache.iter().for_each(|rule| rule.strip_unkeyed(&mut head.headers));
    // The client has its answer.
    head.headers.remove(&name::X_REQUEST_DEADLINE);
    head.headers.remove(&name::GRPC_TIMEOUT);
    let draft = draft(&mut own, route, to, (head, Body::empty()), checked, false)?;
    cache::refresh(own, asking, draft);
    Ok(())
}

/// The request as it goes upstream.
pub(super) fn draft(
    exchange: &mut Exchange,
    route: &Route,
    to: &Forward,
    (mut head, body): (request::Parts, Body),
    checked: &Checked,
    trailers: bool,
) -> Result<Box<Draft>, Error> {
    if let Some(policies) = &route.policies {
        policy::strike(exchange, policies, &head.headers);
    }
    if exchange.asking.as_deref().is_some_and(Asking::is_for_others) {
        route.cache.iter().for_each(|rule| rule.strip_unkeyed(&mut head.headers));
    }
    route.request_edits.apply(&mut head.headers);
    if let Some(place) = exchange.place {
        head.headers.insert(&name::TRACEPARENT, place.to_value());
    }
    head.extensions.clear();
    // Few clients say so, and few routes for them.
    if (checked.hurries || route.request_edits.writes())
        && let Some(limit) = deadline::read(&head.headers, exchange.began, clock::unix_time)?
    {
        exchange.deadline = limit.at;
        head.extensions.insert(limit);
    }
    exchange.invite(checked);
    let mut rng = exchange.connection.worker.rng.borrow_mut();
    let upgrade = checked.upgrade.clone().map(|protocol| match checked.bridged {
        true => Upgrade::of_stream(protocol, &mut rng),
        false => Upgrade::of_connection(protocol, &head.headers),
    });
    drop(rng);
    let host = to.host.clone();
    let (upload, client) = match checked.bridged {
        true => (Upload::empty(), Some(Box::new(body))),
        false => (upload(exchange, body, (checked.framing, route.max_body)), None),
    };
    // Written where it stays: it is too large to be handed on.
    let mut draft = Box::new(Draft {
        head,
        upload,
        client,
        shape: Shape { upgrade, trailers, host, ..Shape::new(checked.framing) },
        seen: false,
        mirrored: false,
        runs: Runs::ByMethod,
        claimed: None,
    });
    if let Some(policy) = &route.retry {
        policy.budget.deposit(exchange.began);
        // What is read whole before it is sent needs no copy.
        if exchange.idempotency.as_ref().is_none_or(|told| !told.is_kept()) {
            draft.upload.keep(policy.buffer);
        }
    }
    Ok(draft)
}

/// The request's body, bounded.
fn upload(exchange: &mut Exchange, body: Body, (framing, most): (Framing, u64)) -> Upload {
    if framing == Framing::None || http_body::Body::is_end_stream(&body) {
        return Upload::empty();
    }
    let snapshot = &exchange.world.snapshot;
    let progress = Rc::<Progress>::default();
    exchange.upload = Some(progress.clone());
    let timers = exchange.connection.worker.timers.clone();
    let pause = Pause::new(timers, snapshot.timeouts.body_idle);
    Upload::new(body, progress, most, pause)
}
