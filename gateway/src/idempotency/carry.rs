//! A keyed request on the client's side: its body is read whole, then a task runs it, or finds out
//! why not; the client waits for that as long as it likes.

use std::{
    future::{Future as _, poll_fn},
    mem,
    pin::Pin,
    task::Poll,
};

use bytes::Bytes;
use http::{Method, Response};
use http_body::Body as _;
use tokio::sync::oneshot;
use weir_config::model::Unkept;

use super::{
    fingerprint::Fingerprinter,
    record::{Outcome as Kept, Recording},
    rule::{Keyed, Rule},
    run::{Job, News, What},
    tell::Outcome,
};
use crate::{
    cache::Place,
    clock::{self, Tick},
    error::Error,
    http::{body::Body, exchange::Exchange, guard::Framing, reply, upload::Upload},
    route::{carry_out, own},
    snapshot::{Route, live::Errand},
    task,
    upstream::{draft::Draft, forward::Forwarded},
};

/// What of an upload may be read beyond the longest body, to be sent on all the same: more than a
/// piece of it is.
const SLACK: u32 = 1 << 20;

/// Takes a keyed request to its response.
pub(crate) async fn carry(
    exchange: &mut Exchange,
    keyed: Box<Keyed>,
    mut draft: Box<Draft>,
) -> Result<Response<Body>, Error> {
    let world = exchange.world.clone();
    let route = exchange.route.map(|index| &world.snapshot.routes[index]).ok_or(Error::Bug)?;
    let rule = route.idempotency.as_ref().ok_or(Error::Bug)?;
    let Keyed { key, mut print } = *keyed;
    let store = rule.store(&world).ok_or(Error::Bug)?;
    let over = end(exchange, route);
    let place = match read(exchange, rule, (&mut draft, &mut print), over).await? {
        Some(place) => place,
        None if rule.config.large_body == Unkept::Pass && draft.upload.again() => {
            return unkept(exchange, draft).await;
        }
        None => return Err(Error::IdempotencyKeyTooLarge),
    };
    let method = draft.head.method.clone();
    let mut own = exchange.lend();
    if reply::is_grpc(&draft.head.headers) {
        // A stream might have no end but this one.
        own.deadline = exchange.deadline;
    }
    let (tell, mut told) = oneshot::channel();
    let job = Job {
        own,
        draft,
        key,
        print: print.finish(),
        store,
        terms: rule.terms(),
        tell,
        patience: (clock::now() + rule.config.wait).min(over),
        errand: Errand::begin(&exchange.connection.worker.live),
        place,
    };
    note(exchange, Outcome::First);
    task::spawn(job.run());
    let deadline = exchange.connection.worker.timers.deadline();
    deadline.set(exchange.deadline);
    let told = poll_fn(|cx| match Pin::new(&mut told).poll(cx) {
        Poll::Ready(news) => Poll::Ready(news.map_err(|_| Error::Bug)),
        // The client waits no longer, by its own words. What became of it will be in the record.
        Poll::Pending => deadline.poll_expired(cx).map(|()| Err(Error::DeadlinePassed)),
    });
    let News { what, own } = told.await?;
    exchange.take_back(own);
    answer(exchange, route, &method, what).await
}

async fn answer(
    exchange: &mut Exchange,
    route: &Route,
    method: &Method,
    what: What,
) -> Result<Response<Body>, Error> {
    match what {
        What::Answer(response) => {
            let (mut head, body) = response.into_parts();
            own(exchange, route, method, None, &mut head)?;
            Ok(Response::from_parts(head, body))
        }
        What::Instead(response) => Ok(response),
        What::Failed(error) => {
            if error == Error::IdempotencyKeyStoreDown {
                // The claim was lost before its turn came.
                note(exchange, Outcome::StoreDown);
            }
            Err(error)
        }
        What::Replay(recording) => {
            note(exchange, Outcome::Replayed);
            replay(exchange, route, method, &recording)
        }
        What::Refused(error, outcome, left) => {
            if let Some(told) = &mut exchange.idempotency {
                told.refuse(outcome, left);
            }
            Err(error)
        }
        What::Unkept(draft, _place) => unkept(exchange, draft).await,
    }
}

/// The stored response, once more.
fn replay(
    exchange: &Exchange,
    route: &Route,
    method: &Method,
    recording: &Recording,
) -> Result<Response<Body>, Error> {
    let Kept::Whole(body) = recording.body() else { return Err(Error::Bug) };
    let (mut head, ()) = Response::new(()).into_parts();
    (head.status, head.headers) = (recording.status(), recording.headers().clone());
    own(exchange, route, method, None, &mut head)?;
    Ok(Response::from_parts(head, Body::full(body.clone())))
}

/// Passes a request on as if it had no key.
async fn unkept(exchange: &mut Exchange, draft: Box<Draft>) -> Result<Response<Body>, Error> {
    note(exchange, Outcome::Ignored);
    match Box::pin(carry_out(exchange, draft)).await? {
        Forwarded::Response(response) => Ok(response),
        Forwarded::Switched(..) => Err(Error::Bug),
    }
}

fn note(exchange: &mut Exchange, outcome: Outcome) {
    if let Some(told) = &mut exchange.idempotency {
        told.outcome = outcome;
    }
}

/// When the client's time, or the route's, is over.
fn end(exchange: &Exchange, route: &Route) -> Tick {
    let total = route.timeout.total.map_or(Tick::NEVER, |total| exchange.began + total);
    total.min(exchange.deadline)
}

/// Reads the body whole, and puts it where it can be sent from as often as need be. `None` if it is
/// longer than the route takes: what was read of it can be read again.
async fn read(
    exchange: &Exchange,
    rule: &Rule,
    (draft, print): (&mut Draft, &mut Fingerprinter),
    over: Tick,
) -> Result<Option<Place>, Error> {
    let room = &rule.records.room;
    let most = rule.config.max_body;
    // Room is taken by what is there: to announce much and to send nothing costs a client nothing.
    let mut place = room.take(0).ok_or(Error::Overloaded)?;
    if draft.shape.framing == Framing::None {
        return Ok(Some(place));
    }
    if rule.config.large_body == Unkept::Pass {
        draft.upload.keep(most.saturating_add(SLACK));
    }
    let deadline = exchange.connection.worker.timers.deadline();
    deadline.set(over);
    // One piece is as good as a copy. Several are put together at once: each by itself would take
    // more room than the few bytes that may be in it.
    let (mut first, mut whole) = (Bytes::new(), Vec::new());
    let mut length = 0;
    loop {
        let frame = poll_fn(|cx| match Pin::new(&mut draft.upload).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => deadline.poll_expired(cx).map(|()| Err(Error::DeadlinePassed)),
        });
        let Some(frame) = frame.await? else { break };
        // Trailers have no place in a body of a known length, and are dropped.
        let Ok(piece) = frame?.into_data() else { continue };
        length += piece.len() as u64;
        if length > most.into() {
            return Ok(None);
        }
        if !place.cover(length) {
            return Err(Error::Overloaded);
        }
        print.update(&piece);
        if length == piece.len() as u64 {
            first = piece;
            continue;
        }
        if whole.is_empty() {
            whole.extend_from_slice(&mem::take(&mut first));
        }
        whole.extend_from_slice(&piece);
    }
    let body = if whole.is_empty() { first } else { whole.into() };
    draft.shape.framing = Framing::Length(length);
    draft.upload = Upload::whole(Body::full(body));
    draft.upload.keep(most);
    Ok(Some(place))
}
