//! A configuration as a tree again, every default written out: what `explain` prints and `diff`
//! compares.
//!
//! `null` stands for `off`; what is merely absent is left out.

use std::path::Path;

use http::HeaderName;
use serde_json::{Map, Value, json};

use crate::{
    fields::REDACTED,
    model::{
        Action, Admin, AltSvc, Balance, Certificate, ClientTls, Config, HealthCheck, Listener,
        Probe, Protocols, Route, RouteMatch, Secret, ServerTls, StatusRange, Upstream,
        UpstreamProtocol, ValueMatch,
    },
    pattern,
    units::{show_duration, show_percent, show_size},
};

mod action;
mod auth;
mod discovery;
mod header;
mod idempotency;
mod limit;
mod membership;
mod resilience;
mod script;
mod servers;
mod trace;
mod traffic;
mod web;

/// Whether secrets show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// As they are: only to compare them.
    Plain,
    /// As a placeholder.
    Redacted,
}

/// The whole file.
pub(crate) fn tree(config: &Config, secrets: Secrets) -> Value {
    let limits = &config.limits;
    let timeouts = &config.timeouts;
    let upstreams: Map<String, Value> =
        config.upstreams.iter().map(|one| (one.name.clone(), upstream(one))).collect();
    json!({
        "workers": config.workers.map_or_else(|| json!("auto"), |count| json!(count)),
        "admin": config.admin.as_ref().map(|one| admin(one, secrets)),
        "listeners": config.listeners.iter().map(listener).collect::<Vec<_>>(),
        "limits": {
            "connections": limits.connections,
            "headers": {
                "bytes": show_size(limits.header_bytes.into()),
                "count": limits.header_count,
            },
            "body": show_size(limits.body),
            "h2": {
                "streams": limits.h2_streams,
                "stream_window": show_size(limits.h2_stream_window.into()),
                "connection_window": show_size(limits.h2_connection_window.into()),
            },
            "h3": {
                "streams": limits.h3_streams,
                "stream_window": show_size(limits.h3_stream_window.into()),
                "connection_window": show_size(limits.h3_connection_window.into()),
                "half_open": limits.h3_half_open,
            },
            "memory": resilience::memory(limits.memory),
            "lag": limits.lag.map(show_duration),
            "rate_limit_keys": limits.rate_limit_keys,
        },
        "timeouts": {
            "handshake": show_duration(timeouts.handshake),
            "header_read": show_duration(timeouts.header_read),
            "body_idle": show_duration(timeouts.body_idle),
            "keep_alive": show_duration(timeouts.keep_alive),
            "drain": show_duration(timeouts.drain),
        },
        "log": trace::log(config.log),
        "tracing": config.tracing.as_ref().map(|one| trace::tracing(one, secrets)),
        "resolver": discovery::resolver(&config.resolver),
        "redis": config.redis.as_ref().map(|one| servers::redis(one, secrets)),
        "membership": config.membership.as_ref().map(|one| membership::membership(one, secrets)),
        "rate_limits": limit::shared(&config.rate_limits),
        "cache": config.cache.map(|one| json!({ "memory": show_size(one.memory) })),
        "idempotency": { "memory": show_size(config.idempotency.memory) },
        "maintenance": config.maintenance.as_ref().map(traffic::closed),
        "upstreams": upstreams,
        "routes": config.routes.iter().map(|one| route(one, config, secrets)).collect::<Vec<_>>(),
    })
}

fn admin(admin: &Admin, secrets: Secrets) -> Value {
    let token = admin.token.as_ref().map(|token| secret(token, secrets));
    object([("bind", Some(json!(admin.bind.to_string()))), ("token", token)])
}

fn secret(secret: &Secret, secrets: Secrets) -> Value {
    match secrets {
        Secrets::Plain => json!(secret.0),
        Secrets::Redacted => json!(REDACTED),
    }
}

fn listener(listener: &Listener) -> Value {
    let Protocols { h1, h2, h3 } = listener.protocols;
    let offered = [(h1, "h1"), (h2, "h2"), (h3, "h3")];
    let protocols: Vec<_> = offered.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    json!({
        "bind": listener.bind.to_string(),
        "tls": listener.tls.as_ref().map(server_tls),
        "protocols": protocols,
        "early_data": listener.early_data,
        "alt_svc": match listener.alt_svc {
            AltSvc::Auto => json!("auto"),
            AltSvc::Off => Value::Null,
            AltSvc::Port(port) => json!(port),
        },
        "proxy_protocol": listener.proxy_protocol,
        "trusted_hops": listener.trusted_hops,
    })
}

fn server_tls(tls: &ServerTls) -> Value {
    let pair = |one: &Certificate| json!({ "cert": file(&one.cert), "key": file(&one.key) });
    let certificates: Vec<_> = tls.certificates.iter().map(pair).collect();
    object([
        ("certificates", Some(certificates.into())),
        ("client_ca", tls.client_ca.as_deref().map(file)),
    ])
}

fn upstream(upstream: &Upstream) -> Value {
    let endpoints = upstream.endpoints.iter().map(|one| {
        object([
            ("address", Some(json!(one.address.to_string()))),
            ("name", one.name.clone().map(Value::from)),
            ("weight", Some(json!(one.weight))),
            ("zone", one.zone.clone().map(Value::from)),
        ])
    });
    let balance = balance(upstream);
    let protocol = match upstream.protocol {
        UpstreamProtocol::H1 => "h1",
        UpstreamProtocol::H2 => "h2",
        UpstreamProtocol::H3 => "h3",
        UpstreamProtocol::Auto => "auto",
    };
    let limits = &upstream.limits;
    let (source, found) = match &upstream.discovery {
        None => ("endpoints", endpoints.collect()),
        Some(source) => ("discovery", discovery::discovery(source)),
    };
    json!({
        source: found,
        "balance": balance,
        "protocol": protocol,
        "tls": upstream.tls.as_ref().map(client_tls),
        "health": upstream.health.as_ref().map(health),
        "outlier": upstream.outlier.map(|outlier| json!({
            "consecutive_failures": outlier.consecutive_failures,
            "ejection": show_duration(outlier.ejection),
            "max_ejected": show_percent(outlier.max_ejected),
        })),
        "breaker": upstream.breaker.as_ref().map(resilience::breaker),
        "slow_start": upstream.slow_start.map(show_duration),
        "limits": {
            "connections": limits.connections,
            "requests": limits.requests,
            "queue": limits.queue,
            "queue_timeout": show_duration(limits.queue_timeout),
            "adaptive": limits.adaptive.map(resilience::adaptive),
        },
        "connect_timeout": show_duration(upstream.connect_timeout),
    })
}

fn balance(upstream: &Upstream) -> Value {
    let word = upstream.balance.word();
    let Some(hash) = &upstream.hash else { return json!(word) };
    let bound = hash.bounded_load.map_or_else(|| json!("off"), |bound| json!(bound));
    let of = |way: Balance, size: u32| (upstream.balance == way).then(|| json!(size));
    let inner = object([
        ("key", Some(limit::key(&hash.key))),
        ("bounded_load", Some(bound)),
        ("points", of(Balance::Ring, hash.points)),
        ("entries", of(Balance::Maglev, hash.entries)),
    ]);
    object([(word, Some(inner))])
}

fn health(health: &HealthCheck) -> Value {
    let (key, value, expect) = match &health.probe {
        Probe::Http { path, expect } => {
            let expect: Vec<_> = expect.iter().map(StatusRange::to_string).collect();
            ("path", json!(path), Some(json!(expect)))
        }
        Probe::Grpc { service } => ("grpc", json!(service), None),
        Probe::Connect => ("tcp", json!(true), None),
    };
    object([
        (key, Some(value)),
        ("expect", expect),
        ("interval", Some(json!(show_duration(health.interval)))),
        ("timeout", Some(json!(show_duration(health.timeout)))),
        ("healthy", Some(json!(health.healthy))),
        ("unhealthy", Some(json!(health.unhealthy))),
    ])
}

fn client_tls(tls: &ClientTls) -> Value {
    object([
        ("server_name", tls.server_name.clone().map(Value::from)),
        ("ca", tls.ca.as_deref().map(file)),
        ("cert", tls.client.as_ref().map(|client| file(&client.cert))),
        ("key", tls.client.as_ref().map(|client| file(&client.key))),
        ("verify", Some(tls.verify.into())),
    ])
}

fn route(route: &Route, config: &Config, secrets: Secrets) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), json!(route.name));
    out.insert("match".to_owned(), conditions(&route.matches));
    let forwards = match &route.action {
        Action::Forward(one) => {
            action::forward(one, config, &mut out);
            true
        }
        Action::Redirect(one) => {
            out.insert("redirect".to_owned(), action::redirect(one));
            false
        }
        Action::Respond(one) => {
            out.insert("respond".to_owned(), action::respond(one));
            false
        }
        Action::Files(one) => {
            action::files(one, &mut out);
            false
        }
    };
    if let Some(edits) = header::edits(&route.headers) {
        out.insert("headers".to_owned(), edits);
    }
    if forwards {
        let timeout = &route.timeout;
        let timeout = json!({
            "headers": show_duration(timeout.headers),
            "total": timeout.total.map(show_duration),
            "idle": show_duration(timeout.idle),
        });
        out.insert("timeout".to_owned(), timeout);
        out.insert("retry".to_owned(), json!(route.retry.as_ref().map(resilience::retry)));
    }
    if let Some(one) = &route.fallback {
        out.insert("fallback".to_owned(), resilience::fallback(one, config));
    }
    auth::who(route, config, secrets, &mut out);
    let cache = route.cache.as_ref().map(resilience::cache);
    out.extend(cache.map(|cache| ("cache".to_owned(), cache)));
    if let Some(one) = &route.idempotency {
        out.insert("idempotency".to_owned(), idempotency::route(one));
    }
    out.extend(route.script.as_ref().map(|one| ("script".to_owned(), script::route(one))));
    if let Some(one) = &route.concurrency {
        out.insert("concurrency".to_owned(), limit::concurrency(one));
    }
    if !route.rate_limits.is_empty() {
        let limits: Vec<_> = route.rate_limits.iter().map(limit::of_route).collect();
        out.insert("rate_limit".to_owned(), limits.into());
    }
    out.insert("priority".to_owned(), resilience::priority(&route.priority));
    traffic::write(&route.traffic, config, &mut out);
    web::route(&route.web, &mut out);
    Value::Object(out)
}

fn conditions(matches: &RouteMatch) -> Value {
    let methods: Vec<_> = matches.methods.iter().map(|method| json!(method.as_str())).collect();
    let header = |(name, value): &(HeaderName, ValueMatch)| {
        (name.to_string(), Value::from(pattern::show_value(value)))
    };
    let parameter = |(name, value): &(String, ValueMatch)| {
        (name.clone(), Value::from(pattern::show_value(value)))
    };
    let headers: Map<_, _> = matches.headers.iter().map(header).collect();
    let query: Map<_, _> = matches.query.iter().map(parameter).collect();
    object([
        ("host", Some(json!(pattern::show_host(&matches.host)))),
        ("path", Some(json!(pattern::show_path(&matches.path)))),
        ("methods", Some(methods).filter(|list| !list.is_empty()).map(Value::from)),
        ("headers", Some(headers).filter(|map| !map.is_empty()).map(Value::from)),
        ("query", Some(query).filter(|map| !map.is_empty()).map(Value::from)),
    ])
}

fn upstream_name(config: &Config, index: usize) -> &str {
    config.upstreams.get(index).map(|upstream| upstream.name.as_str()).unwrap_or_default()
}

fn file(path: &Path) -> Value {
    json!(path.display().to_string())
}

/// The entries that are there.
fn object<const N: usize>(entries: [(&str, Option<Value>); N]) -> Value {
    entries
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
        .collect::<Map<_, _>>()
        .into()
}
