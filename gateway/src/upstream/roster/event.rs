//! What changes on a roster, as the gateway's own log tells it: one line for each change.

use std::{sync::Arc, time::Duration};

use super::Member;
use crate::upstream::endpoint::Endpoint;

/// See the module's page.
#[derive(Debug)]
pub(super) enum Event {
    Ejected { endpoint: Arc<Endpoint>, reason: Box<str>, length: Duration },
    Returned { endpoint: Arc<Endpoint> },
    Unhealthy { endpoint: Arc<Endpoint>, reason: Box<str> },
    Healthy { endpoint: Arc<Endpoint> },
    Outage { of: usize },
    Panic { begins: bool, available: usize, of: usize },
}

impl Event {
    pub(super) fn ejected(member: &Member, length: Duration) -> Self {
        Self::Ejected { endpoint: member.endpoint.clone(), reason: member.failures(), length }
    }

    pub(super) fn returned(member: &Member) -> Self {
        Self::Returned { endpoint: member.endpoint.clone() }
    }

    /// What the checks have changed.
    pub(super) fn checked(member: &Member) -> Self {
        let endpoint = member.endpoint.clone();
        if member.health.is_healthy() {
            Self::Healthy { endpoint }
        } else {
            Self::Unhealthy { endpoint, reason: member.reason.clone() }
        }
    }

    pub(super) fn log(&self, upstream: &str) {
        match self {
            Self::Ejected { endpoint, reason, length } => {
                let (endpoint, reason, seconds) =
                    (&*endpoint.name, &**reason, length.as_secs_f64());
                tracing::warn!(upstream, endpoint, reason, seconds, "endpoint ejected");
            }
            Self::Returned { endpoint } => {
                tracing::info!(upstream, endpoint = &*endpoint.name, "endpoint back from ejection");
            }
            Self::Unhealthy { endpoint, reason } => {
                let (endpoint, reason) = (&*endpoint.name, &**reason);
                tracing::warn!(upstream, endpoint, reason, "endpoint unhealthy");
            }
            Self::Healthy { endpoint } => {
                tracing::info!(upstream, endpoint = &*endpoint.name, "endpoint healthy again");
            }
            Self::Outage { of } => {
                tracing::warn!(upstream, of, "every endpoint fails: none is left out");
            }
            Self::Panic { begins: true, available, of } => {
                tracing::warn!(upstream, available, of, "too few endpoints are well: all are used");
            }
            Self::Panic { begins: false, available, of } => {
                tracing::info!(upstream, available, of, "enough endpoints are well again");
            }
        }
    }
}
