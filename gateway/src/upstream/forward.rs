//! The heart: choose an endpoint, get a connection, send the request, judge the outcome, perhaps
//! once more. One loop, so that balancing, bounds and second tries share one control flow.
//!
//! What only a failure needs is in [`super::again`], what only a slow answer needs in
//! [`super::hedge`]: a request that goes well passes by neither.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use http::Response;
use smallvec::SmallVec;
use weir_config::model::{Balance, Hedge};

use super::{
    again::Next,
    attempt::{Received, attempt},
    clocks::Clocks,
    draft::{Draft, Runs},
    hedge,
    load::{Outcome, Told},
    pick::hash::Place,
    pool::{Pooled, UpstreamPool},
    retry::policy::{RetryPolicy, Stop},
    trail::{Said, Turn},
    underway::Underway,
    wire::Wire,
};
use crate::{
    clock::{self, Tick},
    error::Error,
    http::{body::Body, exchange::Exchange, headers::name},
    limit::key::Subject,
    pause::{BodyClocks, Pause},
    script::Values,
    snapshot::Route,
};

/// What came of it.
#[derive(Debug)]
pub(crate) enum Forwarded {
    /// A response.
    Response(Response<Body>),
    /// The endpoint switched protocols: its head, its end of the tunnel, and the client's where
    /// that is a stream.
    Switched(http::response::Parts, Box<Wire>, Option<Box<Body>>),
}

/// A request's way through its attempts.
pub(super) struct Run<'a> {
    pub(super) upstream: &'a UpstreamPool,
    /// Where its key is, if one decides.
    pub(super) place: Option<Place>,
    pub(super) policy: Option<&'a RetryPolicy>,
    /// Nobody waits for it: what becomes of it is no sign of anything.
    aside: bool,
    pub(super) clocks: Clocks,
    /// Endpoints that are not asked while there is another.
    pub(super) tried: SmallVec<[usize; 4]>,
    /// Attempts made, those for a kept connection that had died not counted.
    pub(super) tries: u32,
    /// Those of them that followed a failure.
    pub(super) retries: u32,
    /// Whether a kept connection that had died was replaced.
    pub(super) replaced: bool,
    /// What kind of attempt is under way.
    pub(super) turn: Turn,
}

/// Sends a request to `upstream`, from `now` on, and returns the response, its body still to be
/// read.
pub(crate) async fn forward(
    exchange: &mut Exchange,
    upstream: &UpstreamPool,
    route: &Route,
    draft: &mut Draft,
    mut now: Tick,
) -> Result<Forwarded, Error> {
    if let Some(mirror) = route.mirror() {
        mirror.copy(exchange, draft);
    }
    let mut run = Run::new(exchange, upstream, route, draft);
    if run.aside {
        // Without a wait: that is for requests that somebody waits for.
        let gate = &upstream.shared.gates.requests;
        exchange.permit = Some(gate.try_acquire().ok_or(Error::UpstreamBusy)?);
    } else if enter(exchange, upstream, &run.clocks).await? {
        // Time in the queue is none of an endpoint's.
        now = clock::now();
    }
    let picked = run.pick(exchange, now);
    let mut index = picked.ok_or_else(|| run.nobody(exchange, now))?;
    let received = loop {
        run.ask(exchange, draft, &mut index, now)?;
        let outcome = match run.hedge_after(draft, now) {
            None => attempt(exchange, run.pool(index), &mut run.clocks, draft).await,
            Some(delay) => {
                let race = hedge::race(&mut run, exchange, draft, &mut index, delay);
                Box::pin(race).await
            }
        };
        now = clock::now();
        let outcome = match outcome {
            Ok(received) if !run.is_fault(&received) => break received,
            outcome => outcome,
        };
        // Boxed: rare, and its state is no part of every request's.
        match Box::pin(run.again(exchange, draft, index, outcome, now)).await {
            Next::Ask(next) => index = next,
            Next::End(Ok(received)) => break received,
            Next::End(Err(failed)) => return Err(failed.error),
        }
        now = clock::now();
    };
    Ok(run.finish(exchange, draft, index, received, now))
}

/// Takes a place among the upstream's requests; whether that took a wait.
pub(super) async fn enter(
    exchange: &mut Exchange,
    upstream: &UpstreamPool,
    clocks: &Clocks,
) -> Result<bool, Error> {
    let gate = &upstream.shared.gates.requests;
    exchange.permit = gate.try_acquire();
    let waits = exchange.permit.is_none();
    if waits {
        let patience = exchange.connection.worker.timers.deadline();
        let over = clocks.end(exchange);
        let (mut turn, mut longest) = (pin!(gate.acquire()), None);
        let permit = poll_fn(|cx| {
            if let Poll::Ready(permit) = turn.as_mut().poll(cx) {
                return Poll::Ready(permit.map_err(|_| Error::UpstreamBusy));
            }
            let longest = *longest.get_or_insert_with(|| {
                let now = clock::now();
                let end = now + gate.patience(upstream.shared.config.limits.queue_timeout, now);
                patience.set(end.min(over));
                end
            });
            let error = if over < longest { Error::DeadlinePassed } else { Error::QueueTimeout };
            patience.poll_expired(cx).map(|()| Err(error))
        })
        .await?;
        exchange.permit = Some(permit);
    }
    Ok(waits)
}

impl<'a> Run<'a> {
    fn new(
        exchange: &Exchange,
        upstream: &'a UpstreamPool,
        route: &'a Route,
        draft: &Draft,
    ) -> Self {
        // As the route sends it: edited and rewritten.
        let head = &draft.head;
        let (world, id) = (&exchange.world, exchange.request_id.as_ref());
        let values = Values::new(&world.snapshot.scripts, &world.vms, &head.method, id);
        let aside = draft.runs == Runs::Aside;
        let place = upstream.place(&Subject {
            client: exchange.client,
            headers: &head.headers,
            path: head.uri.path(),
            query: head.uri.query(),
            route: &route.name,
            identity: exchange.identity(),
            lua: values.as_ref().map(|values| values as _),
        });
        if let Some(values) = values {
            values.note(exchange);
        }
        Self {
            upstream,
            place,
            policy: route.retry.as_ref().filter(|_| !aside),
            aside,
            clocks: Clocks::new(exchange, route.timeout),
            tried: SmallVec::new(),
            tries: 0,
            retries: 0,
            replaced: false,
            turn: Turn::First,
        }
    }

    pub(super) fn pool(&self, index: usize) -> &'a Pooled {
        &self.upstream.endpoints[index]
    }

    /// An endpoint that was not tried yet.
    pub(super) fn pick(&self, exchange: &Exchange, now: Tick) -> Option<usize> {
        let rng = &mut exchange.connection.worker.rng.borrow_mut();
        let tried = |index| self.tried.contains(&index);
        match self.tries {
            0 => self.upstream.pick(self.place, tried, now, rng),
            _ => self.upstream.pick_again(self.place, tried, now, rng),
        }
    }

    /// An attempt begins.
    fn ask(
        &mut self,
        exchange: &mut Exchange,
        draft: &mut Draft,
        index: &mut usize,
        now: Tick,
    ) -> Result<(), Error> {
        // First, since its breaker may have a place for one only.
        exchange.in_flight = None;
        // An endpoint without any time to answer could only be blamed for it.
        if now >= self.clocks.end(exchange) {
            return Err(Error::DeadlinePassed);
        }
        while exchange.in_flight.is_none() {
            let pool = self.pool(*index);
            exchange.in_flight = match self.aside {
                false => Underway::begin(&self.upstream.shared, pool, now),
                true => Underway::aside(pool, now),
            };
            if exchange.in_flight.is_none() {
                // Somebody else was faster.
                self.tried.push(*index);
                let next = self.pick(exchange, now);
                *index = next.ok_or_else(|| self.nobody(exchange, now))?;
            }
        }
        exchange.attempts += 1;
        self.tries += 1;
        draft.shape.attempt += 1;
        let patience = self.policy.and_then(|policy| policy.patience(|| draft.case(self.tries)));
        self.clocks.begin(exchange, patience, now);
        Ok(())
    }

    /// Why there is nobody to ask.
    #[cold]
    fn nobody(&self, exchange: &mut Exchange, now: Tick) -> Error {
        exchange.retry_after = self.upstream.opens_in(now);
        if let Some(trail) = &mut exchange.trail {
            trail.stop = Some(Stop::NoEndpoint);
        }
        if exchange.retry_after.is_some() { Error::BreakerOpen } else { Error::NoEndpoint }
    }

    /// How long the attempt may take before another is made beside it.
    fn hedge_after(&self, draft: &Draft, now: Tick) -> Option<Duration> {
        let hedge = self.policy?.hedge.filter(|_| self.tries == 1 && draft.may_hedge())?;
        match hedge {
            Hedge::After(delay) => Some(delay),
            Hedge::P95 => self.upstream.p95(now),
        }
    }

    /// Whether the policy, or the log, has something to say about a response.
    fn is_fault(&self, received: &Received) -> bool {
        let (status, _) = received.head();
        status.is_server_error() || self.policy.is_some_and(|policy| policy.names(status))
    }

    /// The head is there: takes the latency sample and sets the clocks of the body.
    pub(super) fn finish(
        self,
        exchange: &mut Exchange,
        draft: &mut Draft,
        index: usize,
        received: Received,
        now: Tick,
    ) -> Forwarded {
        draft.seen = true;
        let pool = self.pool(index);
        let heard = received.heard();
        if let Some(in_flight) = &mut exchange.in_flight {
            exchange.upstream_time = Some(now.since(in_flight.began()));
            let took = self.clocks.waited(now).unwrap_or_default();
            in_flight.judge(&self.upstream.shared, heard.outcome, (took, None), now);
        }
        self.tell_limit(exchange, heard.outcome, now);
        if exchange.trail.is_some() {
            exchange.note(Said::Answer(heard.status.as_u16()), self.turn, now);
        }
        let headers = received.head().1;
        pool.0.hear(headers, now);
        if self.upstream.shared.config.balance == Balance::Prequal
            && let Some(value) = headers.get(&name::X_WEIR_LOAD)
            && let Some(told) = Told::parse(value.as_bytes())
        {
            pool.0.shared.load.hear(told, now);
        }
        let timers = exchange.connection.worker.timers.clone();
        let pause = Pause::new(timers, self.clocks.timeout.idle);
        let limit = || self.clocks.into_body_limit(exchange, heard.stream);
        received.open(pool, || BodyClocks::new(pause, limit()), draft.client.take())
    }

    /// Tells the limit that follows latency how long the answer took. From here on the request
    /// counts for the fixed one only: how long its body takes is as much the client's doing.
    fn tell_limit(&self, exchange: &mut Exchange, outcome: Outcome, now: Tick) {
        let counts = outcome == Outcome::Success && !self.aside;
        let waited = self.clocks.waited(now).filter(|_| counts);
        if let Some(waited) = waited {
            self.upstream.shared.gates.record(waited, outcome, now);
        }
        if let Some(permit) = &mut exchange.permit {
            permit.step_aside();
        }
    }
}
