//! What follows an attempt that was not simply well: whether there is another, where, and when.

use std::time::{Duration, UNIX_EPOCH};

use http::{StatusCode, header};

use super::{
    attempt::Received,
    clocks::Clocks,
    draft::Draft,
    forward::{Forwarded, Run, enter},
    h1::Failed,
    load::Outcome,
    pool::{Pooled, UpstreamPool},
    retry::policy::{Fault, Stop},
    trail::{Said, Turn},
    underway::Underway,
};
use crate::{
    clock::{self, Tick},
    error::{Error, Side},
    http::{drain, exchange::Exchange},
    pause::{BodyClocks, Pause},
};

/// How a request goes on.
pub(super) enum Next {
    /// With an attempt at this endpoint.
    Ask(usize),
    /// Not at all: this is what it comes to.
    End(Result<Received, Failed>),
}

impl Run<'_> {
    /// Judges an attempt, and waits until it is time for the next one, if there is one.
    pub(super) async fn again(
        &mut self,
        exchange: &mut Exchange,
        draft: &mut Draft,
        index: usize,
        outcome: Result<Received, Failed>,
        now: Tick,
    ) -> Next {
        let fault = fault(&outcome);
        draft.seen |= !fault.is_unseen();
        if self.is_stale(fault, draft) && draft.upload.again() {
            self.replaced = true;
            self.tries -= 1;
            draft.shape.attempt -= 1;
            return Next::Ask(self.pick(exchange, now).unwrap_or(index));
        }
        if let Some(in_flight) = &mut exchange.in_flight {
            blame(self.upstream, in_flight, &outcome, &self.clocks, now);
        }
        let patience = outcome.as_ref().ok().and_then(asks_for);
        let plan = self.plan(exchange, draft, (index, fault, patience), now);
        if is_upstreams(fault) {
            let trail = exchange.trail.get_or_insert_default();
            trail.stop = plan.err();
            // What goes to the client is noted when it does.
            if plan.is_ok() || outcome.is_err() {
                exchange.note(said(&outcome), self.turn, now);
            }
        }
        let Ok((next, wait)) = plan else { return Next::End(outcome) };
        if let Ok(received) = outcome {
            discard(received, self.pool(index), exchange);
        }
        // While it waits it is no endpoint's, nor among the upstream's: others may have its place,
        // and it stands in line again.
        exchange.in_flight = None;
        if !wait.is_zero() {
            exchange.permit = None;
            tokio::time::sleep(wait).await;
            if let Err(error) = enter(exchange, self.upstream, &self.clocks).await {
                return Next::End(Err(Failed { error, sent: draft.seen }));
            }
        }
        self.retries += 1;
        self.turn = Turn::Retry;
        Next::Ask(next)
    }

    /// Whether all that failed was a connection that the endpoint closed between two requests: no
    /// attempt, and none that the policy has to allow. Once a request; a second time it is no
    /// coincidence.
    fn is_stale(&self, fault: Fault, draft: &Draft) -> bool {
        let closed =
            matches!(fault, Fault::Error { error: Error::UpstreamReset { reused: true }, .. });
        closed && !self.replaced && (fault.is_unseen() || draft.is_harmless())
    }

    /// An endpoint for another round, when all were tried: the latest only if it is the only one.
    fn pick_tried(&mut self, exchange: &Exchange, latest: usize, now: Tick) -> Option<usize> {
        self.tried.clear();
        self.tried.push(latest);
        self.pick(exchange, now).or_else(|| {
            self.tried.clear();
            self.pick(exchange, now)
        })
    }

    /// Where the next attempt goes, and how long to wait before it.
    fn plan(
        &mut self,
        exchange: &Exchange,
        draft: &mut Draft,
        (index, fault, patience): (usize, Fault, Option<Duration>),
        now: Tick,
    ) -> Result<(usize, Duration), Stop> {
        let policy = self.policy.ok_or(Stop::Off)?;
        policy.allow(fault, &draft.case(self.tries))?;
        self.tried.push(index);
        let other = self.pick(exchange, now);
        // For want of room in the gateway's own bounds nobody has to be asked twice.
        if other.is_none() && matches!(fault, Fault::Error { error: Error::UpstreamBusy, .. }) {
            return Err(Stop::NoEndpoint);
        }
        let next = other.or_else(|| self.pick_tried(exchange, index, now));
        let next = next.ok_or(Stop::NoEndpoint)?;
        let patience = patience.filter(|_| next == index);
        let rng = &mut exchange.connection.worker.rng.borrow_mut();
        let wait = policy.wait(fault, self.retries, other.is_some(), patience, rng)?;
        if now + wait >= self.clocks.end(exchange) {
            return Err(Stop::Deadline);
        }
        if !policy.budget.withdraw(now) {
            return Err(Stop::Budget);
        }
        draft.upload.again().then_some((next, wait)).ok_or(Stop::Body)
    }
}

/// Whether the upstream's side failed, and not the client's or the gateway's.
fn is_upstreams(fault: Fault) -> bool {
    match fault {
        Fault::Error { error, .. } => error.disposition().side == Side::Upstream,
        Fault::Status(_) => true,
    }
}

fn fault(outcome: &Result<Received, Failed>) -> Fault {
    match outcome {
        Ok(received) => Fault::Status(received.head().0),
        Err(Failed { error, sent }) => Fault::Error { error: *error, sent: *sent },
    }
}

/// What an attempt said that is not to reach the client.
pub(super) fn said(outcome: &Result<Received, Failed>) -> Said {
    match outcome {
        Ok(received) => Said::Failure(received.head().0.as_u16()),
        Err(failed) => Said::Error(failed.error),
    }
}

/// Lets go of a response that another attempt takes the place of. What is left of it is read aside,
/// so that its connection can be kept; where it came before the request was sent, its connection
/// ends with what it still has of the upload.
pub(super) fn discard(received: Received, pool: &Pooled, exchange: &Exchange) {
    let timers = exchange.connection.worker.timers.clone();
    let clocks = || BodyClocks::new(Pause::new(timers, drain::LONGEST), None);
    if let Forwarded::Response(response) = received.open(pool, clocks, None) {
        drain::drain(response.into_body());
    }
}

/// Takes the sample of an attempt, if it says something of its endpoint.
pub(super) fn blame(
    upstream: &UpstreamPool,
    asked: &mut Underway,
    outcome: &Result<Received, Failed>,
    clocks: &Clocks,
    now: Tick,
) {
    let (outcome, wish) = match outcome {
        Ok(received) => (received.heard().outcome, asks_for(received)),
        Err(failed) if is_to_blame(failed.error, clocks) => (Outcome::Failure, None),
        Err(_) => return,
    };
    asked.judge(&upstream.shared, outcome, (clocks.waited(now).unwrap_or_default(), wish), now);
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

/// How long an endpoint wants to be left alone (RFC 9110 section 10.2.3).
fn asks_for(received: &Received) -> Option<Duration> {
    let (status, headers) = received.head();
    if !matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(date.saturating_sub(clock::unix_time()))
}
