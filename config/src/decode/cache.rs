//! `cache` and `routes[].cache`.

use std::time::Duration;

use super::Decoder;
use crate::{
    fields::Fields,
    model::{CacheStore, RouteCache},
    units::show_size,
};

/// The store; `None` is off.
pub(super) fn store(d: &mut Decoder<'_>, file: &Fields<'_>) -> Option<CacheStore> {
    let fields = file.policy(d, "cache", "cache")?;
    let store = CacheStore { memory: fields.size(d, "memory") };
    fields.finish();
    Some(store)
}

/// What a route keeps; `None` is nothing.
pub(super) fn route(
    d: &mut Decoder<'_>,
    route: &Fields<'_>,
    store: Option<CacheStore>,
) -> Option<RouteCache> {
    let fields = route.policy(d, "cache", "routes[].cache")?;
    let mut cache = RouteCache {
        ttl: fields.duration_if_any(d, "ttl"),
        heuristics: fields.flag(d, "heuristics"),
        stale_while_revalidate: window(d, &fields, "stale_while_revalidate"),
        stale_if_error: window(d, &fields, "stale_if_error"),
        max_object: fields.size(d, "max_object"),
        variants: fields.count(d, "variants"),
        lock_timeout: fields.duration(d, "lock_timeout"),
        client_directives: fields.flag(d, "client_directives"),
    };
    fields.finish();
    let Some(store) = store else {
        if let Some(entry) = route.entry("cache") {
            let what = "there is nowhere to keep responses: the file has `cache: off`";
            d.report.error(entry.key.span, what).hint =
                Some("give `cache` some memory, or turn it off here too".to_owned());
        }
        return None;
    };
    let most = store.object_max();
    if cache.max_object > most {
        if let Some(node) = fields.node("max_object") {
            let most = show_size(most);
            let what = format!("`max_object` is above {most}, which `cache.memory` has room for");
            d.report.error(node.span, what).hint =
                Some("lower it, or raise `cache.memory`".to_owned());
        }
        // Where it is not written, its default gives way.
        cache.max_object = most;
    }
    Some(cache)
}

fn window(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str) -> Duration {
    fields.duration_if_any(d, name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{Diagnostics, Loaded, load_str, model::RouteCache};

    fn load(top: &str, route: &str) -> Result<Loaded, Diagnostics> {
        let file = format!(
            "listeners: [\":80\"]\n{top}\n\
             upstreams: {{ api: {{ endpoints: [\"127.0.0.1:1\"] }} }}\n\
             routes: [{{ {route} }}]\n"
        );
        load_str("weir.yaml", &file, &|_| None)
    }

    fn cache(top: &str, route: &str) -> Option<RouteCache> {
        load(top, route).unwrap_or_else(|wrong| panic!("{wrong}")).config.routes[0].cache
    }

    fn refused(top: &str, route: &str) -> String {
        load(top, route).unwrap_err().render()
    }

    #[test]
    fn short_forms_mean_what_they_say() {
        for off in ["to: api", "to: api, cache: off", "to: api, cache: false"] {
            assert_eq!(cache("", off), None, "{off}");
        }
        let all = cache("", "to: api, cache: true").unwrap();
        assert_eq!((all.ttl, all.max_object, all.variants), (None, 1 << 20, 16));
        assert_eq!(all.stale_if_error, Duration::ZERO);
        assert!(all.client_directives && !all.heuristics);
        let short = cache("", "to: api, cache: 60s").unwrap();
        assert_eq!(short, RouteCache { ttl: Some(Duration::from_secs(60)), ..all });
        let long = "to: api, cache: { ttl: 60s, stale_while_revalidate: 5m, stale_if_error: 1h }";
        let long = cache("", long).unwrap();
        assert_eq!(long.stale_while_revalidate, Duration::from_secs(300));
        assert_eq!(long.stale_if_error, Duration::from_secs(3_600));
    }

    #[test]
    fn the_store_bounds_what_routes_keep() {
        let small = cache("cache: { memory: 1MiB }", "to: api, cache: on").unwrap();
        assert_eq!(small.max_object, 512 << 10);
        let large = "to: api, cache: { max_object: 9MiB }";
        assert!(refused("", large).contains("above 8MiB"));
        assert!(cache("cache: 1GiB", large).is_some());
        assert!(refused("cache: off", "to: api, cache: 5s").contains("nowhere to keep"));
        let config = load("cache: off", "to: api, cache: off").unwrap().config;
        assert_eq!(config.cache, None);
    }

    #[test]
    fn what_forwards_nothing_keeps_nothing() {
        assert!(refused("", "respond: 200, cache: 5s").contains("`cache` has no effect"));
        assert_eq!(cache("", "respond: 200, cache: off"), None);
    }
}
