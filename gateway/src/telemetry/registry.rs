//! The registry of counters: hands blocks out to workers, sums them when scraped.
//!
//! It lives as long as the process. Each configuration a worker compiles asks for its blocks anew;
//! blocks that the worker let go of are folded into the sums of their key, so that nothing counts
//! backwards over a reload. The sums of a route that is gone are kept until [`KEPT`] keys have
//! none to write them; then all such are folded together under the route `(removed)`. Listeners and
//! endpoints that are gone leave the scrape instead: a gauge of theirs would lie.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    counters::{EndpointCounters, ListenerCounters, RouteCounters, sum},
    trace::Spans,
};
use crate::{
    admission::Admission,
    cache::{Cache, Outcome},
    clock::Tick,
    discover::{Found, roll::Roll},
    idempotency::{self, Records},
    limit::{
        LimitStore,
        shared::Servers,
        tally::{Tally, Totals},
    },
    policy::{AuthTally, Jwks},
    upstream::{adaptive::AdaptiveLimit, limit::Gate, load::EndpointLoad, roster::Roster},
};

mod blocks;
mod exposition;
#[cfg(test)]
mod tests;

use blocks::Blocks;

/// Media type of [`Registry::render`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Keys without a writer that are kept apart.
const KEPT: usize = 256;
/// Route and upstream under which the sums of others are folded together.
const REMOVED: &str = "(removed)";

/// Names of an upstream and one of its endpoints or limits, or of a route and its upstream.
type Pair = (Box<str>, Box<str>);

/// Connections to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// All that are open.
    pub open: u64,
    /// Those of them that wait for a request.
    pub idle: u64,
}

/// All counters of the process. Clones share them.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    version: &'static str,
    /// Names of the values of label `error`, by index.
    errors: &'static [&'static str],
    /// Unix time.
    started: Duration,
    blocks: Mutex<AllBlocks>,
    /// Unix time in milliseconds at which the last good configuration was loaded; 0 before.
    loaded: AtomicU64,
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
    bugs: AtomicU64,
    dropped_lines: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct AllBlocks {
    routes: BTreeMap<Pair, Blocks<RouteCounters>>,
    listeners: BTreeMap<Box<str>, Blocks<ListenerCounters>>,
    endpoints: BTreeMap<Pair, Blocks<EndpointCounters>>,
    loads: BTreeMap<Pair, Weak<EndpointLoad>>,
    gates: BTreeMap<Pair, Weak<Gate>>,
    adaptive: BTreeMap<Box<str>, Weak<AdaptiveLimit>>,
    bulkheads: BTreeMap<Box<str>, Weak<Gate>>,
    /// By route and limit.
    limits: BTreeMap<Pair, Blocks<Tally>>,
    /// By route and way.
    auths: BTreeMap<Pair, Blocks<AuthTally>>,
    jwks: Vec<Weak<Jwks>>,
    limit_store: Weak<LimitStore>,
    redis: Weak<Servers>,
    members: Weak<Roll>,
    admission: Weak<Admission>,
    cache: Weak<Cache>,
    records: Weak<Records>,
    rosters: BTreeMap<Box<str>, Weak<Roster>>,
    found: Weak<Found>,
    spans: Weak<Spans>,
    /// Number of keys at which it is time to look for those that are gone.
    sweep_at: usize,
}

impl Registry {
    /// An empty registry of a gateway of this version, started at this Unix time. `errors` names
    /// the reasons by which [`super::counters::Exchange::error`] is an index.
    pub fn new(
        version: &'static str,
        errors: &'static [&'static str],
        unix_time: Duration,
    ) -> Self {
        let shared = Shared {
            version,
            errors,
            started: unix_time,
            blocks: Mutex::default(),
            loaded: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
            failed_reloads: AtomicU64::new(0),
            bugs: AtomicU64::new(0),
            dropped_lines: Arc::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A worker's counters of a route towards an upstream (empty for a route that has none). To be
    /// asked for once per worker and configuration, never per request.
    pub fn route(&self, route: &str, upstream: &str) -> Arc<RouteCounters> {
        let mut all = self.shared.lock();
        all.make_room();
        let block = Arc::new(RouteCounters::new(self.shared.errors.len()));
        all.routes.entry(pair(route, upstream)).or_default().join(&block);
        block
    }

    /// A worker's counters of a listener.
    pub fn listener(&self, listener: &str) -> Arc<ListenerCounters> {
        let mut all = self.shared.lock();
        all.make_room();
        let block = Arc::default();
        all.listeners.entry(listener.into()).or_default().join(&block);
        block
    }

    /// A worker's counters of the connections to an endpoint.
    pub fn endpoint(&self, upstream: &str, endpoint: &str) -> Arc<EndpointCounters> {
        let mut all = self.shared.lock();
        all.make_room();
        let block = Arc::default();
        all.endpoints.entry(pair(upstream, endpoint)).or_default().join(&block);
        block
    }

    /// A worker's counts of one of a route's limits.
    pub fn limit(&self, route: &str, limit: &str) -> Arc<Tally> {
        let mut all = self.shared.lock();
        all.make_room();
        let block = Arc::default();
        all.limits.entry(pair(route, limit)).or_default().join(&block);
        block
    }

    /// A worker's counts of one of a route's ways to say who one is.
    pub(crate) fn auth(&self, route: &str, way: &str) -> Arc<AuthTally> {
        let mut all = self.shared.lock();
        all.make_room();
        let block = Arc::default();
        all.auths.entry(pair(route, way)).or_default().join(&block);
        block
    }

    /// Shows how sets of keys fare in the scrape.
    pub(crate) fn watch_jwks(&self, jwks: &[Arc<Jwks>]) {
        self.shared.lock().jwks = jwks.iter().map(Arc::downgrade).collect();
    }

    /// All workers' counts of one of a route's limits.
    pub fn limit_totals(&self, route: &str, limit: &str) -> Totals {
        let all = self.shared.lock();
        all.limits.get(&pair(route, limit)).map(Blocks::totals).unwrap_or_default()
    }

    /// Lets denials long ago weigh less in the lists of who is denied most.
    pub(crate) fn fade_limits(&self) {
        self.shared.lock().limits.values_mut().for_each(Blocks::fade);
    }

    /// Shows how many keys limits keep in the scrape.
    pub fn watch_limits(&self, store: &Arc<LimitStore>) {
        self.shared.lock().limit_store = Arc::downgrade(store);
    }

    /// Shows how the servers that gateways share fare in the scrape, for as long as there are some.
    pub(crate) fn watch_redis(&self, servers: Option<&Arc<Servers>>) {
        self.shared.lock().redis = servers.map(Arc::downgrade).unwrap_or_default();
    }

    /// Shows how sources of endpoints fare in the scrape.
    pub(crate) fn watch_found(&self, found: &Arc<Found>) {
        self.shared.lock().found = Arc::downgrade(found);
    }

    /// Shows what became of spans in the scrape.
    pub(crate) fn watch_spans(&self, spans: &Arc<Spans>) {
        self.shared.lock().spans = Arc::downgrade(spans);
    }

    /// Shows who else is there in the scrape, while this gateway takes part in a membership.
    pub(crate) fn watch_members(&self, roll: &Arc<Roll>) {
        self.shared.lock().members = Arc::downgrade(roll);
    }

    /// All workers' connections to an endpoint.
    pub fn endpoint_connections(&self, upstream: &str, endpoint: &str) -> Connections {
        let all = self.shared.lock();
        let blocks = all.endpoints.get(&pair(upstream, endpoint));
        let [open, idle, ..] = blocks.map(Blocks::totals).unwrap_or_default().0;
        // Workers' parts are read one after the other: a sum may be below zero for a moment.
        let level = |sum: u64| sum.cast_signed().max(0).cast_unsigned();
        Connections { open: level(open), idle: level(idle) }
    }

    /// Shows an endpoint's load in the scrape for as long as it lives.
    pub fn watch_load(&self, upstream: &str, endpoint: &str, load: &Arc<EndpointLoad>) {
        let mut all = self.shared.lock();
        all.make_room();
        all.loads.insert(pair(upstream, endpoint), Arc::downgrade(load));
    }

    /// Shows one of an upstream's limits in the scrape for as long as it lives; `limit` is its name
    /// in the file, `connections` or `requests`.
    pub fn watch_gate(&self, upstream: &str, limit: &str, gate: &Arc<Gate>) {
        let mut all = self.shared.lock();
        all.make_room();
        all.gates.insert(pair(upstream, limit), Arc::downgrade(gate));
    }

    /// Shows an upstream's limit that follows latency in the scrape, while it is on.
    pub fn watch_adaptive(&self, upstream: &str, limit: &Arc<AdaptiveLimit>) {
        let mut all = self.shared.lock();
        all.make_room();
        all.adaptive.insert(upstream.into(), Arc::downgrade(limit));
    }

    /// Shows how much of a route's bound is taken in the scrape, for as long as it has one.
    pub fn watch_bulkhead(&self, route: &str, gate: &Arc<Gate>) {
        let mut all = self.shared.lock();
        all.make_room();
        all.bulkheads.insert(route.into(), Arc::downgrade(gate));
    }

    /// Shows who is turned away in the scrape, and for what.
    pub fn watch_admission(&self, admission: &Arc<Admission>) {
        self.shared.lock().admission = Arc::downgrade(admission);
    }

    /// Shows what the cache holds in the scrape, for as long as it lives.
    pub(crate) fn watch_cache(&self, cache: &Arc<Cache>) {
        self.shared.lock().cache = Arc::downgrade(cache);
    }

    /// Shows how many records of idempotency keys there are in the scrape.
    pub(crate) fn watch_records(&self, records: &Arc<Records>) {
        self.shared.lock().records = Arc::downgrade(records);
    }

    /// How often keys came to what, over all routes, in the order of the outcomes' names.
    pub(crate) fn key_outcomes(&self) -> [u64; idempotency::Outcome::NAMES.len()] {
        let all = self.shared.lock();
        sum(all.routes.values().map(Blocks::totals)).keyed
    }

    /// How often the cache did what, over all routes, in the order of the outcomes' names.
    pub(crate) fn cache_outcomes(&self) -> [u64; Outcome::NAMES.len()] {
        let all = self.shared.lock();
        sum(all.routes.values().map(Blocks::totals)).cached
    }

    /// Shows how an upstream's endpoints stand in the scrape, for as long as it lives.
    pub fn watch_roster(&self, upstream: &str, roster: &Arc<Roster>) {
        let mut all = self.shared.lock();
        all.make_room();
        all.rosters.insert(upstream.into(), Arc::downgrade(roster));
    }

    /// The count of access-log lines thrown away, for the log to write.
    pub fn dropped_lines(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.dropped_lines)
    }

    /// Counts a state that the code holds to be impossible.
    pub fn bug(&self) {
        self.shared.bugs.fetch_add(1, Relaxed);
    }

    /// Counts a configuration that took effect, the first included, at this Unix time.
    pub fn config_loaded(&self, unix_time: Duration) {
        self.shared.reloads.fetch_add(1, Relaxed);
        self.shared.loaded.store(unix_time.as_millis() as u64, Relaxed);
    }

    /// Counts a configuration that was refused.
    pub fn config_refused(&self) {
        self.shared.failed_reloads.fetch_add(1, Relaxed);
    }

    /// Everything as OpenMetrics text (see [`CONTENT_TYPE`]), which Prometheus reads. `now` is for
    /// the latency estimates.
    pub fn render(&self, now: Tick) -> String {
        exposition::render(&self.shared, now)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, AllBlocks> {
        // A panic in between leaves sums that are a little off, no broken structure.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AllBlocks {
    /// Keeps the number of keys within a small multiple of those in use.
    fn make_room(&mut self) {
        if self.keys() >= self.sweep_at {
            self.sweep();
            self.sweep_at = (2 * self.keys()).max(2 * KEPT);
        }
    }

    fn keys(&self) -> usize {
        self.routes.len()
            + self.listeners.len()
            + self.endpoints.len()
            + self.loads.len()
            + self.gates.len()
            + self.adaptive.len()
            + self.bulkheads.len()
            + self.limits.len()
            + self.auths.len()
            + self.rosters.len()
    }

    /// Folds blocks that nobody writes any more and forgets what is gone.
    fn sweep(&mut self) {
        self.listeners.retain(|_, blocks| blocks.fold());
        self.endpoints.retain(|_, blocks| blocks.fold());
        self.loads.retain(|_, load| load.strong_count() > 0);
        self.gates.retain(|_, gate| gate.strong_count() > 0);
        self.adaptive.retain(|_, limit| limit.strong_count() > 0);
        self.bulkheads.retain(|_, gate| gate.strong_count() > 0);
        self.rosters.retain(|_, roster| roster.strong_count() > 0);
        self.limits.retain(|_, blocks| blocks.fold());
        self.auths.retain(|_, blocks| blocks.fold());
        let gone = self.routes.values_mut().filter_map(|blocks| (!blocks.fold()).then_some(()));
        if gone.count() > KEPT {
            self.fold_removed_routes();
        }
    }

    fn fold_removed_routes(&mut self) {
        let removed = self.routes.remove(&pair(REMOVED, REMOVED)).unwrap_or_default();
        let (gone, kept): (BTreeMap<_, _>, _) =
            mem::take(&mut self.routes).into_iter().partition(|(_, blocks)| blocks.is_unwritten());
        self.routes = kept;
        let sums = gone.values().fold(removed, Blocks::absorb);
        self.routes.insert(pair(REMOVED, REMOVED), sums);
    }
}

fn pair(a: &str, b: &str) -> Pair {
    (a.into(), b.into())
}
