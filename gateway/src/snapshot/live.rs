//! What is live: the current snapshot, and what all workers count together.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use http::HeaderValue;

use super::{Listener, Snapshot};
use crate::{
    admission::Admission,
    discover::{Found, roll::Roll},
    telemetry::{counters::ListenerCounters, registry::Registry, trace::Spans},
};

/// Shared by the control thread and all workers.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<Snapshot>,
    version: AtomicU64,
    /// Metrics.
    pub registry: Registry,
    /// What sources of endpoints have told.
    pub found: Arc<Found>,
    /// Who is turned away when there is too much at once.
    pub admission: Arc<Admission>,
    /// Who else is there.
    pub(crate) roll: Arc<Roll>,
    /// Spans on their way to the collector.
    pub(crate) spans: Arc<Spans>,
    /// Open downstream connections.
    pub connections: AtomicU32,
    /// Downstream connections accepted so far.
    pub accepted: AtomicU64,
    /// What goes on even if its client is gone.
    errands: AtomicU32,
    draining: AtomicBool,
}

impl Live {
    /// Begins with a first snapshot.
    pub fn new(first: Snapshot, registry: Registry) -> Self {
        let (admission, roll) = (Arc::default(), Arc::default());
        registry.watch_members(&roll);
        registry.watch_admission(&admission);
        first.cache.iter().for_each(|cache| registry.watch_cache(cache));
        registry.watch_records(&first.records);
        registry.watch_jwks(&first.jwks);
        let found = Arc::default();
        registry.watch_found(&found);
        let spans = Arc::default();
        registry.watch_spans(&spans);
        Self {
            version: AtomicU64::new(first.version),
            current: ArcSwap::from_pointee(first),
            registry,
            found,
            admission,
            roll,
            spans,
            connections: AtomicU32::new(0),
            accepted: AtomicU64::new(0),
            errands: AtomicU32::new(0),
            draining: AtomicBool::new(false),
        }
    }

    /// The current snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Its version, for a cheap look whether there is a new one.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Puts a new snapshot in place; requests that begin from now on see it.
    pub fn store(&self, next: Snapshot) {
        let version = next.version;
        next.cache.iter().for_each(|cache| self.registry.watch_cache(cache));
        self.registry.watch_jwks(&next.jwks);
        self.current.store(Arc::new(next));
        self.version.store(version, Ordering::Release);
    }

    /// Whether all is done that a shutdown waits for.
    pub fn is_quiet(&self) -> bool {
        self.connections.load(Ordering::Relaxed) == 0 && self.errands.load(Ordering::Relaxed) == 0
    }

    /// Marks the gateway as about to stop: it is not ready any more.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the gateway is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// Something that goes on even if its client is gone: a shutdown waits for it.
#[derive(Debug)]
pub(crate) struct Errand(Arc<Live>);

impl Errand {
    pub(crate) fn begin(live: &Arc<Live>) -> Self {
        live.errands.fetch_add(1, Ordering::Relaxed);
        Self(live.clone())
    }
}

impl Clone for Errand {
    fn clone(&self) -> Self {
        Self::begin(&self.0)
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.0.errands.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A worker's view of one listener.
#[derive(Debug)]
pub struct ListenerState {
    /// Its settings.
    pub shared: Arc<Listener>,
    /// This worker's counters.
    pub counters: Arc<ListenerCounters>,
    /// What Alt-Svc says over TCP, when it says something. A worker's own, for a count of holders
    /// that all workers move would be shared by their caches.
    pub alt_svc: Option<HeaderValue>,
}

impl ListenerState {
    /// A view with these counters.
    pub fn new(shared: Arc<Listener>, counters: Arc<ListenerCounters>) -> Self {
        let alt_svc = shared.announced.and_then(|port| {
            // A day (RFC 7838 section 3.1), as servers and their clients are used to.
            HeaderValue::try_from(format!("h3=\":{port}\"; ma=86400")).ok()
        });
        Self { shared, counters, alt_svc }
    }
}
