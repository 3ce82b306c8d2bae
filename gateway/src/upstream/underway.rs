//! An attempt under way at an endpoint: its place in the load count and its pass of the breaker,
//! both given back when it is dropped.

use std::time::Duration;

use super::{
    breaker::{Pass, Verdict},
    endpoint::Upstream,
    load::{EndpointLoad, InFlight, Outcome},
    pool::Pooled,
};
use crate::clock::{self, Tick};

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Underway {
    in_flight: InFlight<Pooled>,
    /// It counts as under way, and for nothing else.
    aside: bool,
    /// As long as the breaker waits to hear of it.
    pass: Option<Pass>,
}

impl Underway {
    /// Begins one, unless the endpoint's breaker lets nobody through.
    pub(crate) fn begin(upstream: &Upstream, pool: &Pooled, now: Tick) -> Option<Self> {
        let endpoint = &pool.0.shared;
        let pass = endpoint.breaker.admit(now)?;
        if let Some(change) = pass.change() {
            change.log(&upstream.name, &endpoint.name);
        }
        let in_flight = EndpointLoad::begin(pool.clone(), now);
        let pass = Some(pass).filter(|pass| pass.is_watched());
        Some(Self { in_flight, aside: false, pass })
    }

    /// Begins one that nobody waits for, unless the endpoint's breaker is open, or half open, when
    /// its places are for those who tell what becomes of them: health, latencies and breaker are
    /// those of requests that somebody waits for.
    pub(crate) fn aside(pool: &Pooled, now: Tick) -> Option<Self> {
        let in_flight = || EndpointLoad::begin(pool.clone(), now);
        let closed = pool.0.shared.breaker.is_closed();
        closed.then(|| Self { in_flight: in_flight(), aside: true, pass: None })
    }

    /// Takes the sample of the attempt, and tells roster and breaker: when the response's head is
    /// there, or its failure certain. Only the first call counts. The endpoint alone `took` so
    /// long, and a failing answer of it may ask to be left alone for `wish`.
    pub(crate) fn judge(
        &mut self,
        upstream: &Upstream,
        outcome: Outcome,
        (took, wish): (Duration, Option<Duration>),
        now: Tick,
    ) {
        if self.aside {
            return;
        }
        let run = self.in_flight.record(outcome, now);
        let endpoint = &self.in_flight.load().0.shared;
        if run > 0 {
            upstream.gates.record(now.since(self.began()), outcome, now);
            upstream.roster.failed(endpoint, run, now);
        }
        if let Some(pass) = self.pass.take() {
            let verdict = match outcome {
                Outcome::Success => Verdict::Success,
                Outcome::Failure => Verdict::Failure,
            };
            if let Some(change) = endpoint.breaker.record(pass, verdict, took, wish, now) {
                change.log(&upstream.name, &endpoint.name);
            }
        }
    }

    /// Nobody waits for it any more. It would have taken longer than this: left out, slow answers
    /// would be missing among the latencies, and what is slow would be called so ever earlier. The
    /// breaker hears of it where the endpoint alone was `waited` for so long that it is slow; else
    /// nothing is known.
    pub(crate) fn give_up(&mut self, upstream: &Upstream, waited: Duration, now: Tick) {
        let endpoint = &self.in_flight.load().0.shared;
        endpoint.load.latency().record(now.nanos_since(self.in_flight.began()));
        if let Some(pass) = self.pass.take_if(|_| endpoint.breaker.is_slow(waited))
            && let Some(change) = endpoint.breaker.record(pass, Verdict::Success, waited, None, now)
        {
            change.log(&upstream.name, &endpoint.name);
        }
    }

    /// When it began.
    pub(crate) fn began(&self) -> Tick {
        self.in_flight.began()
    }

    /// Who is asked.
    pub(crate) fn load(&self) -> &Pooled {
        self.in_flight.load()
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            let breaker = &self.load().0.shared.breaker;
            // Of what nobody knows nothing follows but that a probe's place is free.
            let none = Duration::ZERO;
            let _ = breaker.record(pass, Verdict::Unknown, none, None, clock::now());
        }
    }
}
