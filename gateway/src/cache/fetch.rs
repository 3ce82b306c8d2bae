//! Asking the upstream, and what is made of its answer.

use std::sync::Arc;

use http::{HeaderMap, Method, Response, response};
use http_body::Body as _;
use weir_cache::{
    entry::Key,
    http::{
        admission::is_stored_method,
        decide::{self},
        freshness,
        page::Page,
        serve,
        stored::Stored,
        validate::{self, Validated},
    },
    purges::{Purge, Selector, Ticket},
};

use super::{
    Asking, Exchange, Outcome, Question, Refresh, Rule, UNKEYED, answer,
    fill::Lead,
    follow::{self, Keep},
    query, time,
    wait::{self, Waited, length},
};
use crate::{
    clock::{self, Tick},
    error::{Error, Side},
    http::{body::Body, headers},
    snapshot::Route,
    task,
    upstream::{
        draft::Draft,
        forward::{Forwarded, forward},
    },
    worker::World,
};

mod keep;

/// One request on its way.
struct Run<'a> {
    exchange: &'a mut Exchange,
    world: &'a World,
    route: &'a Route,
    rule: &'a Rule,
    asking: &'a Asking,
    asked: Tick,
    ticket: Ticket,
}

/// Sends a request that memory could not answer, or waits for another one's answer. The response's
/// head is still to be made the gateway's own.
pub(crate) async fn fetch(
    exchange: &mut Exchange,
    route: &Route,
    rule: &Rule,
    mut asking: Box<Asking>,
    draft: &mut Draft,
) -> Result<Forwarded, Error> {
    if matches!(asking.question, Question::Content)
        && let Some(answer) = query::look(exchange, route, rule, &mut asking, draft).await?
    {
        return Ok(Forwarded::Response(answer));
    }
    let sent = draft.head.uri.path_and_query().map(|target| target.as_str());
    if asking.method == Method::POST && sent != Some(&*asking.target.path_and_query) {
        // What the upstream says of the URL by which it was asked is not about the client's.
        asking.key = Key::from(&[][..]);
    }
    let world = exchange.world.clone();
    let mut lead = asking.lead.take();
    // What others wait for must not end when the time of one client does.
    if lead.is_none() && asking.may_wait() && exchange.deadline == Tick::NEVER {
        match wait::wait(exchange, rule, &asking).await {
            Waited::Lead(mine) => lead = Some(mine),
            Waited::Answer(response) => return Ok(Forwarded::Response(response)),
            Waited::Alone => {}
        }
    }
    let ticket = rule.store().ticket();
    // Neither the wait for others nor that for the client's turn is the endpoint's time.
    let asked = clock::now();
    let (asking, world) = (&*asking, &*world);
    let run = Run { exchange, world, route, rule, asking, asked, ticket };
    run.ask(draft, lead).await
}

/// Asks for a fresh answer while a client has a stale one. `exchange` is nobody's.
pub(crate) fn refresh(mut exchange: Box<Exchange>, asking: Box<Asking>, mut draft: Box<Draft>) {
    task::spawn(async move {
        let world = exchange.world.clone();
        let Some(route) = exchange.route.map(|index| &world.snapshot.routes[index]) else { return };
        let Some(rule) = &route.cache else { return };
        // What came is on its way into the store, or is of no use.
        let answer = fetch(&mut exchange, route, rule, asking, &mut draft).await;
        let failed = match &answer {
            Ok(Forwarded::Response(response)) => response.status().is_server_error(),
            Ok(Forwarded::Switched(..)) => false,
            Err(_) => true,
        };
        let counters = world.counters(exchange.route, exchange.upstream);
        counters.record_refresh(Refresh::of(&exchange, failed));
    });
}

impl Asking {
    /// Whether what comes is the whole answer to a `GET` or a `QUERY`.
    fn wants_whole(&self) -> bool {
        is_stored_method(&self.method)
            && matches!(self.question, Question::Whole { .. } | Question::Holds { .. })
    }

    /// Whether the answer to a `POST` says that it is what a `GET` would bring (RFC 9110 section
    /// 9.3.3). Not where something beside the URL may have chosen it.
    fn gets_resource(&self, headers: &HeaderMap) -> bool {
        let target = self.target.target();
        self.method == Method::POST
            && target.is_content_location(headers)
            && self.key.name() == target.name()
            && !UNKEYED.iter().any(|name| self.headers.contains_key(*name))
    }
}

impl Run<'_> {
    async fn ask(mut self, draft: &mut Draft, lead: Option<Lead>) -> Result<Forwarded, Error> {
        let mut stored = match &self.asking.question {
            Question::Clients | Question::Content => None,
            Question::Whole { .. } => {
                validate::prepare_fill(&mut draft.head.headers);
                None
            }
            Question::Holds { stored, .. } => {
                validate::prepare_validation(stored, &mut draft.head.headers);
                Some(stored.clone())
            }
        };
        loop {
            let response = match self.send(draft).await {
                Ok(Forwarded::Response(response)) => response,
                Ok(switched @ Forwarded::Switched(..)) => return Ok(switched),
                Err(error) => {
                    lead.into_iter().for_each(Lead::give_up);
                    // A fallback is asked for the whole: the condition was about what is stored.
                    if stored.is_some() {
                        validate::prepare_fill(&mut draft.head.headers);
                    }
                    let stale = stored.and_then(|stored| self.instead_of_error(&stored, error));
                    return stale.map(Forwarded::Response).ok_or(error);
                }
            };
            let (mut head, body) = response.into_parts();
            if let Err(error) = headers::settle_framing(&mut head, &self.asking.method) {
                lead.into_iter().for_each(Lead::give_up);
                return Err(error);
            }
            let Some(holds) = &stored else {
                return Ok(Forwarded::Response(self.take(head, body, lead)));
            };
            match self.judge(holds, &head) {
                Judged::Answer(response) => {
                    lead.into_iter().for_each(|lead| lead.finish(true));
                    return Ok(Forwarded::Response(response));
                }
                Judged::Stale(response) => {
                    lead.into_iter().for_each(Lead::give_up);
                    return Ok(Forwarded::Response(response));
                }
                Judged::Another => return Ok(Forwarded::Response(self.take(head, body, lead))),
                Judged::Unasked => {
                    validate::prepare_fill(&mut draft.head.headers);
                    (self.exchange.permit, self.exchange.in_flight) = (None, None);
                    // Once: an endpoint that says 304 to that as well would be asked for ever.
                    (stored, self.asked) = (None, clock::now());
                }
            }
        }
    }

    async fn send(&mut self, draft: &mut Draft) -> Result<Forwarded, Error> {
        let upstream = self.exchange.upstream.ok_or(Error::Bug)?;
        let pool = &self.world.upstreams[upstream];
        forward(self.exchange, pool, self.route, draft, self.asked).await
    }

    fn exchange_times(&self) -> freshness::Exchange {
        let worker = &self.exchange.connection.worker;
        let (asked, answered) = (time(worker, self.asked), time(worker, clock::now()));
        freshness::Exchange { asked, answered }
    }

    /// What a stale response does when the upstream cannot be reached.
    fn instead_of_error(&mut self, stored: &Arc<Stored>, error: Error) -> Option<Response<Body>> {
        let upstreams = error.disposition().side == Side::Upstream;
        let response = upstreams.then(|| self.stale(stored, None)).flatten()?;
        (self.exchange.permit, self.exchange.in_flight) = (None, None);
        Some(response)
    }

    /// A stale response in the place of an error, if it may stand in for one.
    fn stale(&mut self, stored: &Stored, status: Option<u16>) -> Option<Response<Body>> {
        let now = self.exchange_times().answered;
        let request = self.asking.request();
        if !decide::may_serve_on_error(&request, stored, now) {
            return None;
        }
        let nonce = self.exchange.connection.worker.rng.borrow_mut().u128(..);
        self.note(Outcome::StaleIfError, |seen| {
            seen.forward_status = status;
            seen.detail = Some("stale-if-error");
        });
        Some(answer::response(serve::answer(&request, stored, now, nonce)))
    }

    fn note(
        &mut self,
        outcome: Outcome,
        status: impl FnOnce(&mut weir_cache::http::status::CacheStatus),
    ) {
        if let Some(seen) = &mut self.exchange.cache {
            seen.outcome = outcome;
            status(&mut seen.status);
        }
    }

    /// What the answer to a question about a stored response says of it.
    fn judge(&mut self, stored: &Arc<Stored>, head: &response::Parts) -> Judged {
        let (request, times) = (self.asking.request(), self.exchange_times());
        let policy = &self.rule.policy;
        match head.status.as_u16() {
            304 => {}
            status @ (500 | 502..=504) => {
                let stale = self.stale(stored, Some(status));
                return stale.map_or(Judged::Another, Judged::Stale);
            }
            200 if self.asking.method == Method::HEAD => {
                let headers = &head.headers;
                let fresh = validate::freshen_by_head(
                    stored,
                    &request,
                    head.status,
                    headers,
                    times,
                    policy,
                );
                if let Some(fresh) = fresh {
                    self.put(&Arc::new(fresh));
                }
                return Judged::Another;
            }
            _ => return Judged::Another,
        }
        let mut is_stored = true;
        let fresh = match validate::freshen(stored, &request, &head.headers, times, policy) {
            Validated::Store(fresh) => Arc::new(fresh),
            Validated::Serve(fresh, _) => {
                is_stored = false;
                let name = self.asking.target.target().name();
                self.rule.store().purge(Selector::Name(&name), Purge::Hard);
                Arc::new(fresh)
            }
            Validated::Another => return Judged::Unasked,
        };
        if is_stored {
            self.put(&fresh);
        }
        self.note(Outcome::Revalidated, |seen| seen.forward_status = Some(304));
        let nonce = self.exchange.connection.worker.rng.borrow_mut().u128(..);
        Judged::Answer(answer::response(serve::answer(&request, &fresh, times.answered, nonce)))
    }

    /// What is refused is served all the same.
    fn put(&self, stored: &Arc<Stored>) {
        let now = self.exchange_times().answered;
        let policy = &self.rule.policy;
        let make = |before: Option<&_>| Some(Page::with(before, stored.clone(), policy));
        let _ = self.rule.store().update(&self.asking.key, self.ticket, now, make);
    }

    /// Takes an answer in: invalidates what it makes invalid, stores it if it may be.
    fn take(mut self, head: response::Parts, body: Body, lead: Option<Lead>) -> Response<Body> {
        self.invalidate(&head);
        let is_resource = self.asking.gets_resource(&head.headers);
        if !self.asking.wants_whole() && !is_resource {
            return Response::from_parts(head, body);
        }
        let (kept, place) = match self.keep(&head, &body, is_resource) {
            Ok((kept, place)) => (Arc::new(kept), place),
            // It was no question, and nobody waits.
            Err(_) if is_resource => return Response::from_parts(head, body),
            Err(why) => {
                self.refuse(why, &head);
                let failed = matches!(head.status.as_u16(), 500 | 502..=504);
                let settle = if failed { Lead::give_up } else { Lead::dismiss };
                lead.into_iter().for_each(settle);
                return Response::from_parts(head, body);
            }
        };
        self.note_stored();
        let length = if body.is_end_stream() { Some(0) } else { length(&head.headers) };
        let keep = Keep {
            cache: self.rule.cache.clone(),
            policy: self.rule.policy,
            key: self.asking.key.clone(),
            head: kept.clone(),
            length,
            ticket: self.ticket,
        };
        let lead = lead.unwrap_or_else(Lead::alone);
        let follow = follow::bring_in(self.exchange, body, lead, keep, place);
        match self.unmodified(&kept, &head.headers) {
            Some(response) => response,
            None => Response::from_parts(head, Body::follow(follow)),
        }
    }

    /// Forgets what a change has made invalid.
    fn invalidate(&mut self, head: &response::Parts) {
        let target = self.asking.target.target();
        for name in target.invalidated(&self.asking.method, head.status, &head.headers) {
            if name == self.asking.key.name() {
                self.ticket = self.rule.store().supersede(&name, self.ticket);
            } else {
                self.rule.store().purge(Selector::Name(&name), Purge::Hard);
            }
        }
    }

    fn note_stored(&mut self) {
        if let Some(seen) = &mut self.exchange.cache {
            seen.status.stored = true;
        }
    }
}

/// What an answer says of the stored response that was asked about.
enum Judged {
    /// It holds, and answers the client.
    Answer(Response<Body>),
    /// Nothing, but it stands in for the error.
    Stale(Response<Body>),
    /// There is another.
    Another,
    /// The 304 is about something that nobody asked about: ask for the whole.
    Unasked,
}
