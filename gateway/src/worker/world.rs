//! What a worker knows of a snapshot: the snapshot itself, beside its own pools and counters.

use std::{cell::OnceCell, rc::Rc, sync::Arc};

use weir_config::model::Bind;

use crate::{
    idempotency::SharedRecords,
    limit::{RouteLimits, shared::WorkerStore, tally::Tally},
    policy::Memory,
    quic::Dialer,
    script::Vms,
    snapshot::{
        Action, Snapshot,
        live::{ListenerState, Live},
    },
    telemetry::{counters::RouteCounters, registry::Registry},
    upstream::pool::UpstreamPool,
};

/// One worker's view of a snapshot.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Pools, by index of the upstream.
    pub(crate) upstreams: Vec<Rc<UpstreamPool>>,
    /// Counters by index of the route, then place in its split, the fallback last; routes without
    /// one have one.
    pub(crate) routes: Rc<[Vec<Arc<RouteCounters>>]>,
    /// Counters of routes towards upstreams that only their scripts choose, made when one does.
    chosen: Rc<[OnceCell<Chosen>]>,
    registry: Registry,
    /// Counters of requests that no route took.
    pub(crate) unrouted: Arc<RouteCounters>,
    /// What is remembered and counted of credentials, by index of the route, then of the way.
    memories: Rc<[Box<[Memory]>]>,
    /// What runs scripts.
    pub(crate) vms: Vms,
    /// Counts of limits, by index of the route.
    tallies: Rc<[Box<[Arc<Tally>]>]>,
    /// The way to the records of idempotency keys that gateways share.
    pub(crate) records: Option<Rc<SharedRecords>>,
    /// The way to the servers that gateways share.
    pub(crate) shared: Option<Rc<WorkerStore>>,
    listeners: Vec<Rc<ListenerState>>,
}

impl World {
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        previous: Option<&Self>,
        live: &Live,
        dialer: &Rc<Dialer>,
        rng: &mut fastrand::Rng,
    ) -> Self {
        let registry = &live.registry;
        let upstreams = snapshot.upstreams.iter().enumerate().map(|(index, upstream)| {
            let before = previous.and_then(|old| old.pool(index, &upstream.name));
            match before {
                Some(same) if Arc::ptr_eq(&same.shared, upstream) => same.clone(),
                _ => {
                    let before = before.map(|before| &**before);
                    Rc::new(UpstreamPool::new(upstream.clone(), before, registry, dialer, rng))
                }
            }
        });
        let upstreams: Vec<_> = upstreams.collect();
        // Where nothing but endpoints has changed, the routes are the very same, and so is all that
        // is kept by route: a change of an endpoint takes no longer where there are many.
        let same = previous.filter(|old| Arc::ptr_eq(&old.snapshot.routes, &snapshot.routes));
        let routes = same.map(|old| old.routes.clone());
        let routes = routes.unwrap_or_else(|| route_counters(&snapshot, registry));
        let chosen = same.map(|old| old.chosen.clone());
        let chosen =
            chosen.unwrap_or_else(|| snapshot.routes.iter().map(|_| OnceCell::new()).collect());
        let tallies = same.map(|old| old.tallies.clone()).unwrap_or_else(|| {
            let tallies = snapshot.routes.iter().map(|route| {
                let rules = route.limits.iter().flat_map(RouteLimits::rules);
                rules.map(|rule| registry.limit(&route.name, rule.limit().name())).collect()
            });
            tallies.collect()
        });
        let memories = same.map(|old| old.memories.clone()).unwrap_or_else(|| {
            let memories = snapshot.routes.iter().map(|route| {
                let auth = route.policies.as_ref().and_then(|policies| policies.auth.as_ref());
                let ways = auth.iter().flat_map(|auth| &auth.ways);
                ways.map(|way| Memory::new(registry.auth(&route.name, way.kind()))).collect()
            });
            memories.collect()
        });
        let listeners = snapshot.listeners.iter().map(|listener| {
            let counters = previous
                .and_then(|old| old.listener(&listener.config.bind))
                .map_or_else(|| registry.listener(&listener.name), |old| old.counters.clone());
            Rc::new(ListenerState::new(listener.clone(), counters))
        });
        let listeners = listeners.collect();
        let unrouted = registry.route("", "");
        let shared = snapshot.shared_store.as_ref().map(|store| {
            let before = previous.and_then(|old| old.shared.as_ref());
            store.of_worker(before, &snapshot.limit_store, live.roll.gateways(), rng)
        });
        let vms =
            Vms::new(&snapshot.scripts, previous.map(|old| (&old.snapshot.scripts, &old.vms)));
        let records = same.map_or_else(
            || SharedRecords::of(&snapshot, previous.and_then(|old| old.records.as_ref()), rng),
            |old| old.records.clone(),
        );
        let registry = registry.clone();
        Self {
            upstreams,
            routes,
            chosen,
            registry,
            unrouted,
            memories,
            vms,
            tallies,
            records,
            shared,
            listeners,
            snapshot,
        }
    }

    /// The pools of an upstream, most likely at this index.
    pub(super) fn pool(&self, index: usize, name: &str) -> Option<&Rc<UpstreamPool>> {
        let same = |pool: &&Rc<UpstreamPool>| &*pool.shared.name == name;
        self.upstreams.get(index).filter(same).or_else(|| self.upstreams.iter().find(same))
    }

    /// The listener bound to an address, as this configuration describes it.
    pub(crate) fn listener(&self, bind: &Bind) -> Option<&Rc<ListenerState>> {
        self.listeners.iter().find(|listener| listener.shared.config.bind == *bind)
    }

    /// What is remembered of credentials on a route.
    pub(crate) fn memories(&self, route: Option<usize>) -> &[Memory] {
        route.and_then(|route| self.memories.get(route)).map_or(&[], |memories| memories)
    }

    /// The counts of a route's limits.
    pub(crate) fn tallies(&self, route: usize) -> &[Arc<Tally>] {
        self.tallies.get(route).map_or(&[], |tallies| tallies)
    }

    /// The counters of a request: by its route and the upstream it went to.
    pub(crate) fn counters(&self, route: Option<usize>, upstream: Option<usize>) -> &RouteCounters {
        let Some(route) = route else { return &self.unrouted };
        let place = match (&self.snapshot.routes[route].action, upstream) {
            (Action::Forward(forward), Some(upstream)) => {
                let place = forward.split.iter().position(|(index, _)| *index == upstream);
                let route_of = &self.snapshot.routes[route];
                if place.is_none() && route_of.fallback_upstream() != Some(upstream) {
                    return self.chosen(route, upstream);
                }
                // The fallback comes last.
                Some(place.unwrap_or(forward.split.len()))
            }
            _ => None,
        };
        self.routes[route].get(place.unwrap_or(0)).map_or(&*self.unrouted, |counters| counters)
    }
}

impl World {
    /// The counters of a route towards an upstream that its script chose.
    fn chosen(&self, route: usize, upstream: usize) -> &RouteCounters {
        let upstreams = &self.snapshot.upstreams;
        let Some(chosen) = self.chosen.get(route) else { return &self.unrouted };
        let all = chosen.get_or_init(|| upstreams.iter().map(|_| OnceCell::new()).collect());
        let make =
            || self.registry.route(&self.snapshot.routes[route].name, &upstreams[upstream].name);
        all.get(upstream).map_or(&*self.unrouted, |counters| &**counters.get_or_init(make))
    }
}

/// By index of the upstream.
type Chosen = Box<[OnceCell<Arc<RouteCounters>>]>;

/// This worker's counters of each route.
fn route_counters(snapshot: &Snapshot, registry: &Registry) -> Rc<[Vec<Arc<RouteCounters>>]> {
    let counters = snapshot.routes.iter().map(|route| match &route.action {
        Action::Forward(forward) => {
            let split = forward.split.iter().map(|(index, _)| *index);
            let all = split.chain(route.fallback_upstream());
            all.map(|index| registry.route(&route.name, &snapshot.upstreams[index].name)).collect()
        }
        Action::Redirect(..) | Action::Respond(_) | Action::Files(_) => {
            vec![registry.route(&route.name, "")]
        }
    });
    counters.collect()
}
