//! The running configuration: immutable, compiled once, swapped as one.
//!
//! A request sees one snapshot from beginning to end. What must outlive a configuration (loads,
//! gates, connections, sessions) is behind `Arc`s that [`compile()`] carries from the previous
//! snapshot into the next, by name and address.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use weir_cache::time::Time;
use weir_config::model::{
    self, AltSvc, Bind, Config, Limits, RoutePriority, RouteTimeout, Timeouts,
};

use crate::{
    admission::bulkhead::Bulkhead,
    cache::{Cache, Rule},
    files::Files,
    http::headers::{Edits, is_vouched_for},
    idempotency,
    limit::{LimitStore, RouteLimits, SharedStore},
    listen::tls::ServerTlsState,
    policy::{Jwks, Mirror, Policies},
    route::{Location, Matcher, PathRewrite},
    script::Scripts,
    upstream::{endpoint::Upstream, retry::policy::RetryPolicy},
};

mod compile;
pub mod live;
mod routes;
mod upstream;

pub use compile::{Compiled, compile};

/// One configuration, ready for requests.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Counts the configurations of this process, from 1.
    pub version: u64,
    /// The validated configuration it came from.
    pub config: Arc<Config>,
    /// Bounds of the downstream side.
    pub limits: Limits,
    /// Time-outs of the downstream side.
    pub timeouts: Timeouts,
    /// Finds the route of a request.
    pub matcher: Arc<Matcher>,
    /// Routes, in file order.
    pub routes: Arc<[Route]>,
    /// Upstreams, in file order.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Listeners, in file order.
    pub listeners: Vec<Arc<Listener>>,
    /// Sets of keys that others serve, each once.
    pub(crate) jwks: Arc<[Arc<Jwks>]>,
    /// What is kept of responses.
    pub(crate) cache: Option<Arc<Cache>>,
    /// What became of idempotency keys.
    pub(crate) records: Arc<idempotency::Records>,
    /// Scripts of routes.
    pub(crate) scripts: Scripts,
    /// What the limits of all routes count with.
    pub limit_store: Arc<LimitStore>,
    /// The servers that gateways share.
    pub shared_store: Option<SharedStore>,
}

/// A listener's settings.
#[derive(Debug)]
pub struct Listener {
    /// The validated configuration.
    pub config: model::Listener,
    /// Its address as it is logged.
    pub name: Arc<str>,
    /// Certificates, sessions and keys, when it ends TLS.
    pub tls: Option<Arc<ServerTlsState>>,
    /// UDP port at which Alt-Svc tells clients to find HTTP/3; see [`Snapshot::announce`].
    pub announced: Option<u16>,
}

impl Snapshot {
    /// Settles what the listeners say of HTTP/3. `bound` is the port that an address got, which is
    /// known only after compilation. To be called before anybody shares the snapshot.
    pub fn announce(&mut self, bound: impl Fn(&Bind) -> Option<u16>) {
        for listener in self.listeners.iter_mut().filter_map(Arc::get_mut) {
            let config = &listener.config;
            listener.announced = match config.alt_svc {
                _ if !config.protocols.h3 => None,
                AltSvc::Off => None,
                AltSvc::Port(port) => Some(port),
                AltSvc::Auto => bound(&config.bind),
            };
        }
    }
}

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// What it does.
    pub action: Action,
    /// Most bytes of a request's body.
    pub max_body: u64,
    /// Edits towards the upstream.
    pub request_edits: Edits,
    /// Edits towards the client.
    pub response_edits: Edits,
    /// Time-outs of the upstream side.
    pub timeout: RouteTimeout,
    /// How urgent its requests are.
    pub priority: RoutePriority,
    /// Bound on its requests under way.
    pub bulkhead: Option<Bulkhead>,
    /// Bounds on how often it may be used, and by whom.
    pub limits: Option<RouteLimits>,
    /// What else it does; `None` where that is nothing.
    pub policies: Option<Box<Policies>>,
    /// Second tries.
    pub retry: Option<RetryPolicy>,
    /// What it does when its upstream cannot answer.
    pub fallback: Option<Fallback>,
    /// What it keeps of its upstreams' answers.
    pub(crate) cache: Option<Rule>,
    /// What it does with idempotency keys.
    pub(crate) idempotency: Option<idempotency::Rule>,
}

/// What a route does when its upstream cannot answer.
#[derive(Debug)]
pub enum Fallback {
    /// Asks this upstream.
    Upstream(usize),
    /// Answers itself.
    Respond(Respond),
}

/// What a route does.
#[derive(Debug)]
pub enum Action {
    /// Sends the request to an upstream.
    Forward(Forward),
    /// Answers with a `Location`.
    Redirect(Location, StatusCode),
    /// Answers at once.
    Respond(Respond),
    /// Answers with a file.
    Files(Files),
}

/// Forwarding.
#[derive(Debug)]
pub struct Forward {
    /// Upstreams with the running sum of their weights, those of weight 0 left out.
    pub split: Vec<(usize, u32)>,
    /// Change of the path.
    pub rewrite: PathRewrite,
    /// Host sent upstream; `None` keeps the client's.
    pub host: Option<HeaderValue>,
}

impl Snapshot {
    /// Makes the cache as large as this configuration wants it. To be called when it takes effect.
    pub fn adjust_cache(&self, unix_time: Duration) {
        if let (Some(cache), Some(config)) = (&self.cache, self.config.cache) {
            cache.adjust(config, Time::ZERO + unix_time);
        }
    }
}

impl Route {
    /// Whether something of it may look at a field that the gateway vouches for before the request
    /// is forwarded; its cache knows by itself.
    pub(crate) fn reads_vouched(&self) -> bool {
        self.priority.header.as_ref().is_some_and(is_vouched_for)
            || self.idempotency.is_some()
            || self.limits.as_ref().is_some_and(RouteLimits::reads_vouched)
            || self.policies.as_ref().is_some_and(|policies| policies.reads_vouched())
    }

    /// Who gets copies of its requests.
    pub(crate) fn mirror(&self) -> Option<&Mirror> {
        self.policies.as_ref()?.mirror.as_ref()
    }

    /// Whether it answers what browsers ask before they send a request of another origin.
    pub(crate) fn answers_preflights(&self) -> bool {
        let web = self.policies.as_ref().and_then(|policies| policies.web.as_ref());
        web.is_some_and(|web| web.cors.is_some())
    }

    /// What counts of a request's query where its answer is kept.
    pub(crate) fn kept<'a>(&self, query: Option<&'a str>) -> Option<Cow<'a, str>> {
        match &self.cache {
            Some(rule) => rule.query(query),
            None => query.map(Cow::Borrowed),
        }
    }

    /// Takes over the bounds of this configuration. To be called when it takes effect: until then
    /// the running one's hold.
    pub fn adjust(&self) {
        if let Some(policy) = &self.retry {
            policy.adjust();
        }
        if let Some(bulkhead) = &self.bulkhead {
            bulkhead.adjust();
        }
    }

    /// The upstream that its fallback is.
    pub fn fallback_upstream(&self) -> Option<usize> {
        match self.fallback {
            Some(Fallback::Upstream(index)) => Some(index),
            _ => None,
        }
    }
}

impl Forward {
    /// The upstream for this request: an index, drawn by weight.
    pub fn choose(&self, rng: &mut fastrand::Rng) -> Option<usize> {
        match self.split.as_slice() {
            [] => None,
            [(only, _)] => Some(*only),
            [.., (_, total)] => {
                let point = rng.u32(..*total);
                self.split.iter().find(|(_, sum)| point < *sum).map(|(index, _)| *index)
            }
        }
    }
}

/// A fixed response.
#[derive(Debug)]
pub struct Respond {
    /// Status.
    pub status: StatusCode,
    /// Fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}
