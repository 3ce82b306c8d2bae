//! Copies of requests for another upstream, whose answers nobody gets.
//!
//! A copy is sent by a task of its own, once the request's body is all there: the tee takes a copy
//! of each piece that passes on its way upstream, and reads nothing by itself. So a request does
//! not wait for its copy, does not fail with it, and shares no connection with it. Nor do other
//! requests of the other upstream: a copy takes no place that somebody waits for, and what becomes
//! of it says nothing of an endpoint's health ([`Underway::aside`]).
//!
//! [`Underway::aside`]: crate::upstream::underway::Underway::aside

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method};
use http_body::Body as _;
use tokio::sync::oneshot;
use weir_config::model;

use super::{chance::Chance, places::Place};
use crate::{
    clock,
    error::Error,
    http::{
        body::{Body, End, Ending},
        drain::drain,
        exchange::Exchange,
        guard::Framing,
        headers::name,
        upload::Upload,
    },
    task,
    upstream::{
        draft::{Draft, Runs},
        forward::{Forwarded, forward},
    },
};

/// Which requests of a route are copied, and to whom.
#[derive(Debug)]
pub struct Mirror {
    /// Index of the upstream.
    pub(crate) to: usize,
    sample: Chance,
    max_body: usize,
    timeout: Duration,
}

/// What came of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mirrored {
    /// It was answered, below 500.
    Answered,
    /// It was answered with 500 or above, or not at all.
    Failed,
    /// Its body was longer than `max_body`.
    TooLarge,
    /// The request itself did not get as far as the end of its body.
    Aborted,
    /// Too many copies were under way, or the other upstream had no room.
    Busy,
    /// It was not answered in time.
    TimedOut,
}

impl Mirrored {
    /// Names in metrics, in the order of the variants.
    pub(crate) const NAMES: [&'static str; 6] =
        ["answered", "failed", "too_large", "aborted", "busy", "timed_out"];
}

/// What comes of reading a body along.
type Heard = Result<Bytes, Mirrored>;

/// Reads along what passes, up to `most` bytes.
struct Tee {
    kept: BytesMut,
    most: usize,
    tell: Option<oneshot::Sender<Heard>>,
}

impl Tee {
    fn tell(&mut self, heard: Heard) {
        if let Some(tell) = self.tell.take() {
            // Nobody listens any more when the worker ends.
            let _ = tell.send(heard);
        }
    }
}

impl End for Tee {
    fn data(&mut self, piece: &[u8]) {
        if self.tell.is_none() {
            return;
        }
        if self.kept.len() + piece.len() > self.most {
            self.kept = BytesMut::new();
            self.tell(Err(Mirrored::TooLarge));
        } else {
            self.kept.extend_from_slice(piece);
        }
    }

    fn end(&mut self, ending: Ending) {
        let kept = std::mem::take(&mut self.kept).freeze();
        self.tell(match ending {
            Ending::Completed => Ok(kept),
            Ending::Aborted | Ending::Failed(_) => Err(Mirrored::Aborted),
        });
    }
}

/// The body of a copy.
enum Content {
    /// There is none.
    None,
    /// It is on its way.
    Coming(oneshot::Receiver<Heard>),
}

/// A copy on its way.
struct Copied {
    /// Stands for the request, as far as sending goes.
    own: Box<Exchange>,
    draft: Draft,
    content: Content,
    /// Index of the upstream that the request itself went to.
    from: Option<usize>,
    to: usize,
    /// How long it may take from when it is sent.
    timeout: Duration,
    _place: Place,
}

impl Mirror {
    pub(crate) fn new(config: &model::Mirror) -> Self {
        let max_body = config.max_body as usize;
        let (to, sample) = (config.to, Chance::of(config.sample));
        Self { to, sample, max_body, timeout: config.timeout }
    }

    /// Has a request copied that is about to be sent, unless it is a copy itself or was copied.
    pub(crate) fn copy(&self, exchange: &Exchange, draft: &mut Draft) {
        if draft.mirrored {
            return;
        }
        draft.mirrored = true;
        let tunnel = draft.client.is_some()
            || draft.shape.upgrade.is_some()
            || draft.head.method == Method::CONNECT;
        if tunnel || draft.head.headers.contains_key(&name::X_WEIR_MIRROR) {
            return;
        }
        let worker = &exchange.connection.worker;
        if !self.sample.hits(&mut worker.rng.borrow_mut()) {
            return;
        }
        let place = worker.aside.copies.take().ok_or(Mirrored::Busy);
        let begun = place.and_then(|place| Ok((self.listen(draft)?, place)));
        match begun {
            Err(outcome) => count(exchange, exchange.upstream, outcome),
            Ok((content, place)) => {
                let mut own = exchange.beside();
                own.upstream = Some(self.to);
                let draft = twin(draft);
                let (from, to) = (exchange.upstream, self.to);
                let timeout = self.timeout;
                let copied = Copied { own, draft, content, from, to, timeout, _place: place };
                task::spawn(copied.send());
            }
        }
    }

    /// Begins to read the body along.
    fn listen(&self, draft: &mut Draft) -> Result<Content, Mirrored> {
        if draft.upload.is_end_stream() {
            return Ok(Content::None);
        }
        let announced = draft.upload.size_hint().lower();
        if announced > self.max_body as u64 {
            return Err(Mirrored::TooLarge);
        }
        let (tell, told) = oneshot::channel();
        let kept = BytesMut::with_capacity(announced as usize);
        let tee = Tee { kept, most: self.max_body, tell: Some(tell) };
        // What was read already was more than is copied.
        let heard = draft.upload.watched(Box::new(tee));
        heard.then_some(Content::Coming(told)).ok_or(Mirrored::TooLarge)
    }
}

/// The same request once more, without its body.
fn twin(draft: &Draft) -> Draft {
    let mut head = draft.head.clone();
    head.headers.insert(&name::X_WEIR_MIRROR, HeaderValue::from_static("1"));
    let mut copy = Draft::new(head, Upload::empty(), draft.shape.clone());
    (copy.runs, copy.mirrored) = (Runs::Aside, true);
    copy
}

impl Copied {
    async fn send(mut self) {
        let outcome = self.ask().await;
        count(&self.own, self.from, outcome);
    }

    async fn ask(&mut self) -> Mirrored {
        if let Content::Coming(told) = &mut self.content {
            let body = match told.await {
                Ok(Ok(body)) => body,
                Ok(Err(outcome)) => return outcome,
                Err(_) => return Mirrored::Aborted,
            };
            self.draft.shape.framing = Framing::Length(body.len() as u64);
            self.draft.upload = Upload::whole(Body::full(body));
        }
        let world = self.own.world.clone();
        let Some(route) = self.own.route.map(|index| &world.snapshot.routes[index]) else {
            return Mirrored::Failed;
        };
        let upstream = &world.upstreams[self.to];
        let now = clock::now();
        self.own.deadline = now + self.timeout;
        match forward(&mut self.own, upstream, route, &mut self.draft, now).await {
            Ok(Forwarded::Response(response)) => {
                let failed = response.status().is_server_error();
                drain(response.into_body());
                if failed { Mirrored::Failed } else { Mirrored::Answered }
            }
            Err(Error::UpstreamBusy) => Mirrored::Busy,
            Err(Error::DeadlinePassed | Error::HeadersTimeout) => Mirrored::TimedOut,
            Ok(Forwarded::Switched(..)) | Err(_) => Mirrored::Failed,
        }
    }
}

/// Counts a copy for the route and the upstream of the request itself.
fn count(exchange: &Exchange, from: Option<usize>, outcome: Mirrored) {
    exchange.world.counters(exchange.route, from).record_mirror(outcome);
}
