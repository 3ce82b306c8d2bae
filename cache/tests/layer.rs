//! The cache as a gateway uses it: a layer in miniature before an origin of a few lines, by a clock
//! that is turned by hand.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{cell::Cell, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use weir_cache::{
    entry::Key,
    http::{
        admission::NoStore,
        decide::{self, Decision},
        freshness::Exchange,
        key::Target,
        page::Page,
        policy::Policy,
        serve::{self, Answer},
        status::CacheStatus,
        stored::{Head, Request, Response, Stored},
        validate::{self, Validated},
    },
    purges::{Purge, Selector, Ticket},
    store::{Admission, Options, Store, Weighing},
    time::Time,
};

/// What an origin answers: a status, header lines, a body.
type Origin = fn(&Method, &HeaderMap) -> (u16, String, &'static str);

struct Layer {
    store: Store<Page>,
    policy: Policy,
    origin: Cell<Origin>,
    fetches: Cell<u32>,
    now: Cell<Time>,
}

/// What a decision comes to once nothing of the store is borrowed any more.
enum Plan {
    Answer(Answer),
    Refresh(Arc<Stored>),
    Validate(Arc<Stored>),
    Fetch,
    Unavailable,
}

impl Layer {
    fn new(origin: Origin) -> Self {
        let options = Options {
            capacity: 1 << 20,
            shards: 4,
            weighing: Weighing::Bytes,
            admission: Admission::default(),
        };
        Self {
            store: Store::new(options, 1),
            policy: Policy::default(),
            origin: Cell::new(origin),
            fetches: Cell::new(0),
            now: Cell::new(Time::from_seconds(1_795_176_000)),
        }
    }

    fn wait(&self, seconds: u64) {
        self.now.set(self.now.get() + Duration::from_secs(seconds));
    }

    /// A request, as `METHOD PATH` and header lines; the answer's status, body and Cache-Status.
    fn ask(&self, text: &str) -> (u16, String, String) {
        let (line, lines) = text.split_once('\n').unwrap_or((text, ""));
        let (method, path) = line.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let headers = headers(lines);
        let target =
            Target { scheme: "http", authority: "a", path_and_query: path, scope: "upstream" };
        let (answer, status) = self.handle(&target, &Request::new(&method, &headers));
        let value = status.to_value("weir").unwrap();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        (answer.status.as_u16(), body, value.to_str().unwrap().to_owned())
    }

    fn handle(&self, target: &Target<'_>, request: &Request<'_>) -> (Answer, CacheStatus) {
        let now = self.now.get();
        let mut key = Vec::new();
        if let Some(why) = decide::bypass(request) {
            let (answer, _) = self.fetch(target, request, request.headers, None);
            return (answer, CacheStatus::of(&Decision::Bypass(why), now));
        }
        assert!(target.write_key(&mut key));
        // A hit is answered in place: no lock, no reference counted but the body's.
        let found = self.store.read(&key, now, |entry| {
            self.plan(request, decide::decide(request, Some(entry), now, &self.policy))
        });
        let nothing = || self.plan(request, decide::decide(request, None, now, &self.policy));
        let (plan, mut status) = found.unwrap_or_else(nothing);
        let key = Key::from(&key[..]);
        let answer = match plan {
            Plan::Answer(answer) => answer,
            Plan::Refresh(stored) => {
                self.validate(target, request, &key, &stored);
                serve::answer(request, &stored, now, 0)
            }
            Plan::Validate(stored) => {
                let (answer, stored_status) = self.validate(target, request, &key, &stored);
                status.forward_status = Some(stored_status);
                answer
            }
            Plan::Fetch => {
                let mut sent = request.headers.clone();
                validate::prepare_fill(&mut sent);
                let (answer, refused) = self.fetch(target, request, &sent, Some(&key));
                match refused {
                    Some(why) => status = status.not_stored(why),
                    None => status.stored = true,
                }
                answer
            }
            Plan::Unavailable => empty(StatusCode::GATEWAY_TIMEOUT),
        };
        (answer, status)
    }

    fn plan(&self, request: &Request<'_>, decision: Decision<'_>) -> (Plan, CacheStatus) {
        let now = self.now.get();
        let plan = match decision {
            Decision::Hit(stored) => Plan::Answer(serve::answer(request, stored, now, 0)),
            Decision::Stale(stored, _) => Plan::Refresh(Arc::clone(stored)),
            Decision::Revalidate(stored, _) => Plan::Validate(Arc::clone(stored)),
            Decision::Miss(_) | Decision::Pass | Decision::Bypass(_) => Plan::Fetch,
            Decision::Unavailable => Plan::Unavailable,
        };
        (plan, CacheStatus::of(&decision, now))
    }

    /// Asks whether `stored` holds; the answer and the origin's status.
    fn validate(
        &self,
        target: &Target<'_>,
        request: &Request<'_>,
        key: &Key,
        stored: &Arc<Stored>,
    ) -> (Answer, u16) {
        let (now, ticket) = (self.now.get(), self.store.ticket());
        let mut sent = request.headers.clone();
        validate::prepare_validation(stored, &mut sent);
        let (status, lines, body) = self.origin.get()(request.method, &sent);
        self.fetches.set(self.fetches.get() + 1);
        let received = headers(&lines);
        let exchange = Exchange { asked: now, answered: now };
        let answer = match status {
            304 => match validate::freshen(stored, request, &received, exchange, &self.policy) {
                Validated::Store(stored) => {
                    let stored = Arc::new(stored);
                    self.put(key, &stored, ticket);
                    serve::answer(request, &stored, now, 0)
                }
                Validated::Serve(stored, _) => {
                    self.store.purge(Selector::Name(&target.name()), Purge::Hard);
                    serve::answer(request, &stored, now, 0)
                }
                Validated::Another => self.fetch(target, request, request.headers, Some(key)).0,
            },
            500 | 502 | 503 | 504 if decide::may_serve_on_error(request, stored, now) => {
                serve::answer(request, stored, now, 0)
            }
            _ => self.take(target, request, Some(key), ticket, (status, &received, body)).0,
        };
        (answer, status)
    }

    fn fetch(
        &self,
        target: &Target<'_>,
        request: &Request<'_>,
        sent: &HeaderMap,
        key: Option<&Key>,
    ) -> (Answer, Option<NoStore>) {
        let ticket = self.store.ticket();
        let (status, lines, body) = self.origin.get()(request.method, sent);
        self.fetches.set(self.fetches.get() + 1);
        self.take(target, request, key, ticket, (status, &headers(&lines), body))
    }

    /// Takes an answer in: invalidates what it makes invalid, stores it if it may be.
    fn take(
        &self,
        target: &Target<'_>,
        request: &Request<'_>,
        key: Option<&Key>,
        ticket: Ticket,
        (status, received, body): (u16, &HeaderMap, &'static str),
    ) -> (Answer, Option<NoStore>) {
        let now = self.now.get();
        let status = StatusCode::from_u16(status).unwrap();
        for name in target.invalidated(request.method, status, received) {
            self.store.purge(Selector::Name(&name), Purge::Hard);
        }
        let response = Response {
            status,
            headers: received,
            exchange: Exchange { asked: now, answered: now },
            is_content_location: target.is_content_location(received),
        };
        let body = Bytes::from_static(body.as_bytes());
        let whole = || Answer { status, headers: received.clone(), body: body.clone() };
        let Some(key) = key else { return (whole(), None) };
        let stored = Head::of(request, &response, &self.policy)
            .and_then(|head| head.with_body(body.clone(), &self.policy));
        match stored {
            Ok(stored) => {
                let stored = Arc::new(stored);
                self.put(key, &stored, ticket);
                // The client's own conditions and ranges are answered from what is stored.
                (serve::answer_fetched(request, &stored, received, now, 0), None)
            }
            Err(why) => {
                let note = Duration::from_secs(5);
                // The older answer, if there is one, is worth more than the note.
                let _ = self
                    .store
                    .update(key, ticket, now, |before| Page::hit_for_miss(before, now, note));
                (whole(), Some(why))
            }
        }
    }

    fn put(&self, key: &Key, stored: &Arc<Stored>, ticket: Ticket) {
        let now = self.now.get();
        // What is refused is served all the same.
        let _ = self.store.update(key, ticket, now, |before| {
            Some(Page::with(before, Arc::clone(stored), &self.policy))
        });
    }
}

fn headers(text: &str) -> HeaderMap {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(name, value)| {
            let name: HeaderName = name.trim().parse().unwrap();
            (name, HeaderValue::from_str(value.trim()).unwrap())
        })
        .collect()
}

fn empty(status: StatusCode) -> Answer {
    Answer { status, headers: HeaderMap::new(), body: Bytes::new() }
}

fn answer(status: u16, lines: &str, body: &'static str) -> (u16, String, &'static str) {
    (status, lines.into(), body)
}

/// An origin with one page that has a tag and can be validated.
fn page(_: &Method, headers: &HeaderMap) -> (u16, String, &'static str) {
    let lines = "cache-control: max-age=10\netag: \"a\"\ncache-tag: news";
    if headers.get("if-none-match").is_some_and(|tag| tag == "\"a\"") {
        return answer(304, lines, "");
    }
    answer(200, lines, "0123456789")
}

fn failing(_: &Method, _: &HeaderMap) -> (u16, String, &'static str) {
    answer(503, "", "sorry")
}

fn expect(layer: &Layer, text: &str, status: u16, body: &str, cache_status: &str, fetches: u32) {
    layer.fetches.set(0);
    let (got_status, got_body, got_cache_status) = layer.ask(text);
    let got = (got_status, got_body.as_str(), got_cache_status.as_str(), layer.fetches.get());
    assert_eq!(got, (status, body, cache_status, fetches), "{text}");
}

#[test]
fn a_page_s_life() {
    let layer = Layer::new(page);
    expect(&layer, "GET /x", 200, "0123456789", "weir; fwd=uri-miss; stored", 1);
    expect(&layer, "GET /x", 200, "0123456789", "weir; hit; ttl=10", 0);
    layer.wait(4);
    expect(&layer, "HEAD /x", 200, "", "weir; hit; ttl=6", 0);
    expect(&layer, "GET /x\nrange: bytes=1-3", 206, "123", "weir; hit; ttl=6", 0);
    expect(&layer, "GET /x\nif-none-match: \"a\"", 304, "", "weir; hit; ttl=6", 0);
    expect(
        &layer,
        "GET /y\ncache-control: only-if-cached",
        504,
        "",
        "weir; detail=only-if-cached",
        0,
    );
    layer.wait(6);
    expect(&layer, "GET /x", 200, "0123456789", "weir; fwd=stale; fwd-status=304", 1);
    expect(&layer, "GET /x", 200, "0123456789", "weir; hit; ttl=10", 0);
    let no_cache = "GET /x\ncache-control: no-cache";
    expect(&layer, no_cache, 200, "0123456789", "weir; fwd=request; fwd-status=304", 1);
}

#[test]
fn purges_and_invalidation() {
    let layer = Layer::new(page);
    let fill = || drop(layer.ask("GET /x?a"));
    let gone = |gone: bool| {
        layer.fetches.set(0);
        fill();
        assert_eq!(layer.fetches.get(), u32::from(gone));
    };
    fill();
    gone(false);
    let name = b"http://a/x?a".as_slice();
    for what in [Selector::Name(name), Selector::Prefix(b"http://a/x"), Selector::Tag(b"news")] {
        assert_eq!(layer.store.purge(what, Purge::Hard).entries, 1);
        gone(true);
        assert_eq!(layer.store.purge(what, Purge::Soft).entries, 1);
        expect(&layer, "GET /x?a", 200, "0123456789", "weir; fwd=stale; fwd-status=304", 1);
        gone(false);
    }
    assert_eq!(layer.store.purge(Selector::Tag(b"new"), Purge::Hard).entries, 0);
    expect(&layer, "POST /x?a", 200, "0123456789", "weir; fwd=method; detail=method", 1);
    gone(true);
    layer.origin.set(failing);
    expect(&layer, "DELETE /x?a", 503, "sorry", "weir; fwd=method; detail=method", 1);
    gone(false);
}

#[test]
fn stale_in_the_place_of_an_error_and_while_fetching() {
    let layer = Layer::new(|_, _| {
        let windows = "max-age=10, stale-while-revalidate=10, stale-if-error=60";
        answer(200, &format!("cache-control: {windows}"), "good")
    });
    layer.ask("GET /x");
    layer.origin.set(failing);
    layer.wait(12);
    let stale = "weir; hit; ttl=-2; detail=stale-while-revalidate";
    expect(&layer, "GET /x", 200, "good", stale, 1);
    layer.wait(20);
    expect(&layer, "GET /x", 200, "good", "weir; fwd=stale; fwd-status=503", 1);
    layer.wait(40);
    expect(&layer, "GET /x", 503, "sorry", "weir; fwd=uri-miss; detail=status", 1);
}

#[test]
fn what_cannot_be_stored_leaves_a_note() {
    let layer = Layer::new(|_, _| answer(200, "cache-control: no-store", "secret"));
    expect(&layer, "GET /x", 200, "secret", "weir; fwd=uri-miss; detail=no-store", 1);
    layer.origin.set(|_, _| answer(200, "cache-control: max-age=9", "open"));
    let found = layer
        .store
        .read(b"http://a/x\0upstream", layer.now.get(), |entry| entry.value().is_hit_for_miss());
    assert_eq!(found, Some(true));
    layer.ask("GET /x");
    expect(&layer, "GET /x", 200, "open", "weir; hit; ttl=9", 0);
}

#[test]
fn variants_live_side_by_side() {
    let layer = Layer::new(|_, headers| {
        let french = headers.get("accept-language").is_some_and(|language| language == "fr");
        let lines = "cache-control: max-age=10\nvary: accept-language";
        answer(200, lines, if french { "salut" } else { "hello" })
    });
    let french = "GET /x\naccept-language: fr";
    expect(&layer, "GET /x", 200, "hello", "weir; fwd=uri-miss; stored", 1);
    expect(&layer, french, 200, "salut", "weir; fwd=vary-miss; stored", 1);
    expect(&layer, "GET /x", 200, "hello", "weir; hit; ttl=10", 0);
    expect(&layer, french, 200, "salut", "weir; hit; ttl=10", 0);
    assert_eq!(layer.store.len(), 1);
}

#[test]
fn a_304_that_forbids_storing_empties_the_place() {
    let layer = Layer::new(page);
    layer.ask("GET /x");
    layer.origin.set(|_, _| answer(304, "cache-control: no-store", ""));
    layer.wait(10);
    expect(&layer, "GET /x", 200, "0123456789", "weir; fwd=stale; fwd-status=304", 1);
    assert!(layer.store.is_empty());
}
