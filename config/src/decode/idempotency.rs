//! `idempotency` and `routes[].idempotency`.

use http::{HeaderName, Method};

use super::{Complaint, Decoder, condition, header, key};
use crate::{
    defaults::SCOPE,
    fields::Fields,
    model::{
        IdempotencyStore, KeyPart, RecordStore, RouteIdempotency, StatusClasses, Unkept,
        UnknownOutcome,
    },
    yaml::{Node, Value, shorten},
};

/// Most entries of a list.
const ENTRIES: usize = 32;
/// Most parts of a scope.
const PARTS: usize = 8;

/// The store that all routes share.
pub(super) fn store(d: &mut Decoder<'_>, file: &Fields<'_>) -> IdempotencyStore {
    let fields = file.section(d, "idempotency", "idempotency");
    let store = IdempotencyStore { memory: fields.size(d, "memory") };
    fields.finish();
    store
}

/// What a route does with keyed requests; `None` is nothing.
pub(super) fn route(d: &mut Decoder<'_>, route: &Fields<'_>) -> Option<RouteIdempotency> {
    let fields = route.policy(d, "idempotency", "routes[].idempotency")?;
    let name = fields.parsed(d, "header", end_to_end);
    let read = RouteIdempotency {
        header: name.unwrap_or(HeaderName::from_static("idempotency-key")),
        methods: methods(d, &fields),
        required: fields.flag(d, "required"),
        ttl: fields.duration(d, "ttl"),
        lease: fields.duration(d, "lease"),
        store: kept(d, &fields),
        scope: scope(d, &fields),
        max_body: fields.size32(d, "max_body"),
        large_body: unkept(fields.choice(d, "large_body")),
        max_response: fields.size32(d, "max_response"),
        statuses: statuses(d, &fields),
        wait: fields.duration_if_any(d, "wait").unwrap_or_default(),
        unknown: match fields.choice(d, "unknown") {
            "redrive" => UnknownOutcome::Redrive,
            _ => UnknownOutcome::Conflict,
        },
        on_store_failure: unkept(fields.choice(d, "on_store_failure")),
        fingerprint: names(d, &fields, "fingerprint", end_to_end),
    };
    fields.finish();
    if let Some(entry) = fields.entry("ttl").filter(|_| read.ttl < read.lease) {
        let what = "`ttl` is below `lease`: an outcome would be forgotten while it is waited for";
        d.report.error(entry.value.span, what).hint =
            Some("raise `ttl`, or lower `lease`".to_owned());
    }
    Some(read)
}

/// Where records are kept.
fn kept(d: &mut Decoder<'_>, fields: &Fields<'_>) -> RecordStore {
    if fields.choice(d, "store") != "redis" {
        return RecordStore::Memory;
    }
    if let Some(node) = fields.node("store").filter(|_| !d.shares) {
        let what = "`store: redis` needs servers, and the file names none";
        d.report.error(node.span, what).hint = Some(
            "write `redis: { url: \"redis://127.0.0.1:6379\" }` at the top of the file".to_owned(),
        );
    }
    RecordStore::Redis
}

fn unkept(word: &str) -> Unkept {
    match word {
        "pass" => Unkept::Pass,
        _ => Unkept::Refuse,
    }
}

fn methods(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Method> {
    let written = fields.at(d, "methods", |d, node| {
        if node.is_empty_list() {
            d.report.error(node.span, "`methods` is empty: no key would mean anything").hint =
                Some("write `idempotency: off` for that".to_owned());
        }
        d.each(node, ENTRIES, |d, node| {
            let method = d.parsed(node, "an HTTP method", condition::method)?;
            if method == Method::CONNECT {
                d.report.error(node.span, "what a tunnel carries has no outcome to store");
            }
            Some(method)
        })
    });
    let default = || fields.default_text("methods").split(", ").flat_map(condition::method);
    written.filter(|methods| !methods.is_empty()).unwrap_or_else(|| default().collect())
}

/// The parts of a scope; none for the word `none`.
fn scope(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<KeyPart> {
    let read = |d: &mut Decoder<'_>, node: &Node| {
        if matches!(&node.value, Value::Text(text) if text == "none") {
            return Vec::new();
        }
        if node.is_empty_list() {
            let what = "`scope` is empty: a key would mean the same whoever sends it";
            d.report.error(node.span, what).hint =
                Some("write `scope: none` if that is meant".to_owned());
        }
        let parts = d.each(node, PARTS, |d, node| d.parsed(node, SCOPE, scope_part));
        let forged = parts.iter().find(|part| is_forgeable(part));
        if let Some(part) = forged {
            let what = format!("clients can write what they like into `{part}`");
            d.report.warn(node.span, what).hint =
                Some("`client_ip` is the address that proxies of ours saw".to_owned());
        }
        parts
    };
    let default = || scope_part(fields.default_text("scope")).into_iter().collect();
    fields.at(d, "scope", read).unwrap_or_else(default)
}

fn is_forgeable(part: &KeyPart) -> bool {
    let KeyPart::Header(name) = part else { return false };
    ["x-forwarded-for", "x-real-ip", "forwarded"].contains(&name.as_str())
}

fn scope_part(text: &str) -> Result<KeyPart, Complaint> {
    // What else a key may be made of is of no use here.
    let part = key::part(text).map_err(|complaint| match text.contains(':') {
        true => complaint,
        false => Complaint::new(format!("expected {SCOPE}, found `{}`", shorten(text))),
    })?;
    match part {
        KeyPart::Query(_) | KeyPart::Path | KeyPart::Route | KeyPart::Lua(_) => {
            let what = format!("expected {SCOPE}, found `{}`", shorten(text));
            Err(Complaint::new(what).hint("a scope says who sends a request, not what it is"))
        }
        part => Ok(part),
    }
}

fn statuses(d: &mut Decoder<'_>, fields: &Fields<'_>) -> StatusClasses {
    let written = fields.choices(d, "statuses");
    let classes = written.unwrap_or_else(|| vec!["2xx", "3xx", "4xx"]);
    StatusClasses {
        success: classes.contains(&"2xx"),
        redirect: classes.contains(&"3xx"),
        client_error: classes.contains(&"4xx"),
        server_error: classes.contains(&"5xx"),
    }
}

fn names(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    key: &str,
    parse: fn(&str) -> Result<HeaderName, Complaint>,
) -> Vec<HeaderName> {
    let written = fields
        .at(d, key, |d, node| d.each(node, ENTRIES, |d, n| d.parsed(n, "a header name", parse)));
    let default = || Some(fields.default_text(key)).filter(|text| !text.is_empty());
    written.unwrap_or_else(|| default().into_iter().flat_map(parse).collect())
}

/// A header that goes further than one hop.
fn end_to_end(text: &str) -> Result<HeaderName, Complaint> {
    let name = header::name(text)?;
    if header::is_hop_by_hop(&name) {
        let what = format!("`{name}` belongs to the connection, and says nothing of the request");
        return Err(Complaint::new(what));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use crate::{
        Diagnostics, load_str,
        model::{Config, KeyPart, RecordStore, RouteIdempotency, Unkept, UnknownOutcome},
    };

    fn load(route: &str) -> Result<Config, Diagnostics> {
        let file = format!(
            "listeners: [\":80\"]\nupstreams: {{ api: {{ endpoints: [\"127.0.0.1:1\"] }} }}\n\
             routes: [{{ to: api, {route} }}]\n"
        );
        load_str("weir.yaml", &file, &|_| None).map(|loaded| loaded.config)
    }

    fn read(route: &str) -> Option<RouteIdempotency> {
        let mut config = load(route).unwrap_or_else(|wrong| panic!("{wrong}"));
        config.routes.remove(0).idempotency
    }

    fn refused(route: &str) -> String {
        load(route).unwrap_err().render()
    }

    #[test]
    fn short_forms_mean_what_they_say() {
        assert_eq!(read("idempotency: off"), None);
        let all = read("idempotency: true").unwrap();
        assert_eq!(all.methods, [Method::POST, Method::PATCH]);
        assert_eq!(all.scope, [KeyPart::Header(http::header::AUTHORIZATION)]);
        assert_eq!((all.max_body, all.max_response), (1 << 20, 256 << 10));
        assert_eq!((all.ttl.as_secs(), all.lease.as_secs()), (86_400, 30));
        assert_eq!((all.wait, all.required), (Duration::ZERO, false));
        assert_eq!((all.store, all.unknown), (RecordStore::Memory, UnknownOutcome::Conflict));
        assert_eq!((all.large_body, all.on_store_failure), (Unkept::Refuse, Unkept::Refuse));
        assert_eq!(all.fingerprint, [http::header::CONTENT_TYPE]);
        assert!(all.statuses.contains(201) && all.statuses.contains(404));
        assert!(!all.statuses.contains(500) && !all.statuses.contains(101));
        assert_eq!(read("idempotency: {}").unwrap(), all);
    }

    #[test]
    fn every_word_is_read() {
        let all = read(
            "idempotency: { header: X-Request-Key, methods: [PUT], required: true, ttl: 1h, \
             lease: 5s, scope: [client_ip, \"cookie:sid\"], max_body: 2MiB, large_body: pass, \
             max_response: 1KiB, statuses: [2xx, 5xx], wait: 3s, unknown: redrive, \
             on_store_failure: pass, fingerprint: [] }",
        )
        .unwrap();
        assert_eq!((all.header.as_str(), all.required), ("x-request-key", true));
        assert_eq!(all.scope, [KeyPart::ClientIp, KeyPart::Cookie("sid".into())]);
        assert_eq!((all.large_body, all.on_store_failure), (Unkept::Pass, Unkept::Pass));
        assert_eq!((all.unknown, all.wait.as_secs()), (UnknownOutcome::Redrive, 3));
        assert!(all.fingerprint.is_empty() && all.statuses.contains(503));
        assert!(!all.statuses.contains(404));
        assert_eq!(read("idempotency: { scope: none }").unwrap().scope, []);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let of = |keys: &str| refused(&format!("idempotency: {{ {keys} }}"));
        assert!(of("scope: []").contains("`scope: none`"));
        assert!(of("scope: path").contains("who sends a request"));
        assert!(!of("scope: authorization").contains("query:N"));
        assert!(of("scope: [none, client_ip]").contains("expected"));
        assert!(of("methods: []").contains("idempotency: off"));
        assert!(of("methods: [CONNECT]").contains("tunnel"));
        assert!(of("ttl: 2s, lease: 3s").contains("below `lease`"));
        assert!(of("store: redis").contains("needs servers"));
        assert!(of("header: connection").contains("belongs to the connection"));
    }

    #[test]
    fn bodies_that_there_is_no_room_for_are_told_of() {
        let warned = |memory: &str, route: &str| {
            let file = format!(
                "listeners: [\":80\"]\nupstreams: {{ api: {{ endpoints: [\"127.0.0.1:1\"] }} }}\n\
                 idempotency: {{ memory: {memory} }}\n\
                 routes: [{{ name: pay, to: api, idempotency: {{ {route} }} }}]\n"
            );
            let loaded = load_str("weir.yaml", &file, &|_| None).unwrap();
            loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(warned("1MiB", "max_body: 1MiB"), "");
        let said = warned("1MiB", "max_body: 2MiB, max_response: 3MiB");
        for key in ["max_body", "max_response"] {
            assert!(said.contains(&format!("`idempotency.{key}` of `pay`")), "{said}");
        }
        assert!(said.contains("raise `idempotency.memory`"), "{said}");
    }
}
