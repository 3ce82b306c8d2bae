//! What the metrics show of a configuration, beside what workers count.

use crate::{snapshot::live::Live, upstream::endpoint::Upstream};

/// Shows loads, limits and health of the current configuration, for as long as it has them.
pub(super) fn show(live: &Live) {
    let registry = &live.registry;
    registry.watch_limits(&live.snapshot().limit_store);
    let shared = live.snapshot().shared_store.as_ref().map(|store| store.servers().clone());
    registry.watch_redis(shared.as_ref());
    for route in live.snapshot().routes.iter() {
        if let Some(bulkhead) = &route.bulkhead {
            registry.watch_bulkhead(&route.name, bulkhead.gate());
        }
    }
    live.snapshot().upstreams.iter().for_each(|upstream| show_upstream(live, upstream));
}

/// Shows those of an upstream.
pub(super) fn show_upstream(live: &Live, upstream: &Upstream) {
    let registry = &live.registry;
    registry.watch_gate(&upstream.name, "requests", &upstream.gates.requests);
    registry.watch_gate(&upstream.name, "connections", &upstream.gates.connections);
    registry.watch_adaptive(&upstream.name, &upstream.gates.adaptive);
    registry.watch_roster(&upstream.name, &upstream.roster);
    for endpoint in &upstream.endpoints {
        registry.watch_load(&upstream.name, &endpoint.name, &endpoint.load);
    }
}

/// Lets what was measured long ago weigh less.
pub(super) fn age(live: &Live) {
    live.registry.fade_limits();
    for upstream in &live.snapshot().upstreams {
        for endpoint in &upstream.endpoints {
            endpoint.load.latency().age();
        }
    }
}
