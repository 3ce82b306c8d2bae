//! The heart: choose an endpoint, get a connection, send the request, judge the outcome, perhaps
//! once more. One loop, so that balancing, bounds and second tries share one control flow.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use http::Response;
use smallvec::SmallVec;
use weir_config::model::RouteTimeout;

use super::{
    attempt::{attempt, finish},
    clocks::Clocks,
    draft::Draft,
    load::{EndpointLoad, Outcome},
    pool::UpstreamPool,
    wire::Wire,
};
use crate::{
    clock::{self, Tick},
    error::{Error, Retry, Side},
    http::{body::Body, exchange::Exchange},
};

/// Endpoints tried for one request while none of them has seen it.
const MOST_ATTEMPTS: u32 = 3;

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
pub(super) fn judge(exchange: &mut Exchange, upstream: &UpstreamPool, outcome: Outcome, now: Tick) {
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
        let longest = clock::now() + upstream.shared.config.limits.queue_timeout;
        patience.set(longest.min(exchange.deadline));
        let mut turn = pin!(gate.acquire());
        let permit = poll_fn(|cx| {
            if let Poll::Ready(permit) = turn.as_mut().poll(cx) {
                return Poll::Ready(permit.map_err(|_| Error::UpstreamBusy));
            }
            let late = exchange.deadline < longest;
            let error = if late { Error::DeadlinePassed } else { Error::QueueTimeout };
            patience.poll_expired(cx).map(|()| Err(error))
        })
        .await?;
        exchange.permit = Some(permit);
    }
    Ok(waits)
}
