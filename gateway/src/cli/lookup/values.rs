//! What expressions in Lua make of a request.

use http::request::Parts;
use weir_config::model::{KeyPart, LuaValue};

use super::Lookup;
use crate::{
    limit::key::{Compute as _, Subject},
    route::Origin,
    script::{Values, Vms},
};

impl Lookup<'_> {
    /// Keys in Lua of limits and of the cache.
    pub(super) fn values(&mut self, index: usize, head: &Parts, origin: &Origin<'_>) {
        let snapshot = self.snapshot;
        let route = &self.loaded.config.routes[index];
        let vms = Vms::new(&snapshot.scripts, None);
        let Some(values) = Values::new(&snapshot.scripts, &vms, &head.method, None) else { return };
        let subject = Subject {
            client: self.client,
            headers: &head.headers,
            path: origin.path,
            query: origin.query,
            route: &route.name,
            identity: None,
            lua: Some(&values),
        };
        let limits = route.rate_limits.iter().map(|limit| ("limit by", &limit.key));
        let places = route.concurrency.iter().map(|places| ("places by", &places.key));
        let parts = limits.chain(places).flat_map(|(label, key)| {
            key.iter().filter_map(move |part| match part {
                KeyPart::Lua(value) => Some((label, value)),
                _ => None,
            })
        });
        let cached = route.cache.iter().flat_map(|cache| &cache.key.lua);
        let all: Vec<(&str, &LuaValue)> =
            parts.chain(cached.map(|value| ("cached by", value))).collect();
        for (label, value) in all {
            let made = match values.compute(&value.text, &subject) {
                Some(made) => format!("`{}`", String::from_utf8_lossy(&made).escape_debug()),
                None if values.has_failed() => "nothing, for it fails".to_owned(),
                None => "nothing".to_owned(),
            };
            self.line(label, &format!("lua:{}, which makes {made}", value.text.trim()));
        }
    }
}
