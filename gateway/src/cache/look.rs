//! The first look: before anything is asked or waited for.

use std::{borrow::Cow, mem, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use weir_cache::{
    entry::Key,
    http::{
        admission::is_stored_method,
        decide::{self, BypassReason, Decision, StaleReason},
        key::Target,
        serve,
        status::{CacheStatus, Forward},
        stored::{Request, Stored},
    },
    time::Time,
};

use super::{
    Asking, Exchange, Outcome, OwnTarget, Question, Rule, Seen, answer,
    fill::{Joined, Lead},
    key, query, time,
};
use crate::{
    http::{
        body::Body,
        headers::{is_vouched_for, name},
    },
    limit::key::Subject,
    script::Values,
};

/// What was asked, in the client's words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The host, perhaps with a port.
    pub(crate) authority: &'a str,
    /// The path by which it was routed.
    pub(crate) path: &'a str,
    /// The query, or what the route keeps of it.
    pub(crate) query: Option<&'a str>,
    /// Whether there is nothing but a head.
    pub(crate) bare: bool,
    /// Whether another protocol is wanted.
    pub(crate) tunnel: bool,
    /// Whether it is run once for all who send its key.
    pub(crate) once: bool,
}

/// What came of the look.
#[derive(Debug)]
pub(crate) enum Looked {
    /// This is the answer, its head still to be made the gateway's own.
    Answer(Response<Body>),
    /// This is the answer, too, and somebody should ask for a fresh one meanwhile.
    Stale(Response<Body>, Box<Asking>),
    /// The upstream must be asked.
    Ask(Box<Asking>),
    /// It may hang on what the gateway vouches for, which it has not yet.
    Unvouched,
}

/// What a decision comes to once nothing of the store is borrowed any more.
pub(super) enum Plan {
    Answer(Response<Body>),
    Refresh(Response<Body>, Arc<Stored>),
    Ask(Question),
}

/// Looks for what answers a request to the upstream at index `upstream`. Before the gateway has
/// `vouched` for it, only an answer will do that is the same for all who ask.
pub(crate) fn look(
    exchange: &mut Exchange,
    rule: &Rule,
    upstream: usize,
    (method, headers): (&Method, &HeaderMap),
    asked: Asked<'_>,
    vouched: bool,
) -> Looked {
    let unvouched = || !rule.key.lua.is_empty() || rule.key.headers.iter().any(is_vouched_for);
    if !vouched && unvouched() {
        return Looked::Unvouched;
    }
    let worker = &exchange.connection.worker;
    let now = time(worker, exchange.began);
    let request = Request::new(method, headers);
    let scheme = scheme(exchange, headers);
    let path_and_query = match asked.query {
        None => Cow::Borrowed(asked.path),
        Some(query) => Cow::Owned([asked.path, "?", query].concat()),
    };
    let scope = rule.scope(upstream);
    let target =
        Target { scheme, authority: asked.authority, path_and_query: &path_and_query, scope };
    let mut key = mem::take(&mut *worker.scratch.borrow_mut());
    let mut keyed = target.write_key(&mut key);
    if keyed {
        write_vouched(headers, asked.authority, &mut key);
        key::write(&rule.key, headers, &mut key);
        keyed = rule.key.lua.is_empty()
            || write_values(exchange, rule, (method, headers), asked, &mut key);
    }
    if !keyed {
        key.clear();
    }
    let bypass = bypass(&request, asked).or_else(|| (!keyed).then_some(BypassReason::Key));
    let is_query = bypass.is_none() && query::is_keyed(method, headers);
    let found = match bypass {
        _ if !vouched && (is_query || bypass.is_some()) => None,
        None if is_query => Some((Plan::Ask(Question::Content), None)),
        Some(why) => Some(noted(plan(exchange, &request, Decision::Bypass(why), now))),
        None => find(exchange, rule, &request, (&key, now), vouched).map(noted),
    };
    let Some((plan, seen)) = found else {
        *exchange.connection.worker.scratch.borrow_mut() = key;
        return Looked::Unvouched;
    };
    exchange.cache = seen;
    let asking = |question, lead| {
        let path_and_query = path_and_query.into_owned();
        let target = OwnTarget { scheme, authority: asked.authority.to_owned(), path_and_query };
        let (method, headers) = (method.clone(), headers.clone());
        let key = Key::from(&key[..]);
        Box::new(Asking { method, headers, target, key, question, lead })
    };
    let looked = match plan {
        Plan::Answer(response) => Looked::Answer(response),
        Plan::Ask(question) => Looked::Ask(asking(question, None)),
        Plan::Refresh(response, stored) => {
            match rule.cache.fills.join(&Key::from(&key[..]), rule.store()) {
                Joined::Lead(lead) => Looked::Stale(response, refreshing(asking, stored, lead)),
                // Somebody is at it.
                Joined::Follow(_) => Looked::Answer(response),
            }
        }
    };
    *exchange.connection.worker.scratch.borrow_mut() = key;
    looked
}

/// Adds to a key what expressions make of a request; whether all of them make something.
fn write_values(
    exchange: &Exchange,
    rule: &Rule,
    (method, headers): (&Method, &HeaderMap),
    asked: Asked<'_>,
    key: &mut Vec<u8>,
) -> bool {
    let world = &exchange.world;
    let id = exchange.request_id.as_ref();
    let values = Values::new(&world.snapshot.scripts, &world.vms, method, id);
    let subject = Subject {
        client: exchange.client,
        headers,
        path: asked.path,
        query: asked.query,
        route: exchange.route.map_or("", |route| &*world.snapshot.routes[route].name),
        identity: exchange.identity(),
        lua: values.as_ref().map(|values| values as _),
    };
    let made = key::write_values(&rule.key, &subject, key);
    if let Some(values) = &values {
        values.note(exchange);
    }
    made
}

/// Decides on a request by what the store has under its key; `None` where that may hang on what the
/// gateway has not `vouched` for yet.
fn find(
    exchange: &Exchange,
    rule: &Rule,
    request: &Request<'_>,
    (key, now): (&[u8], Time),
    vouched: bool,
) -> Option<(Plan, Seen)> {
    let found = rule.store().read(key, now, |entry| {
        let varies = |stored: &Arc<Stored>| stored.head().selection().names().any(is_vouched_for);
        if !vouched && entry.value().iter().any(varies) {
            return None;
        }
        let decision = decide::decide(request, Some(entry), now, &rule.policy);
        Some(plan(exchange, request, decision, now))
    });
    let found = match found {
        Some(found) => found?,
        None => plan(exchange, request, decide::decide(request, None, now, &rule.policy), now),
    };
    // Who asks the upstream tells it, too.
    (vouched || matches!(found.0, Plan::Answer(_))).then_some(found)
}

/// The scheme that the origin is told of: behind a proxy of ours that ends TLS it is not that of
/// the connection, and the one answers with redirects to the other.
fn scheme(exchange: &Exchange, headers: &HeaderMap) -> &'static str {
    if !exchange.connection.peer().trusts() {
        return exchange.connection.scheme();
    }
    match headers.get(&name::X_FORWARDED_PROTO).map(HeaderValue::as_bytes) {
        Some(b"https") => "https",
        Some(b"http") => "http",
        _ => exchange.connection.scheme(),
    }
}

/// Fields by which proxies say what was asked for, and from which origins make links and redirects:
/// some proxies let through what clients say in their place.
static VOUCHED: [HeaderName; 6] = [
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-protocol"),
    HeaderName::from_static("x-forwarded-ssl"),
    HeaderName::from_static("front-end-https"),
    HeaderName::from_static("x-url-scheme"),
];

/// Adds to a key what the origin is told beside the URL, which names the `host`. No value holds a
/// NUL.
pub(super) fn write_vouched(headers: &HeaderMap, host: &str, key: &mut Vec<u8>) {
    let counts = |name: &HeaderName, value: &HeaderValue| {
        *name != name::X_FORWARDED_HOST || value.as_bytes() != host.as_bytes()
    };
    // One pass over the fields, since most requests have none of these, or the first alone and in
    // it the host.
    let found = headers.iter().any(|(name, value)| is_vouched(name) && counts(name, value));
    if !found {
        return;
    }
    for name in &VOUCHED {
        for value in headers.get_all(name).iter().filter(|value| counts(name, value)) {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                key.push(0);
                key.extend_from_slice(part);
            }
        }
    }
}

/// Whether it is one of [`VOUCHED`]. What they have in common comes first.
fn is_vouched(name: &HeaderName) -> bool {
    let text = name.as_str();
    matches!(text.as_bytes(), [b'x' | b'f', ..]) && VOUCHED.iter().any(|vouched| vouched == text)
}

/// The question of a request that comes of no client.
fn refreshing(
    asking: impl FnOnce(Question, Option<Lead>) -> Box<Asking>,
    stored: Arc<Stored>,
    lead: Lead,
) -> Box<Asking> {
    let mut asking = asking(Question::Holds { stored, alone: false }, Some(lead));
    asking.method = Method::GET;
    for name in [header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE]
    {
        asking.headers.remove(name);
    }
    asking
}

/// Whether to leave the cache out of it. Content is no part of the key but that of a `QUERY`.
fn bypass(request: &Request<'_>, asked: Asked<'_>) -> Option<BypassReason> {
    decide::bypass(request).or_else(|| match () {
        () if asked.tunnel => Some(BypassReason::Upgrade),
        () if asked.once => Some(BypassReason::Content),
        () if query::is_keyed(request.method, request.headers) => None,
        () if !asked.bare || request.method.as_str() == "QUERY" => Some(BypassReason::Content),
        () => None,
    })
}

fn noted((plan, seen): (Plan, Seen)) -> (Plan, Option<Seen>) {
    (plan, Some(seen))
}

pub(super) fn plan(
    exchange: &Exchange,
    request: &Request<'_>,
    decision: Decision<'_>,
    now: Time,
) -> (Plan, Seen) {
    let serve = |stored| {
        let rng = &mut exchange.connection.worker.rng.borrow_mut();
        answer::response(serve::answer(request, stored, now, rng.u128(..)))
    };
    // What is for one user is nothing that others should wait for.
    let alone =
        || request.directives.no_store || request.headers.contains_key(header::AUTHORIZATION);
    let is_stored = is_stored_method(request.method);
    let whole = || is_stored && !request.headers.contains_key(header::RANGE);
    let (plan, outcome) = match decision {
        Decision::Hit(stored) => (Plan::Answer(serve(stored)), Outcome::Hit),
        Decision::Stale(stored, StaleReason::Allowed) => {
            (Plan::Answer(serve(stored)), Outcome::Stale)
        }
        Decision::Stale(stored, StaleReason::WhileRevalidating) => {
            (Plan::Refresh(serve(stored), stored.clone()), Outcome::Stale)
        }
        Decision::Revalidate(stored, why) => {
            let alone = alone() || why != Forward::Stale || !is_stored;
            (Plan::Ask(Question::Holds { stored: stored.clone(), alone }), Outcome::Miss)
        }
        Decision::Miss(_) if whole() => {
            (Plan::Ask(Question::Whole { alone: alone() }), Outcome::Miss)
        }
        Decision::Pass if whole() => (Plan::Ask(Question::Whole { alone: true }), Outcome::Pass),
        Decision::Miss(_) => (Plan::Ask(Question::Clients), Outcome::Miss),
        Decision::Pass => (Plan::Ask(Question::Clients), Outcome::Pass),
        Decision::Bypass(_) => (Plan::Ask(Question::Clients), Outcome::Bypass),
        Decision::Unavailable => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::GATEWAY_TIMEOUT;
            (Plan::Answer(response), Outcome::Unavailable)
        }
    };
    (plan, Seen { outcome, status: CacheStatus::of(&decision, now) })
}
