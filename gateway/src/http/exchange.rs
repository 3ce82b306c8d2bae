//! One request and its response, for those who keep count.
//!
//! An [`Exchange`] begins with the head of a request and ends with the last byte of its response,
//! or when either side goes away: dropped in the middle, it counts as aborted. It rides on the
//! response's body, so that everything that must happen at the end happens exactly once: the
//! endpoint's load goes down, permits are freed, counters move, one line is logged.

use std::{cell::Cell, net::IpAddr, rc::Rc, time::Duration};

use http::{HeaderValue, Method, Uri, Version, header, request};

use super::{
    body::{End, Ending},
    guard::Checked,
    hints::Hints,
    upload::Progress,
};
use crate::{
    cache::{self, Asking},
    clock::{self, Tick},
    error::{Error, Side},
    idempotency::Told,
    limit::{self, KeyPermit, Limited, Meter},
    listen::connection::Connection,
    policy::{Identity, Seen},
    script,
    telemetry::{record, trace::Place},
    upstream::{
        limit::Permit,
        load::Outcome,
        trail::{Said, Trail, Turn},
        underway::Underway,
    },
    worker::World,
};

/// Marks a request, among its extensions, that came before the handshake was done: whoever recorded
/// it could send it again (RFC 8470).
#[derive(Debug, Clone, Copy)]
pub(crate) struct EarlyData;

/// What the access log says of a request's head.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) host: Option<HeaderValue>,
    pub(crate) version: Version,
}

impl Asked {
    /// Cheap: what is cloned is counted, not copied.
    pub(crate) fn of(head: &request::Parts) -> Self {
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            host: head.headers.get(header::HOST).cloned(),
            version: head.version,
        }
    }
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The connection it came by.
    pub(crate) connection: Rc<Connection>,
    /// The configuration it sees, from beginning to end.
    pub(crate) world: Rc<World>,
    /// When its head was there.
    pub(crate) began: Tick,
    /// Until when the client waits, by its own words; [`Tick::NEVER`] without any.
    pub(crate) deadline: Tick,
    /// Where its span is in a trace, if it has one.
    pub(crate) place: Option<Place>,
    /// The head, when it will be logged or traced.
    pub(crate) asked: Option<Asked>,
    /// Its identity, once the head is checked.
    pub(crate) request_id: Option<HeaderValue>,
    /// The client's address, by trusted hops where there are some.
    pub(crate) client: Option<IpAddr>,
    /// Index of the route that took it.
    pub(crate) route: Option<usize>,
    /// Index of the upstream it went to.
    pub(crate) upstream: Option<usize>,
    /// The endpoint that answered, or was asked last; holds its place in the load count.
    pub(crate) in_flight: Option<Underway>,
    /// Its place among the upstream's requests.
    pub(crate) permit: Option<Permit>,
    /// Its place among the route's requests.
    pub(crate) route_permit: Option<Permit>,
    /// Its place among the route's requests of the same key.
    pub(crate) key_permit: Option<KeyPermit>,
    /// What the route's limits said, where it has any.
    pub(crate) limited: Option<Box<Limited>>,
    /// Reads out of the response's body what the request did cost, where a limit wants to know.
    pub(crate) meter: Option<Box<Meter>>,
    /// Whether its client takes a problem document, once somebody has looked.
    pub(crate) takes_problem: bool,
    /// Attempts made.
    pub(crate) attempts: u32,
    /// What was tried, where not all went well.
    pub(crate) trail: Option<Box<Trail>>,
    /// Why the gateway answered itself, or cut the response off.
    pub(crate) error: Option<Error>,
    /// When the client may come again, where [`Error::BreakerOpen`] says why not now.
    pub(crate) retry_after: Option<Duration>,
    /// What must be asked of the upstream, where the route has a cache.
    pub(crate) asking: Option<Box<Asking>>,
    /// What the cache did, where the route has one.
    pub(crate) cache: Option<cache::Seen>,
    /// What came of a key in Lua that failed.
    pub(crate) value_failed: Cell<Option<script::Outcome>>,
    /// Who the client is, once it has said so and been believed.
    pub(crate) identity: Option<Rc<Identity>>,
    /// What the policies of its route know of it, where there are some.
    pub(crate) policy: Option<Box<Seen>>,
    /// What became of its idempotency key, where it has one that means something.
    pub(crate) idempotency: Option<Box<Told>>,
    /// Status sent.
    pub(crate) status: u16,
    /// The upload, when there is one.
    pub(crate) upload: Option<Rc<Progress>>,
    /// From the last attempt's start to the upstream's response head.
    pub(crate) upstream_time: Option<Duration>,
    /// Bytes of the response's body so far.
    pub(crate) sent: u64,
    hints: Option<Hints>,
    ended: bool,
}

impl Exchange {
    /// A request begins.
    pub(crate) fn begin(connection: &Rc<Connection>) -> Box<Self> {
        connection.begin();
        Self::new(connection.clone(), connection.worker.world(), clock::now())
    }

    /// One for a request of the gateway's own beside this one: nobody waits for it, and it is in no
    /// log or count.
    pub(crate) fn beside(&self) -> Box<Self> {
        let mut this = Self::new(self.connection.clone(), self.world.clone(), self.began);
        this.request_id.clone_from(&self.request_id);
        this.place = self.place;
        this.client = self.client;
        this.identity.clone_from(&self.identity);
        this.route = self.route;
        this.upstream = self.upstream;
        this.ended = true;
        this
    }

    /// One that stands in for this while its request is run on behalf of a client that may go away.
    /// It has its places and what it was told, until they are [taken back](Self::take_back).
    pub(crate) fn lend(&mut self) -> Box<Self> {
        let mut own = self.beside();
        own.route_permit = self.route_permit.take();
        own.key_permit = self.key_permit.take();
        own.limited = self.limited.take();
        own.asking = self.asking.take();
        own.cache = self.cache;
        own.value_failed.set(self.value_failed.get());
        own.hints.clone_from(&self.hints);
        own
    }

    /// The one that stood in has done what there was to do.
    pub(crate) fn take_back(&mut self, own: Box<Self>) {
        let mut own = own;
        self.upstream = own.upstream;
        self.in_flight = own.in_flight.take();
        self.permit = own.permit.take();
        self.route_permit = own.route_permit.take();
        self.key_permit = own.key_permit.take();
        self.limited = own.limited.take();
        self.meter = own.meter.take();
        self.attempts = own.attempts;
        self.trail = own.trail.take();
        self.error = own.error;
        self.retry_after = own.retry_after;
        self.asking = own.asking.take();
        self.cache = own.cache;
        self.value_failed.set(own.value_failed.get());
        self.upstream_time = own.upstream_time;
    }

    /// Nothing is known of it yet but where it came from.
    fn new(connection: Rc<Connection>, world: Rc<World>, began: Tick) -> Box<Self> {
        let client = connection.peer().address();
        Box::new(Self {
            client,
            connection,
            world,
            began,
            deadline: Tick::NEVER,
            place: None,
            asked: None,
            request_id: None,
            route: None,
            upstream: None,
            in_flight: None,
            permit: None,
            route_permit: None,
            key_permit: None,
            limited: None,
            meter: None,
            takes_problem: false,
            attempts: 0,
            trail: None,
            error: None,
            retry_after: None,
            asking: None,
            cache: None,
            value_failed: Cell::new(None),
            identity: None,
            policy: None,
            idempotency: None,
            status: 0,
            upload: None,
            upstream_time: None,
            sent: 0,
            hints: None,
            ended: false,
        })
    }

    /// Interim responses are wanted; they arrive in the queue that is returned.
    pub(crate) fn take_hints(&mut self) -> Hints {
        self.hints.insert(Hints::default()).clone()
    }

    /// Interim responses are wanted in this queue.
    pub(crate) fn pass_hints(&mut self, hints: Hints) {
        self.hints = Some(hints);
    }

    /// Where interim responses go, if they are wanted.
    pub(crate) const fn hints(&self) -> Option<&Hints> {
        self.hints.as_ref()
    }

    /// Tells a client that waits for it to send its body (RFC 9110 section 10.1.1). Over HTTP/1.1
    /// hyper does, once the body is read.
    pub(crate) fn invite(&self, checked: &Checked) {
        if checked.expect_continue
            && let Some(hints) = &self.hints
        {
            hints.invite();
        }
    }

    /// Who the client is, where its route asks for that.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// Whether the client waits no longer, by its own words.
    pub(crate) fn is_late(&self, now: Tick) -> bool {
        now >= self.deadline
    }

    /// Notes what came of the attempt under way.
    pub(crate) fn note(&mut self, said: Said, turn: Turn, now: Tick) {
        if let Some(asked) = &self.in_flight {
            self.trail.get_or_insert_default().note(asked, said, turn, now);
        }
    }

    fn finish(&mut self, ending: Ending) {
        if self.ended {
            return;
        }
        self.ended = true;
        let now = clock::now();
        match ending {
            Ending::Completed => {}
            Ending::Aborted => {
                self.error.get_or_insert(Error::ClientGone);
                if self.status == 0 {
                    self.status = 499;
                }
            }
            Ending::Failed(error) => {
                // That a client has no more time is no fault of the endpoint's.
                let cut = error == Error::DeadlinePassed && self.is_late(now);
                let asked = self.in_flight.as_mut().filter(|_| !cut);
                if let Some((asked, upstream)) = asked.zip(self.upstream) {
                    let upstream = &self.world.upstreams[upstream].shared;
                    asked.judge(upstream, Outcome::Failure, (Duration::ZERO, None), now);
                }
                if let Some(asked) = &self.in_flight
                    && error.disposition().side == Side::Upstream
                {
                    self.trail.get_or_insert_default().break_off(asked, error, now);
                }
                self.error = Some(error);
            }
        }
        limit::settle_read(self, now);
        if self.policy.is_some() {
            script::log(self, now);
        }
        // Before the endpoint's place is given back: the record names the endpoint.
        record::exchange(self, now);
        self.in_flight = None;
        self.permit = None;
        self.route_permit = None;
        self.key_permit = None;
        if let Some(upload) = self.upload.take_if(|upload| !upload.over.get()) {
            self.connection.upload_goes_on(upload);
        }
        self.connection.finish(now);
    }
}

impl End for Exchange {
    fn data(&mut self, piece: &[u8]) {
        self.sent += piece.len() as u64;
        if self.meter.is_some() {
            limit::read(self, piece);
        }
    }

    fn end(&mut self, ending: Ending) {
        self.finish(ending);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.finish(Ending::Aborted);
    }
}
