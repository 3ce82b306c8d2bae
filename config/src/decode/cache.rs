//! `cache` and `routes[].cache`.

use std::time::Duration;

use super::{Complaint, Decoder, header, key};
use crate::{
    defaults::PARAMETER,
    fields::Fields,
    model::{CacheKey, CacheStore, LuaValue, ParameterName, Parameters, QueryKey, RouteCache},
    units::show_size,
};

/// Most names in one list of a key.
const NAMES: usize = 64;

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
        set_cookie: fields.flag(d, "set_cookie"),
        key: parts(d, &fields),
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

/// What tells responses apart beside the URL.
fn parts(d: &mut Decoder<'_>, fields: &Fields<'_>) -> CacheKey {
    let fields = fields.section(d, "key", "routes[].cache.key");
    let query = query(d, &fields);
    let headers = names(d, &fields, "headers", "a header name", |text| {
        let name = header::name(text)?;
        if header::is_hop_by_hop(&name) {
            let what = format!("`{name}` belongs to the connection: it is not sent upstream");
            return Err(Complaint::new(what).hint("leave it out"));
        }
        if name == http::header::COOKIE {
            let what = "nearly every client has a `cookie` field of its own";
            return Err(Complaint::new(what).hint("`cookies: [name]` takes single ones"));
        }
        Ok(name)
    });
    let cookies = names(d, &fields, "cookies", "the name of a cookie", key::cookie);
    let lua = fields.at(d, "lua", |d, node| {
        d.each(node, NAMES, |d, node| {
            let value = d.parsed(node, "an expression in Lua", key::expression)?;
            Some(LuaValue { at: node.span.at(), ..value })
        })
    });
    fields.finish();
    CacheKey {
        query,
        headers: headers.unwrap_or_default(),
        cookies: cookies.unwrap_or_default(),
        lua: lua.unwrap_or_default(),
    }
}

/// What is kept of queries.
fn query(d: &mut Decoder<'_>, fields: &Fields<'_>) -> QueryKey {
    let fields = fields.section(d, "query", "routes[].cache.key.query");
    let keep = names(d, &fields, "keep", PARAMETER, parameter);
    let drop = names(d, &fields, "drop", PARAMETER, parameter);
    let sort = fields.flag(d, "sort");
    fields.finish();
    if let (Some(_), Some(_), Some(node)) = (&keep, &drop, fields.node("drop")) {
        d.report.error(node.span, "`keep` and `drop` both say what becomes of a parameter").hint =
            Some("`keep` alone drops all others".to_owned());
    }
    let parameters = match (keep, drop) {
        (Some(names), _) => Parameters::Only(names),
        (None, Some(names)) => Parameters::Without(names),
        (None, None) => Parameters::All,
    };
    QueryKey { parameters, sort }
}

/// The names in a list, if it is written; each once.
fn names<T: PartialEq>(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    name: &str,
    expects: &str,
    parse: impl Fn(&str) -> Result<T, Complaint>,
) -> Option<Vec<T>> {
    fields.at(d, name, |d, node| {
        let mut found: Vec<T> = Vec::new();
        d.each(node, NAMES, |d, node| {
            let one = d.parsed(node, expects, &parse)?;
            if found.contains(&one) {
                d.report.error(node.span, format!("it stands in `{name}` twice"));
            }
            found.push(one);
            Some(())
        });
        found
    })
}

/// The name of a parameter, or its beginning and a `*`.
fn parameter(text: &str) -> Result<ParameterName, Complaint> {
    let (start, is_prefix) = match text.strip_suffix('*') {
        Some(start) => (start, true),
        None => (text, false),
    };
    if let Some(offset) = start.find('*') {
        let complaint = Complaint::new("a `*` stands at the end of a name").part(offset, 1);
        return Err(complaint.hint("`utm_*` is every name that begins with `utm_`"));
    }
    key::query(start).map(|text| ParameterName { text, is_prefix })
}

fn window(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str) -> Duration {
    fields.duration_if_any(d, name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        Diagnostics, Loaded, load_str,
        model::{CacheKey, Parameters, RouteCache},
    };

    fn load(top: &str, route: &str) -> Result<Loaded, Diagnostics> {
        let file = format!(
            "listeners: [\":80\"]\n{top}\n\
             upstreams: {{ api: {{ endpoints: [\"127.0.0.1:1\"] }} }}\n\
             routes: [{{ {route} }}]\n"
        );
        load_str("weir.yaml", &file, &|_| None)
    }

    fn cache(top: &str, route: &str) -> Option<RouteCache> {
        load(top, route).unwrap_or_else(|wrong| panic!("{wrong}")).config.routes.remove(0).cache
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
        assert!(all.client_directives && !all.heuristics && !all.set_cookie);
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
    fn keys_have_parts() {
        let key = |key: &str| cache("", &format!("to: api, cache: {{ key: {{ {key} }} }}"));
        let key = |text: &str| key(text).unwrap().key;
        assert_eq!(key(""), CacheKey::default());
        let all = key("query: { drop: [utm_*, fbclid], sort: true }, headers: X-Tenant, \
                       cookies: [currency]");
        let Parameters::Without(names) = &all.query.parameters else { panic!("{all:?}") };
        assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["utm_*", "fbclid"]);
        assert!(names[0].matches(b"utm_source") && !names[0].matches(b"xutm_"));
        assert!(names[1].matches(b"fbclid") && !names[1].matches(b"fbclid2"));
        assert!(all.query.sort);
        assert_eq!(
            (all.headers[0].as_str(), &*all.cookies),
            ("x-tenant", &["currency".into()][..])
        );
        assert_eq!(key("query: { keep: [] }").query.parameters, Parameters::Only(Vec::new()));
        for (wrong, said) in [
            ("query: { keep: [a], drop: [b] }", "`keep` and `drop` both"),
            ("query: { drop: [a*b] }", "a `*` stands at the end"),
            ("query: { drop: [a, a] }", "stands in `drop` twice"),
            ("headers: [connection]", "belongs to the connection"),
            ("headers: [cookie]", "`cookies: [name]`"),
            ("headers: [\"a b\"]", "no header name"),
            ("cookies: [\"a=b\"]", "no name of a cookie"),
            ("body: true", "`body`"),
        ] {
            let all = refused("", &format!("to: api, cache: {{ key: {{ {wrong} }} }}"));
            assert!(all.contains(said), "{wrong}: {all}");
        }
    }

    #[test]
    fn what_forwards_nothing_keeps_nothing() {
        assert!(refused("", "respond: 200, cache: 5s").contains("`cache` has no effect"));
        assert_eq!(cache("", "respond: 200, cache: off"), None);
    }
}
