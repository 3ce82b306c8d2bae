//! One worker's pools for the endpoints of one upstream, and how it picks among them.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use super::{EndpointPool, Pooled};
use crate::{
    clock::Tick,
    quic::Dialer,
    telemetry::registry::Registry,
    upstream::{endpoint::Upstream, pick::Picker, roster::Mode},
};

/// One worker's view of one upstream.
#[derive(Debug)]
pub(crate) struct UpstreamPool {
    /// What all workers share.
    pub(crate) shared: Arc<Upstream>,
    /// In the order of the configuration.
    pub(crate) endpoints: Vec<Pooled>,
    picker: RefCell<Picker>,
}

impl UpstreamPool {
    /// Builds the view, keeping the pools of `previous` where the endpoint and the way to it are
    /// the same.
    pub(crate) fn new(
        shared: Arc<Upstream>,
        previous: Option<&Self>,
        registry: &Registry,
        dialer: &Rc<Dialer>,
        rng: &mut fastrand::Rng,
    ) -> Self {
        let weights: Vec<u32> =
            shared.config.endpoints.iter().map(|endpoint| endpoint.weight).collect();
        let kept = previous.filter(|old| Arc::ptr_eq(&old.shared.connector, &shared.connector));
        let endpoints = shared
            .endpoints
            .iter()
            .map(|endpoint| {
                let same = kept.and_then(|old| {
                    old.endpoints.iter().find(|pool| Arc::ptr_eq(&pool.0.shared, endpoint))
                });
                same.cloned().unwrap_or_else(|| {
                    let (endpoint, dialer) = (endpoint.clone(), dialer.clone());
                    Pooled(Rc::new(EndpointPool::new(endpoint, &shared, registry, dialer, rng)))
                })
            })
            .collect();
        let picker = Picker::new(shared.config.balance, &weights, rng);
        Self { shared, endpoints, picker: RefCell::new(picker) }
    }

    /// Chooses an endpoint that is not excluded, among those in use as long as there are any.
    pub(crate) fn pick(
        &self,
        excluded: impl Fn(usize) -> bool,
        now: Tick,
        rng: &mut fastrand::Rng,
    ) -> Option<usize> {
        let mut picker = self.picker.borrow_mut();
        match self.shared.roster.mode() {
            Mode::Whole | Mode::Panic => picker.pick(&self.endpoints, excluded, now, rng),
            Mode::Shares => picker.pick_in_use(&self.endpoints, excluded, now, rng),
        }
    }

    /// Sweeps all pools.
    pub(crate) fn sweep(&self, now: Tick) {
        for pool in &self.endpoints {
            pool.0.sweep(now);
        }
    }

    /// Closes the pools that `next` does not go on using.
    pub(crate) fn retire(&self, next: Option<&Self>) {
        for pool in &self.endpoints {
            let kept = next.is_some_and(|next| {
                next.endpoints.iter().any(|other| Rc::ptr_eq(&other.0, &pool.0))
            });
            if !kept {
                pool.0.close();
            }
        }
    }
}
