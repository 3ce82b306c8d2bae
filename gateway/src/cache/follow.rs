//! A response's body on its two ways: into the store, and to whoever waits for it.
//!
//! A task brings it in, as fast as the upstream sends: neither a slow client nor one that goes away
//! keeps others waiting. What turns out too long to be stored goes back to the one who asked.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use weir_cache::{
    entry::Key,
    http::{page::Page, policy::Policy, stored::Head},
    purges::Ticket,
};

use super::{
    Cache, NOTE,
    fill::{Lead, Next, Reader},
    room::Place,
    time,
};
use crate::{
    clock,
    error::Error,
    http::{
        body::{Body, Pourable},
        exchange::Exchange,
    },
    task,
    upstream::limit::Permit,
    worker::Worker,
};

/// The rest of a body that is too long to be stored, and its place among the upstream's requests.
type Rest = Rc<RefCell<Option<(Body, Option<Permit>)>>>;

/// A body that is read while it is brought in.
#[derive(Debug)]
pub(crate) struct Follow {
    reader: Reader,
    /// Bytes that are still to come, if that is known.
    left: Option<u64>,
    rest: Rest,
    over: bool,
}

impl Follow {
    /// For one who waited.
    pub(super) fn new(reader: Reader, length: Option<u64>) -> Self {
        Self { reader, left: length, rest: Rest::default(), over: false }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some((rest, _)) = self.rest.borrow_mut().as_mut().filter(|_| self.over) {
            return Pin::new(rest).poll_frame(cx);
        }
        Poll::Ready(match ready!(self.reader.poll_next(cx)) {
            Next::Piece(piece) => {
                self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
                Some(Ok(Frame::data(piece)))
            }
            Next::End => None,
            Next::Broken(error) => Some(Err(error)),
            Next::Elsewhere => {
                self.over = true;
                match self.rest.borrow_mut().as_mut() {
                    Some((rest, _)) => return Pin::new(rest).poll_frame(cx),
                    None => Some(Err(Error::Bug)),
                }
            }
        })
    }
}

impl http_body::Body for Follow {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.get_mut().next(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
            || (self.over
                && self.rest.borrow().as_ref().is_some_and(|(rest, _)| rest.is_end_stream()))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Pourable for Follow {}

/// Where a body goes.
#[derive(Debug)]
pub(super) struct Keep {
    pub(super) cache: Arc<Cache>,
    pub(super) policy: Policy,
    pub(super) key: Key,
    pub(super) head: Arc<Head>,
    /// Bytes of the body, if that is known.
    pub(super) length: Option<u64>,
    pub(super) ticket: Ticket,
}

/// Begins to bring `body` in, to `place`. What is returned reads it meanwhile.
pub(super) fn bring_in(
    exchange: &mut Exchange,
    body: Body,
    lead: Lead,
    keep: Keep,
    place: Place,
) -> Follow {
    let rest = Rest::default();
    lead.begin(keep.head.clone(), keep.length.is_some(), place);
    let follow =
        Follow { reader: lead.reader(), left: keep.length, rest: rest.clone(), over: false };
    // The upstream is busy with it for as long as this takes, whether or not the client stays.
    let source = (body, exchange.permit.take());
    task::spawn(run(exchange.connection.worker.clone(), source, lead, keep, rest));
    follow
}

async fn run(
    worker: Rc<Worker>,
    (mut body, permit): (Body, Option<Permit>),
    lead: Lead,
    keep: Keep,
    rest: Rest,
) {
    let room = keep.policy.object_max.saturating_sub(keep.head.weight());
    let mut length = 0;
    while !body.is_end_stream() {
        let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await else { break };
        let fits = match frame.map(Frame::into_data) {
            Ok(Ok(piece)) => lead.push(piece).inspect(|sum| length = *sum).is_some(),
            // Trailers are of no use to those who come later.
            Ok(Err(_)) => true,
            Err(error) => return lead.fail(error),
        };
        if length > room || !fits {
            *rest.borrow_mut() = Some((body, permit));
            keep.note(&worker);
            return lead.overflow();
        }
    }
    if keep.length.is_some_and(|expected| expected != length) {
        return lead.fail(Error::UpstreamGarbage);
    }
    // Gives the connection back before the work begins.
    drop((body, permit));
    let is_stored = keep.store(&worker, lead.whole());
    lead.finish(is_stored);
}

impl Keep {
    /// Leaves a note that there was nothing to store, so that nobody waits for the next one.
    fn note(&self, worker: &Worker) {
        let now = time(worker, clock::now());
        let make = |before: Option<&_>| Page::hit_for_miss(before, now, NOTE);
        let _ = self.cache.store.update(&self.key, self.ticket, now, make);
    }

    /// Stores the response; false if that was refused, for want of room or since it was purged.
    pub(super) fn store(self, worker: &Worker, body: Bytes) -> bool {
        let now = time(worker, clock::now());
        let Ok(stored) = Head::clone(&self.head).with_body(body, &self.policy) else {
            return false;
        };
        let stored = Arc::new(stored);
        let make = |before: Option<&_>| Some(Page::with(before, stored.clone(), &self.policy));
        self.cache.store.update(&self.key, self.ticket, now, make).is_ok()
    }
}
