//! An upstream put together, of what the file says and what was found, and replaced in a running
//! snapshot when that has changed.

use std::{collections::HashMap, sync::Arc};

use weir_config::model::{self, Address, UpstreamProtocol};
use weir_discovery::view::View;

use super::Snapshot;
use crate::{
    clock::Tick,
    discover::{Found, found::filled},
    upstream::{
        connect::Connector,
        endpoint::{Endpoint, Gates, Upstream},
        pick::hash::KeyTable,
        roster::Roster,
    },
};

/// An upstream of this configuration, which has its endpoints. What `before` knows of those that
/// stay goes on, and so do its bounds.
///
/// # Errors
/// Why keys cannot be shared out among these endpoints.
pub(super) fn assemble(
    mut config: model::Upstream,
    view: Option<Arc<View>>,
    connector: Arc<Connector>,
    before: Option<&Upstream>,
    now: Tick,
) -> Result<Upstream, String> {
    if config.discovery.is_some() {
        leave_out(&mut config, &connector);
    }
    let known: HashMap<&Address, &Arc<Endpoint>> = before
        .iter()
        .flat_map(|before| &before.endpoints)
        .map(|endpoint| (&endpoint.address, endpoint))
        .collect();
    let endpoints = config.endpoints.iter().map(|endpoint| {
        let same = known.get(&endpoint.address).map(|same| (*same).clone());
        same.unwrap_or_else(|| Arc::new(Endpoint::new(endpoint.address.clone(), now)))
    });
    let endpoints = endpoints.collect();
    let keys = KeyTable::build(&config, before.and_then(|before| before.keys.as_ref()))?;
    let gates = before.map_or_else(|| Gates::new(&config), |before| before.gates.clone());
    let name: Arc<str> = config.name.as_str().into();
    let roster = before.map(|before| before.roster.clone());
    let roster = roster.unwrap_or_else(|| Arc::new(Roster::new(name.clone())));
    let failures = before.map(|before| before.failures.clone()).unwrap_or_default();
    Ok(Upstream { config, view, name, endpoints, keys, gates, roster, failures, connector })
}

/// Forgets those that were found and cannot be connected to.
fn leave_out(config: &mut model::Upstream, connector: &Connector) {
    let model::Upstream { name, endpoints, protocol, .. } = config;
    endpoints.retain(|endpoint| {
        let named = connector.tls.as_ref().map(|tls| tls.name_for(&endpoint.address));
        let udp = *protocol != UpstreamProtocol::H3;
        let what = match named {
            Some(Err(error)) => error.to_string(),
            _ if !udp && matches!(endpoint.address, Address::Unix(_)) => {
                "it takes no UDP, over which HTTP/3 runs".to_owned()
            }
            _ => return true,
        };
        let address = &endpoint.address;
        tracing::warn!(upstream = name.as_str(), %address, error = what, "endpoint left out");
        false
    });
}

impl Snapshot {
    /// This configuration with the endpoints that were found since, and the indices of the
    /// upstreams that have others; `None` when there is none. All else is shared with this one.
    pub fn refilled(&self, found: &Found, now: Tick) -> Option<(Self, Vec<usize>)> {
        let mut upstreams = self.upstreams.clone();
        let mut changed = Vec::new();
        for (index, (written, running)) in
            self.config.upstreams.iter().zip(&mut upstreams).enumerate()
        {
            let Some(view) = found.view(&self.config, written) else { continue };
            if running.view.as_ref().is_some_and(|before| Arc::ptr_eq(before, &view)) {
                continue;
            }
            let config = filled(written, Some(&view));
            let connector = running.connector.clone();
            match assemble(config, Some(view), connector, Some(&**running), now) {
                Ok(next) => {
                    *running = Arc::new(next);
                    changed.push(index);
                }
                Err(error) => {
                    let upstream = &*running.name;
                    tracing::error!(upstream, error, "endpoints that were found are not used");
                }
            }
        }
        let version = self.version + 1;
        (!changed.is_empty()).then(|| (Self { version, upstreams, ..self.clone() }, changed))
    }
}

#[cfg(test)]
mod tests;
