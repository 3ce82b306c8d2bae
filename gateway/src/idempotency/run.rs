//! The one run of a keyed request: a task of the worker, which a client that goes away does not
//! end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Response, header::CONTENT_LENGTH};
use http_body::Body as _;
use tokio::sync::oneshot;

use super::{
    fingerprint::Fingerprint,
    intake::Intake,
    key::RecordKey,
    lease::Lease,
    record::{Gone, Outcome as Kept, Recording},
    rule::Rule,
    state::{Claimed, Terms},
    store::Store,
    tape::Tape,
    tell::Outcome,
    verdict::{self, Verdict},
};
use crate::{
    cache::Place,
    clock::{self, Tick},
    error::Error,
    http::{body::Body, exchange::Exchange, headers},
    limit::Toll,
    route::{Ran, run_once},
    snapshot::live::Errand,
    upstream::draft::{Draft, Runs},
};

/// What the client is told, and the exchange that stood in for its own.
pub(super) struct News {
    pub(super) what: What,
    pub(super) own: Box<Exchange>,
}

pub(super) enum What {
    /// The upstream's response; its head is still to be made the gateway's own.
    Answer(Response<Body>),
    /// A response that is the gateway's own.
    Instead(Response<Body>),
    /// It ran, and there is no response.
    Failed(Error),
    /// It did not run: this is what came of it before.
    Replay(Arc<Recording>),
    /// It did not run. Where another one is under way, its claim lasts for so long.
    Refused(Error, Outcome, Option<Duration>),
    /// Nobody knows whether it ran before, and it may run as if it had no key. With the room that
    /// its body takes.
    Unkept(Box<Draft>, Place),
}

/// A keyed request whose body is here.
pub(super) struct Job {
    pub(super) own: Box<Exchange>,
    pub(super) draft: Box<Draft>,
    pub(super) key: RecordKey,
    pub(super) print: Fingerprint,
    pub(super) store: Store,
    pub(super) terms: Terms,
    pub(super) tell: oneshot::Sender<News>,
    /// Until when it waits for another one with its key.
    pub(super) patience: Tick,
    /// A shutdown waits for it.
    pub(super) errand: Errand,
    /// The room that its body takes, until it has run.
    pub(super) place: Place,
}

impl Job {
    /// Claims the key, runs the request and stores what came of it.
    pub(super) async fn run(self) {
        let world = self.own.world.clone();
        let Some(route) = self.own.route.map(|index| &world.snapshot.routes[index]) else { return };
        let Some(rule) = &route.idempotency else { return };
        let Some((mut job, lease)) = self.claim().await else { return };
        job.draft.runs = if rule.redrives() { Runs::OneAtATime } else { Runs::Once };
        job.draft.claimed = Some(lease.ends());
        let method = job.draft.head.method.clone();
        match Box::pin(run_once(&mut job.own, route, &mut job.draft)).await {
            Ok(Ran::Answered(response)) => job.take_in(rule, &method, response, lease).await,
            Ok(Ran::Instead(response)) => {
                job.give_up(lease).await;
                job.tell(What::Instead(response));
            }
            Err(error) => {
                job.give_up(lease).await;
                job.tell(What::Failed(error));
            }
        }
    }

    /// The right to run it; or else the client knows why there is none.
    async fn claim(mut self) -> Option<(Self, Lease)> {
        loop {
            let now = clock::now();
            let Self { store, key, print, terms, tell, patience, .. } = &mut self;
            let what = match store.claim(key, print, terms, now).await {
                Ok(Claimed::Granted(fence)) => {
                    let lease = Lease::keep(store.clone(), *key, fence, *terms, now);
                    return Some((self, lease));
                }
                Ok(Claimed::InFlight { .. }) if now < *patience => {
                    tokio::select! {
                        () = store.settled(key, *patience, now) => continue,
                        // Nobody waits any more, and nothing was claimed.
                        () = tell.closed() => return None,
                    }
                }
                Ok(Claimed::InFlight { left }) => {
                    let (error, outcome) = (Error::IdempotencyKeyInFlight, Outcome::InFlight);
                    What::Refused(error, outcome, Some(left))
                }
                Ok(Claimed::Mismatch) => {
                    What::Refused(Error::IdempotencyKeyReused, Outcome::Mismatch, None)
                }
                Ok(Claimed::Unknown) => {
                    What::Refused(Error::IdempotencyKeyUnknown, Outcome::Unknown, None)
                }
                Ok(Claimed::Done(recording)) => match recording.body() {
                    Kept::Whole(_) => What::Replay(recording),
                    Kept::Gone(_) => {
                        let outcome = Outcome::NotReplayable;
                        What::Refused(Error::IdempotencyKeySpent, outcome, None)
                    }
                },
                Err(_) if terms.runs_unclaimed => {
                    let Self { own, draft, tell, place, .. } = self;
                    let _ = tell.send(News { what: What::Unkept(draft, place), own });
                    return None;
                }
                Err(_) => What::Refused(Error::IdempotencyKeyStoreDown, Outcome::StoreDown, None),
            };
            self.tell(what);
            return None;
        }
    }

    /// There is no response of the upstream.
    async fn give_up(&self, lease: Lease) {
        match self.draft.seen {
            true => lease.forsake().await,
            false => lease.release().await,
        }
    }

    /// Where the client is gone, what was meant for it is dropped.
    fn tell(self, what: What) {
        let _ = self.tell.send(News { what, own: self.own });
    }

    /// Takes in a response, as its head says.
    async fn take_in(
        mut self,
        rule: &Rule,
        method: &Method,
        response: Response<Body>,
        lease: Lease,
    ) {
        let (mut head, body) = response.into_parts();
        if let Err(error) = headers::settle_framing(&mut head, method) {
            lease.forsake().await;
            return self.tell(What::Failed(error));
        }
        let length = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length = length.and_then(|text| text.parse().ok()).filter(|_| !body.is_end_stream());
        let place = rule.records.room.take(length.unwrap_or(0));
        let status = head.status;
        let verdict = verdict::judge(&rule.config, status, &head.headers);
        match (verdict, place) {
            // Without a byte to wait for, whose end may be late.
            (Verdict::Store, Some(_)) if body.is_end_stream() || length == Some(0) => {
                let recording = Recording::whole(status, &head.headers, Bytes::new());
                lease.complete(recording, &self.errand).await;
            }
            (Verdict::Store, Some(place)) => {
                let tape = Tape::new(place);
                let intake = Intake {
                    status,
                    headers: head.headers.clone(),
                    length,
                    most: rule.config.max_response.into(),
                    permit: self.own.permit.take(),
                    toll: Toll::take(&mut self.own),
                    errand: self.errand.clone(),
                };
                let client = Body::follow(tape.play(length));
                let what = What::Answer(Response::from_parts(head, client));
                // A client that is gone leaves its places here, until the upstream is done.
                let _gone = self.tell.send(News { what, own: self.own }).err();
                return intake.run(body, tape, lease).await;
            }
            (Verdict::Store, None) => {
                lease.complete(Recording::gone(status, Gone::NoRoom), &self.errand).await;
            }
            (Verdict::Spend(why), _) => {
                lease.complete(Recording::gone(status, why), &self.errand).await;
            }
            (Verdict::Release, _) => lease.release().await,
            (Verdict::Forsake, _) => lease.forsake().await,
        }
        self.tell(What::Answer(Response::from_parts(head, body)));
    }
}
