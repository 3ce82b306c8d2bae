//! The state as JSON.

use std::{collections::HashMap, time::Duration};

use serde_json::{Map, Value, json};
use weir_config::model::{self, Action, Config, Piece, Priority, Protocols, UpstreamProtocol};

use crate::{
    admission::{
        Admission, Cause, PRIORITIES,
        pressure::{Shares, WHOLE},
        priority_name,
    },
    app::{self, Report},
    clock::Tick,
    discover::SourceReport,
    snapshot::{Snapshot, live::Live},
    telemetry::registry::Registry,
    upstream::{
        adaptive::Standing,
        breaker,
        endpoint::{Endpoint, Upstream},
        limit::Gate,
        retry::policy::{RetryPolicy, Stop},
        roster::{EndpointReport, State},
        trail::{FailedRequest, Tried},
    },
};

mod limits;
mod members;

pub(super) use limits::limits;
use limits::{places, redis};
pub(super) use members::members;

/// `/status`. Times are Unix times in seconds.
pub(super) fn status(live: &Live, report: &Report, unix_time: Duration) -> Value {
    let snapshot = live.snapshot();
    let open = live.connections.load(std::sync::atomic::Ordering::Relaxed);
    let refused =
        report.refused.as_ref().map(|(text, at)| json!({ "text": text, "at": at.as_secs_f64() }));
    json!({
        "version": app::VERSION,
        "pid": std::process::id(),
        "started_at": report.started.as_secs_f64(),
        "uptime_seconds": unix_time.saturating_sub(report.started).as_secs_f64(),
        "draining": live.is_draining(),
        "workers": report.workers,
        "connections_open": open,
        "pressure": pressure(&live.admission),
        "redis": redis(&snapshot),
        "membership": members::part(&live.roll),
        "listeners": listeners(&snapshot, report),
        "config": {
            "file": report.file,
            "loaded_at": report.loaded_at.as_secs_f64(),
            "loads": report.loads,
            "refused": refused,
        },
    })
}

/// What is turned away, as a share of all requests of a priority, and why.
fn pressure(admission: &Admission) -> Value {
    let memory = admission.memory().map(|memory| {
        json!({
            "resident_bytes": memory.resident,
            "limit_bytes": memory.bound,
            "ratio": memory.ratio(),
        })
    });
    let shares = [admission.memory_shares(), admission.lag_shares()];
    let shed = |(cause, shares): (Cause, Shares)| {
        let by = |of: &dyn Fn(Priority) -> Value| -> Map<String, Value> {
            PRIORITIES.iter().map(|one| (priority_name(*one).to_owned(), of(*one))).collect()
        };
        let share = |one| json!(f64::from(shares.of(one)) / f64::from(WHOLE));
        let count = |one| json!(admission.shed(cause, one));
        (cause.name().to_owned(), json!({ "share": by(&share), "count": by(&count) }))
    };
    json!({
        "memory": memory,
        "lag_seconds": admission.lag_nanos() as f64 / 1e9,
        "shed": Cause::ALL.into_iter().zip(shares).map(shed).collect::<Map<_, _>>(),
    })
}

fn listeners(snapshot: &Snapshot, report: &Report) -> Value {
    let listener = |listener: &model::Listener| {
        let bound = report.bound.iter().find(|(bind, _)| *bind == listener.bind);
        json!({
            "bind": listener.bind.to_string(),
            "address": bound.map(|(_, address)| address.to_string()),
            "tls": listener.tls.is_some(),
            "protocols": protocols(listener.protocols),
        })
    };
    snapshot.config.listeners.iter().map(listener).collect()
}

fn protocols(protocols: Protocols) -> Vec<&'static str> {
    let offered = [(protocols.h1, "h1"), (protocols.h2, "h2"), (protocols.h3, "h3")];
    offered.into_iter().filter_map(|(on, name)| on.then_some(name)).collect()
}

/// `/upstreams`.
pub(super) fn upstreams(live: &Live, now: Tick, unix_time: Duration) -> Value {
    let (snapshot, registry) = (live.snapshot(), &live.registry);
    let upstream = |upstream: &std::sync::Arc<Upstream>| {
        let config = &upstream.config;
        let report = upstream.roster.report(now);
        let standing: HashMap<&str, &EndpointReport> =
            report.endpoints.iter().map(|one| (&*one.name, one)).collect();
        let endpoints = upstream.endpoints.iter().zip(&config.endpoints);
        let endpoints = endpoints.map(|(state, config)| {
            let mut out = endpoint(&upstream.name, state, config, registry, now);
            // A roster is a moment ahead of the configuration that a reload is about to replace.
            let one = standing.get(&*state.name);
            out["health"] = json!(one.map(|one| health(one, now, unix_time)));
            let breaker = one.and_then(|one| one.breaker);
            out["breaker"] = json!(breaker.map(|one| self::breaker(&one, now, unix_time)));
            out
        });
        json!({
            "name": &*upstream.name,
            "discovery": discovery(live, &snapshot.config, config, now),
            "balance": config.balance.word(),
            "hash": config.hash.as_ref().map(|hash| json!({
                "key": hash.key.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "bounded_load": hash.bounded_load,
            })),
            "protocol": protocol(config.protocol),
            "tls": config.tls.is_some(),
            "panic": report.panic,
            "limits": {
                "requests": gate(&upstream.gates.requests),
                "connections": gate(&upstream.gates.connections),
                "queue": config.limits.queue,
                "adaptive": upstream.gates.adaptive.standing().map(adaptive),
            },
            "endpoints": endpoints.collect::<Vec<_>>(),
            "recent_failures": upstream.failures.list().iter().map(failed).collect::<Vec<_>>(),
        })
    };
    json!({ "upstreams": snapshot.upstreams.iter().map(upstream).collect::<Vec<_>>() })
}

/// Where endpoints come from that the file does not name; ages in seconds.
fn discovery(live: &Live, file: &Config, config: &model::Upstream, now: Tick) -> Value {
    let Some(discovery) = &config.discovery else { return Value::Null };
    let report = live.found.report_of(file, config);
    let age = |of: fn(&SourceReport) -> Option<Tick>| {
        report.as_ref().and_then(of).map(|then| now.since(then).as_secs_f64())
    };
    let state = match &report {
        Some(report) if report.error.is_some() => "failing",
        Some(report) if report.answered.is_some() => "ok",
        _ => "waiting",
    };
    json!({
        "source": discovery.source.word(),
        "of": discovery.source.subject(),
        "state": state,
        "error": report.as_ref().and_then(|report| report.error.as_deref()),
        "failures": report.as_ref().map_or(0, |report| report.failures),
        "failures_in_a_row": report.as_ref().map_or(0, |report| report.run),
        "answered_seconds_ago": age(|report| report.answered),
        "changed_seconds_ago": age(|report| report.changed),
    })
}

/// A request that failed; times are Unix times in seconds and milliseconds.
fn failed(one: &FailedRequest) -> Value {
    let tried = |tried: &Tried| {
        json!({
            "endpoint": &*tried.endpoint,
            "said": tried.said.to_string(),
            "ms": tried.took.as_micros() as f64 / 1e3,
        })
    };
    json!({
        "at": one.unix_millis as f64 / 1e3,
        "id": &*one.id,
        "route": &*one.route,
        "status": one.status,
        "error": one.error.map(|error| error.name()),
        "tried": one.trail.tried.iter().map(tried).collect::<Vec<_>>(),
        "stopped": one.trail.stop.map(Stop::name),
        "fallback": one.trail.fallback,
    })
}

fn endpoint(
    upstream: &str,
    state: &Endpoint,
    config: &model::Endpoint,
    registry: &Registry,
    now: Tick,
) -> Value {
    let load = &state.load;
    let latency = |q: f64| load.latency().quantile(q).map(|time| time.as_secs_f64());
    let connections = registry.endpoint_connections(upstream, &state.name);
    json!({
        "address": &*state.name,
        "name": config.name,
        "weight": config.weight,
        "zone": config.zone,
        "in_flight": load.in_flight(),
        "requests": load.requests(),
        "failures": load.failures(),
        "ewma_seconds": load.ewma_nanos(now) / 1e9,
        "latency_seconds": {
            "p50": latency(0.5),
            "p90": latency(0.9),
            "p99": latency(0.99),
            "max": latency(1.0),
        },
        "connections": { "open": connections.open, "idle": connections.idle },
    })
}

/// Times are Unix times in seconds.
fn health(one: &EndpointReport, now: Tick, unix_time: Duration) -> Value {
    let unix = |later: Tick| (unix_time + later.since(now)).as_secs_f64();
    let since = unix_time.saturating_sub(now.since(one.since)).as_secs_f64();
    let (state, until) = match one.state {
        State::Healthy => ("healthy", None),
        State::Unhealthy => ("unhealthy", None),
        State::Ejected(until) => ("ejected", Some(unix(until))),
    };
    json!({
        "state": state,
        "since": since,
        "until": until,
        "reason": one.reason,
        "share": (one.share * 1e3).round() / 1e3,
        "ejections": one.ejections,
        "checks": one.checks.map(|(passed, failed)| json!({ "passed": passed, "failed": failed })),
    })
}

/// Times are Unix times in seconds.
fn breaker(one: &breaker::Report, now: Tick, unix_time: Duration) -> Value {
    let state = match one.state {
        breaker::State::Off => "off",
        breaker::State::Closed => "closed",
        breaker::State::Open => "open",
        breaker::State::HalfOpen => "half_open",
    };
    json!({
        "state": state,
        "since": unix_time.saturating_sub(now.since(one.since)).as_secs_f64(),
        "until": one.until.map(|until| (unix_time + until.since(now)).as_secs_f64()),
        "reason": one.reason.map(|reason| reason.to_string()),
        "requests": one.counts.requests,
        "failures": one.counts.failures,
        "slow": one.counts.slow,
        "opened": one.opened,
    })
}

fn gate(gate: &Gate) -> Value {
    json!({ "in_use": gate.in_use(), "max": gate.max(), "waiting": gate.waiting() })
}

fn adaptive(standing: Standing) -> Value {
    json!({ "limit": standing.limit, "usual_seconds": standing.usual.as_secs_f64() })
}

/// `/routes`.
pub(super) fn routes(snapshot: &Snapshot, now: Tick) -> Value {
    let config = &snapshot.config;
    let route = |(index, route): (usize, &model::Route)| {
        let mut out = Map::new();
        out.insert("name".to_owned(), json!(route.name));
        out.insert("match".to_owned(), json!(snapshot.matcher.describe(index)));
        out.insert("priority".to_owned(), json!(priority_name(route.priority.level)));
        let bulkhead = snapshot.routes.get(index).and_then(|route| route.bulkhead.as_ref());
        let bulkhead = bulkhead.map(
            |bulkhead| json!({ "in_use": bulkhead.gate().in_use(), "max": bulkhead.gate().max() }),
        );
        let per_key = route.concurrency.as_ref().filter(|bound| !bound.key.is_empty());
        let per_key = per_key.map(places);
        out.insert("concurrency".to_owned(), json!(bulkhead.or(per_key)));
        let retry = snapshot.routes.get(index).and_then(|route| route.retry.as_ref());
        out.insert("retry".to_owned(), json!(retry.map(|policy| retries(policy, now))));
        let (key, value) = action(&route.action, &config.upstreams);
        out.insert(key.to_owned(), value);
        Value::Object(out)
    };
    json!({ "routes": config.routes.iter().enumerate().map(route).collect::<Vec<_>>() })
}

/// A route's retries: how many attempts a request may have, and how its budget stands.
fn retries(policy: &RetryPolicy, now: Tick) -> Value {
    let standing = policy.budget.standing(now);
    json!({
        "attempts": policy.attempts,
        "budget": {
            "requests": standing.requests,
            "retries": standing.retries,
            "allowed": standing.allowed,
        },
    })
}

fn action(action: &Action, upstreams: &[model::Upstream]) -> (&'static str, Value) {
    match action {
        Action::Forward(forward) => {
            let share = |&(index, weight): &(usize, u32)| {
                let name = upstreams.get(index).map(|upstream| upstream.name.as_str());
                json!({ "upstream": name, "weight": weight })
            };
            ("forward", forward.split.iter().map(share).collect())
        }
        Action::Redirect(redirect) => {
            let piece = |piece: &Piece| match piece {
                Piece::Literal(text) => text.clone(),
                Piece::Param(name) => format!("{{{name}}}"),
            };
            let to: String = redirect.to.iter().map(piece).collect();
            ("redirect", json!({ "to": to, "status": redirect.status.as_u16() }))
        }
        Action::Respond(respond) => ("respond", json!({ "status": respond.status.as_u16() })),
        Action::Files(files) => ("files", json!({ "root": files.root.display().to_string() })),
    }
}

const fn protocol(protocol: UpstreamProtocol) -> &'static str {
    match protocol {
        UpstreamProtocol::H1 => "h1",
        UpstreamProtocol::H2 => "h2",
        UpstreamProtocol::H3 => "h3",
        UpstreamProtocol::Auto => "auto",
    }
}
