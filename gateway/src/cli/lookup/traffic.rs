//! What becomes of a request beside being forwarded.

use http::request::Parts;
use weir_config::units::{show_duration, show_percent, show_size};

use super::Lookup;
use crate::{
    limit::key::Subject,
    policy::Fault,
    route::Origin,
    script::{Values, Vms},
};

impl Lookup<'_> {
    /// Who is turned away before anything else.
    pub(super) fn gate(&mut self, index: usize) {
        let traffic = &self.loaded.config.routes[index].traffic;
        if let Some(closed) = &traffic.maintenance {
            let mut text = closed.status.as_u16().to_string();
            if let Some(time) = closed.retry_after {
                text += &format!(", again in {}", show_duration(time));
            }
            if !closed.allow.is_empty() {
                let allow: Vec<_> = closed.allow.iter().map(ToString::to_string).collect();
                text += &format!(", but for {}", allow.join(", "));
            }
            self.line("maintenance", &text);
        }
        if let Some(bytes) = traffic.max_body {
            self.line("body", &format!("at most {}", show_size(bytes)));
        }
    }

    /// Which upstream it stays with, what goes wrong on purpose, who gets a copy.
    pub(super) fn traffic(&mut self, index: usize, head: &Parts, origin: &Origin<'_>) {
        let snapshot = self.snapshot;
        let (config, route) = (&self.loaded.config, &snapshot.routes[index]);
        let Some(policies) = &route.policies else { return };
        if let Some(sticky) = &policies.sticky {
            let vms = Vms::new(&snapshot.scripts, None);
            let values = Values::new(&snapshot.scripts, &vms, &head.method, None);
            let subject = Subject {
                client: self.client,
                headers: &head.headers,
                path: origin.path,
                query: origin.query,
                route: &route.name,
                identity: None,
                lua: values.as_ref().map(|values| values as _),
            };
            let choice = sticky.choose(&subject, false, &mut fastrand::Rng::with_seed(0));
            let by = sticky.describe();
            let text = match (choice.upstream, choice.cookie) {
                (_, Some(_)) => format!("any, which a new {by} then keeps"),
                (Some(upstream), None) => format!("`{}`, by {by}", config.upstreams[upstream].name),
                (None, None) => format!("any, for the request has no {by}"),
            };
            self.line("stays with", &text);
        }
        let traffic = &config.routes[index].traffic;
        for fault in Fault::describe(&traffic.fault) {
            self.line("fault", &fault);
        }
        if let Some(mirror) = &traffic.mirror {
            let name = &config.upstreams[mirror.to].name;
            let (sample, most) = (show_percent(mirror.sample), show_size(mirror.max_body.into()));
            self.line("mirror", &format!("{sample} to `{name}`, bodies up to {most}"));
        }
    }
}
