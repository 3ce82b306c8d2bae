//! The cache of a gateway: what it keeps of responses and how requests are answered with it.
//!
//! The rules of HTTP and the store are `weir-cache`'s; here they meet requests. [`look()`] decides,
//! and answers from memory what it can, before anything waits. What must be asked for goes through
//! [`fetch()`], which stores what may be stored. Requests that ask the same at the same time share
//! one answer by way of [`fill`], whatever worker they came to.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderMap, Method};
use weir_cache::{
    entry::Key,
    http::{
        key::Target,
        page::Page,
        policy::Policy,
        status::{CACHE_STATUS, CacheStatus},
        stored::{Request, Stored},
    },
    store::{Admission, Options, Store, Weighing},
    time::Time,
};
use weir_config::model::{CacheKey, CacheStore, RouteCache};

use crate::{clock::Tick, http::exchange::Exchange, worker::Worker};

mod answer;
mod fetch;
mod fill;
mod follow;
mod key;
mod look;
mod query;
mod room;
mod wait;

pub(crate) use fetch::{fetch, refresh};
pub(crate) use look::{Asked, Looked, look};
pub(crate) use room::{Place, Room};

use fill::{Fills, Lead};

/// How long nobody waits for another once an answer could not be stored.
const NOTE: Duration = Duration::from_secs(5);

/// The store that all routes share, and what is on its way into it.
#[derive(Debug)]
pub(crate) struct Cache {
    /// What is stored.
    pub(crate) store: Store<Page>,
    fills: Arc<Fills>,
    room: Room,
    /// Bytes that the store was made for.
    memory: AtomicU64,
}

impl Cache {
    /// An empty one. `seed` should be secret ([`Store::new`]).
    pub(crate) fn new(config: CacheStore, seed: u64) -> Self {
        let options = Options {
            capacity: config.memory,
            shards: config.shares() as usize,
            weighing: Weighing::Bytes,
            admission: ADMISSION,
        };
        let memory = AtomicU64::new(config.memory);
        let room = Room::new(room(config.memory));
        Self { store: Store::new(options, seed), fills: Arc::default(), room, memory }
    }

    /// Makes it as large as this configuration wants it; what fits stays. To be called when that
    /// takes effect.
    pub(crate) fn adjust(&self, config: CacheStore, now: Time) {
        let before = self.memory.swap(config.memory, Relaxed);
        if before != config.memory {
            self.room.resize(room(before), room(config.memory));
            self.store.resize(config.memory, config.shares() as usize, now);
        }
    }

    /// How many answers are on their way into the store.
    pub(crate) fn fills(&self) -> usize {
        self.fills.len()
    }
}

/// A tenth of the store is for newcomers: what traces of web servers and databases have shown to
/// miss least.
const ADMISSION: Admission = Admission { probation: 10, heavy: 0 };

/// Memory for bodies: what comes in and what goes out may take as much again.
const fn room(memory: u64) -> u64 {
    memory.saturating_mul(2)
}

/// What a route keeps.
#[derive(Debug)]
pub(crate) struct Rule {
    cache: Arc<Cache>,
    policy: Policy,
    lock_timeout: Duration,
    key: CacheKey,
    /// By index of the upstream: what tells its answers from those of other upstreams and routes.
    scopes: Vec<(usize, Box<str>)>,
}

impl Rule {
    /// What a route keeps of its upstreams' answers; `route` tells it from all others, those of
    /// configurations to come included.
    pub(crate) fn new<'a>(
        config: &RouteCache,
        cache: Arc<Cache>,
        route: &str,
        upstreams: impl Iterator<Item = (usize, &'a str)>,
    ) -> Self {
        let policy = Policy {
            ttl: config.ttl,
            heuristics: config.heuristics,
            stale_while_revalidate: config.stale_while_revalidate,
            stale_if_error: config.stale_if_error,
            object_max: config.max_object,
            variants_max: config.variants as usize,
            client_directives: config.client_directives,
            store_cookies: config.set_cookie,
            ..Policy::default()
        };
        // Neither name may have a space in it.
        let scopes = upstreams.map(|(index, name)| (index, format!("{route} {name}").into()));
        let (lock_timeout, key) = (config.lock_timeout, config.key.clone());
        Self { cache, policy, lock_timeout, key, scopes: scopes.collect() }
    }

    /// What is left of a request's query, in the key and in what goes upstream.
    pub(crate) fn query<'a>(&self, query: Option<&'a str>) -> Option<Cow<'a, str>> {
        key::query(&self.key.query, query)
    }

    /// Takes out of a request whose answer others may get what could change it behind their back.
    /// What the route itself says comes after it.
    pub(crate) fn strip_unkeyed(&self, headers: &mut HeaderMap) {
        for name in UNKEYED.iter().filter(|name| !self.key.headers.iter().any(|key| key == **name))
        {
            headers.remove(*name);
        }
    }

    fn scope(&self, upstream: usize) -> &str {
        let scope = self.scopes.iter().find(|(index, _)| *index == upstream);
        scope.map(|(_, scope)| &**scope).unwrap_or_default()
    }

    fn store(&self) -> &Store<Page> {
        &self.cache.store
    }
}

/// How a request of a route with a cache was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// From memory, fresh.
    Hit,
    /// From memory, stale: the client takes that, or a fresh one is on its way.
    Stale,
    /// From memory, since the upstream failed.
    StaleIfError,
    /// From memory, after the upstream said that it still holds.
    Revalidated,
    /// With the answer to another request for the same.
    Collapsed,
    /// By the upstream.
    Miss,
    /// By the upstream; the last answer could not be stored.
    Pass,
    /// By the upstream, and the cache had no say.
    Bypass,
    /// Not: the client wanted nothing but what is stored.
    Unavailable,
}

impl Outcome {
    /// Their names, in order.
    pub(crate) const NAMES: [&'static str; 9] = [
        "hit",
        "stale",
        "stale_if_error",
        "revalidated",
        "collapsed",
        "miss",
        "pass",
        "bypass",
        "unavailable",
    ];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What came of asking for a fresh answer while a client had a stale one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// The stale one holds.
    Revalidated,
    /// There is a new one.
    Replaced,
    /// There is a new one that may not be stored.
    Refused,
    /// The upstream failed.
    Failed,
}

impl Refresh {
    /// Their names, in order.
    pub(crate) const NAMES: [&'static str; 4] = ["revalidated", "replaced", "refused", "failed"];

    /// What the exchange of one says.
    const fn of(exchange: &Exchange, failed: bool) -> Self {
        match exchange.cache {
            _ if failed => Self::Failed,
            Some(Seen { outcome: Outcome::StaleIfError, .. }) => Self::Failed,
            Some(Seen { outcome: Outcome::Revalidated, .. }) => Self::Revalidated,
            Some(Seen { status, .. }) if status.stored => Self::Replaced,
            _ => Self::Refused,
        }
    }
}

/// What the cache did with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) outcome: Outcome,
    pub(crate) status: CacheStatus,
}

/// A request that memory could not answer.
#[derive(Debug)]
pub(crate) struct Asking {
    method: Method,
    /// The client's fields, before they become those of a request for the whole.
    headers: HeaderMap,
    target: OwnTarget,
    key: Key,
    question: Question,
    /// Others may be waiting for the answer.
    lead: Option<Lead>,
}

/// What is to be asked.
#[derive(Debug)]
enum Question {
    /// What the client asks; the answer is nothing to store.
    Clients,
    /// That shows once the content is here, for it is part of the key.
    Content,
    /// For the whole, which is to be stored. `alone` is without waiting for others.
    Whole { alone: bool },
    /// Whether this still holds. `alone` is without waiting for others.
    Holds { stored: Arc<Stored>, alone: bool },
}

/// A [`Target`] that owns its texts.
#[derive(Debug)]
struct OwnTarget {
    scheme: &'static str,
    authority: String,
    path_and_query: String,
}

impl OwnTarget {
    fn target(&self) -> Target<'_> {
        let Self { scheme, authority, path_and_query } = self;
        Target { scheme, authority, path_and_query, scope: "" }
    }
}

impl Asking {
    fn request(&self) -> Request<'_> {
        Request::new(&self.method, &self.headers)
    }

    /// Whether others may get the answer.
    pub(crate) const fn is_for_others(&self) -> bool {
        !matches!(self.question, Question::Clients)
    }
}

/// Names in requests that some origins take for parts of the URL, though they are none of the key:
/// with them one request could choose the answer that others get. Where one is named in the key, it
/// is kept.
const UNKEYED: [&str; 10] = [
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-prefix",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// The time that the cache counts by.
fn time(worker: &Worker, now: Tick) -> Time {
    Time::from_millis(worker.calendar.borrow_mut().unix_millis(now))
}

/// Says what the cache did, if it had a say. Caches nearer to the client come after those behind
/// them (RFC 9211 section 2).
pub(crate) fn tell(exchange: &Exchange, headers: &mut HeaderMap) {
    if let Some(value) = exchange.cache.and_then(|seen| seen.status.to_value("weir")) {
        headers.append(CACHE_STATUS, value);
    }
}
