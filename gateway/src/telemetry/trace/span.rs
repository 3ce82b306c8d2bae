//! What a span says of a request, in the words of OpenTelemetry's HTTP conventions (1.23 and
//! later); what those have no word for begins with `weir.`.

use http::Version;

use super::Place;
use crate::{
    clock::Tick,
    http::{
        exchange::{Asked, Exchange},
        host::without_port,
    },
    listen::connection::Carrier,
};

/// A request that is over.
#[derive(Debug, Default)]
pub(crate) struct Span {
    /// The trace.
    pub(super) trace: u128,
    /// This span.
    pub(super) id: u64,
    /// Its parent; 0 is none.
    pub(super) parent: u64,
    /// `GET route`.
    pub(super) name: String,
    /// Nanoseconds since the Unix epoch.
    pub(super) began: u64,
    /// Likewise.
    pub(super) ended: u64,
    /// What is known of it.
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// What went wrong, where that is the server's side.
    pub(super) error: Option<String>,
}

/// A value of an attribute.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
}

/// The span of a request that ended at `now`, which is `unix_millis` by the calendar.
pub(crate) fn describe(
    exchange: &Exchange,
    place: Place,
    asked: &Asked,
    (now, unix_millis): (Tick, u64),
) -> Span {
    let snapshot = &exchange.world.snapshot;
    let ended = unix_millis.saturating_mul(1_000_000);
    let took = now.nanos_since(exchange.began);
    let route = exchange.route.map(|index| &*snapshot.routes[index].name);
    let method = asked.method.as_str();
    let secure = exchange.connection.carrier != Carrier::Clear;
    let host = asked.host.as_ref().and_then(|host| host.to_str().ok()).map(without_port);
    let mut attributes = Vec::with_capacity(16);
    let mut say = |name, value: Option<&str>| {
        attributes.extend(value.map(|value| (name, Value::Text(value.to_owned()))));
    };
    say("http.request.method", Some(method));
    say("url.path", Some(asked.uri.path()));
    say("url.query", asked.uri.query());
    say("url.scheme", Some(if secure { "https" } else { "http" }));
    say("server.address", asked.uri.host().or(host));
    say("client.address", exchange.client.map(|client| client.to_string()).as_deref());
    say("network.protocol.version", Some(version(asked.version)));
    say("weir.request_id", exchange.request_id.as_ref().and_then(|id| id.to_str().ok()));
    say("weir.route", route);
    say("weir.upstream", exchange.upstream.map(|index| &*snapshot.upstreams[index].name));
    say("weir.endpoint", exchange.in_flight.as_ref().map(|asked| &*asked.load().0.shared.name));
    say("weir.cache", exchange.cache.map(|seen| seen.outcome.name()));
    say("weir.idempotency", exchange.idempotency.as_ref().map(|told| told.outcome.name()));
    say("weir.flag", exchange.error.map(|error| error.disposition().flag));
    say("error.type", exchange.error.map(|error| error.name()));
    let count = |name, number| (name, Value::Number(number));
    attributes.push(count("http.response.status_code", exchange.status.into()));
    attributes.push(count("http.response.body.size", exchange.sent));
    attributes.push(count("weir.attempts", exchange.attempts.into()));
    if let Some(time) = exchange.upstream_time {
        attributes.push(count("weir.upstream_micros", time.as_micros() as u64));
    }
    let failed = exchange.error.map(|error| error.disposition().status.as_u16());
    let fails = exchange.status >= 500 || failed.is_some_and(|status| status >= 500);
    let why = || exchange.error.map_or_else(|| exchange.status.to_string(), |e| e.to_string());
    Span {
        trace: place.trace,
        id: place.span,
        parent: place.parent,
        name: route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")),
        began: ended.saturating_sub(took),
        ended,
        attributes,
        error: fails.then(why),
    }
}

/// As the convention has it, without the protocol's name.
const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
