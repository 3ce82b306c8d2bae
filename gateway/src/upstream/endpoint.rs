//! What all workers share of an upstream and its endpoints. Survives reloads: a new configuration
//! changes policy, never counts, latencies or connections.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use weir_config::model::{self, Address, UpstreamProtocol};
use weir_discovery::view::View;

use super::{
    adaptive::AdaptiveLimit,
    breaker::Breaker,
    connect::Connector,
    limit::Gate,
    load::{EndpointLoad, Outcome},
    pick::hash::KeyTable,
    roster::Roster,
    trail::RecentFailures,
};
use crate::clock::Tick;

/// One address of an upstream.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// The address as it is logged.
    pub name: Arc<str>,
    /// The address as a Host, for clients that sent none.
    pub host: HeaderValue,
    /// Requests in flight, latency, failures.
    pub load: Arc<EndpointLoad>,
    /// Gives it up for a while by the share of its requests that fail.
    pub breaker: Breaker,
}

impl Upstream {
    /// Takes over the bounds and the ways of this configuration, and its endpoints. To be called
    /// when it takes effect: until then the running one's hold.
    pub fn adjust(&self, now: Tick) {
        self.gates.adjust(&self.config);
        self.roster.adjust(&self.config, &self.endpoints, now);
        for endpoint in &self.endpoints {
            if let Some(change) = endpoint.breaker.adjust(self.config.breaker, now) {
                change.log(&self.name, &endpoint.name);
            }
        }
    }
}

impl Endpoint {
    /// An endpoint never used.
    pub fn new(address: Address, now: Tick) -> Self {
        Self {
            name: address.to_string().into(),
            host: host(&address),
            address,
            load: Arc::new(EndpointLoad::new(now)),
            breaker: Breaker::new(),
        }
    }
}

fn host(address: &Address) -> HeaderValue {
    let text = match address {
        Address::Tcp(address) => address.to_string(),
        Address::Name(host, port) => format!("{host}:{port}"),
        Address::Unix(_) => String::from("localhost"),
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("localhost"))
}

/// Bounds of an upstream that outlive a reload.
#[derive(Debug, Clone)]
pub struct Gates {
    /// One permit for each request under way.
    pub requests: Arc<Gate>,
    /// One permit for each open connection.
    pub connections: Arc<Gate>,
    /// What may bound requests that wait for their answers further.
    pub adaptive: Arc<AdaptiveLimit>,
}

impl Gates {
    /// Gates with the bounds of `upstream`.
    pub fn new(upstream: &model::Upstream) -> Self {
        let (requests, queue) = request_bounds(upstream);
        let connections = upstream.limits.connections;
        Self {
            requests: Arc::new(Gate::new(requests, queue)),
            connections: Arc::new(Gate::new(connections, queue)),
            adaptive: Arc::default(),
        }
    }

    /// Takes over the bounds of `upstream`.
    pub fn adjust(&self, upstream: &model::Upstream) {
        let (requests, queue) = request_bounds(upstream);
        self.requests.set_max(requests, queue);
        self.connections.set_max(upstream.limits.connections, queue);
        self.adaptive.adjust(upstream.limits.adaptive, requests, &self.requests);
    }

    /// What an attempt says of the upstream: the time to its response's head, or its failure.
    pub fn record(&self, took: Duration, outcome: Outcome, now: Tick) {
        self.adaptive.record(&self.requests, took, outcome, now);
    }
}

/// Over HTTP/1.1 a request takes a connection for itself, so that waiting for the one or the other
/// is the same queue.
fn request_bounds(upstream: &model::Upstream) -> (u32, u32) {
    let limits = &upstream.limits;
    let requests = match upstream.protocol {
        UpstreamProtocol::H1 => limits.requests.min(limits.connections),
        UpstreamProtocol::H2 | UpstreamProtocol::H3 | UpstreamProtocol::Auto => limits.requests,
    };
    (requests, limits.queue)
}

/// An upstream as one configuration describes it.
#[derive(Debug)]
pub struct Upstream {
    /// The validated configuration, with the endpoints that were found.
    pub config: model::Upstream,
    /// What they were found in; `None` where the file names them.
    pub view: Option<Arc<View>>,
    /// Its name, shared with log and metrics.
    pub name: Arc<str>,
    /// Endpoints, in file order.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Who gets which key, where a key decides.
    pub keys: Option<Arc<KeyTable>>,
    /// Bounds over all workers.
    pub gates: Gates,
    /// Which endpoints are in use.
    pub roster: Arc<Roster>,
    /// Requests that failed of late.
    pub failures: Arc<RecentFailures>,
    /// How connections are opened.
    pub connector: Arc<Connector>,
}
