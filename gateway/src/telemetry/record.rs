//! The end of an exchange, told once to the counters and once to the access log.

use std::{net::IpAddr, rc::Rc};

use http::Version;

use super::{
    access_log::AccessRecord,
    counters,
    trace::{self, Place},
};
use crate::{
    clock::{self, Tick},
    error::{Error, Side},
    http::exchange::{Asked, Exchange},
    limit,
    listen::connection::Connection,
    policy, script,
    upstream::trail::{FailedRequest, Trail},
};

/// Counts and logs an exchange that ended at `now`.
pub(crate) fn exchange(exchange: &Exchange, now: Tick) {
    let world = &exchange.world;
    let duration = now.nanos_since(exchange.began);
    let received = exchange.upload.as_ref().map_or(0, |upload| upload.bytes.get());
    let counted = counters::Exchange {
        status: exchange.status,
        error: exchange.error.map(Error::index),
        request_bytes: received,
        response_bytes: exchange.sent,
        duration_nanos: duration,
    };
    let counters = world.counters(exchange.route, exchange.upstream);
    counters.record(&counted);
    if let Some(trail) = &exchange.trail {
        counters.record_trail(trail);
    }
    if let Some(seen) = &exchange.cache {
        counters.record_cache(seen.outcome);
    }
    if let Some(told) = &exchange.idempotency {
        counters.record_key(told.outcome);
    }
    if let Some(seen) = &exchange.policy {
        counters.record_web(&seen.web, exchange.sent);
    }
    let scripted = script::outcome(exchange).into_iter();
    scripted.for_each(|outcome| counters.record_script(outcome));
    if exchange.status >= 500 || exchange.error.is_some() {
        remember(exchange, now);
    }
    let Some(asked) = &exchange.asked else { return };
    if let Some(place) = exchange.place {
        trace(exchange, place, asked, now);
    }
    if exchange.connection.worker.is_logging() {
        line(exchange, asked, received, duration);
    }
}

/// Logs it.
fn line(exchange: &Exchange, asked: &Asked, received: u64, duration: u64) {
    let snapshot = &exchange.world.snapshot;
    let route = exchange.route.map(|index| &*snapshot.routes[index].name);
    let upstream = exchange.upstream.map(|index| &*snapshot.upstreams[index].name);
    let limited = limit::said(exchange);
    let refused = policy::refused(exchange);
    let mut client = [0; CLIENT_TEXT];
    // All that a CONNECT names is a host and its port.
    let whole = || asked.uri.authority().map_or("", |host| host.as_str());
    let path = asked.uri.path_and_query().map_or_else(whole, |target| target.as_str());
    log(
        &exchange.connection,
        &AccessRecord {
            unix_millis: exchange
                .connection
                .worker
                .calendar
                .borrow_mut()
                .unix_millis(exchange.began),
            id: exchange.request_id.as_ref().map_or(b"", |id| id.as_bytes()),
            trace: exchange.place.map(|place| place.trace),
            client: client_text(exchange.client, &mut client),
            method: asked.method.as_str(),
            host: asked.host.as_ref().map_or_else(
                || asked.uri.authority().map_or(&b""[..], |host| host.as_str().as_bytes()),
                |host| host.as_bytes(),
            ),
            path: path.as_bytes(),
            protocol: protocol(asked.version),
            status: exchange.status,
            flag: flag(exchange),
            route,
            upstream,
            endpoint: exchange.in_flight.as_ref().map(|asked| &*asked.load().0.shared.name),
            attempts: exchange.attempts,
            bytes_in: received,
            bytes_out: exchange.sent,
            duration_nanos: duration,
            upstream_nanos: exchange.upstream_time.map(|time| time.as_nanos() as u64),
            identity: exchange.identity().and_then(|identity| identity.name.as_deref()),
            auth: refused.as_deref(),
            limit: limited.and_then(|(limits, said)| said.denied_by(limits)),
            limit_dry_run: limited.and_then(|(limits, said)| said.would_be_denied_by(limits)),
            limit_source: limited.and_then(|(_, said)| said.source()),
            limit_delay_nanos: limited.map_or(0, |(_, said)| said.delay().as_nanos() as u64),
            trail: exchange.trail.as_deref(),
            cache: exchange.cache.map(|seen| seen.outcome.name()),
            idempotency: exchange.idempotency.as_ref().map(|told| told.outcome.name()),
            script: script::outcome(exchange).map(script::Outcome::name),
            record: exchange.idempotency.as_ref().and_then(|told| told.key.as_ref()),
            encoding: exchange
                .policy
                .as_ref()
                .and_then(|seen| seen.web.coded.as_ref())
                .map(|(encoding, _)| encoding.name()),
        },
    );
}

/// Has the request's span sent.
#[cold]
fn trace(exchange: &Exchange, place: Place, asked: &Asked, now: Tick) {
    let worker = &exchange.connection.worker;
    let unix_millis = worker.calendar.borrow_mut().unix_millis(now);
    worker.live.spans.push(trace::describe(exchange, place, asked, (now, unix_millis)));
}

/// Why the gateway said no, or made the client wait.
fn flag(exchange: &Exchange) -> Option<&'static str> {
    let held = || policy::is_held(exchange).then_some("DI");
    exchange.error.map(|error| error.disposition().flag).or_else(held)
}

/// Remembers a request that failed on the upstream's account: the client got a 5xx, or not all of
/// a response.
#[cold]
fn remember(exchange: &Exchange, now: Tick) {
    let (world, trail) = (&exchange.world, exchange.trail.as_deref());
    let (Some(route), Some(upstream)) = (exchange.route, exchange.upstream) else { return };
    let upstreams = match exchange.error {
        Some(error) => error.disposition().side == Side::Upstream,
        None => trail.is_some(),
    };
    if !upstreams || (exchange.status < 500 && trail.is_some_and(Trail::is_replaced)) {
        return;
    }
    let unix_millis = exchange.connection.worker.calendar.borrow_mut().unix_millis(now);
    world.upstreams[upstream].shared.failures.push(FailedRequest {
        unix_millis,
        id: exchange.request_id.as_ref().map_or("", |id| id.to_str().unwrap_or("")).into(),
        route: world.snapshot.routes[route].name.clone(),
        status: exchange.status,
        error: exchange.error,
        trail: trail.cloned().unwrap_or_default(),
    });
}

/// Counts and logs bytes that were refused before they became a request.
pub(crate) fn refusal(connection: &Rc<Connection>, error: Error, sent: u64) {
    let world = connection.worker.world();
    let disposition = error.disposition();
    let status = disposition.status.as_u16();
    let counted = counters::Exchange {
        status,
        error: Some(error.index()),
        response_bytes: sent,
        ..counters::Exchange::default()
    };
    world.counters(None, None).record(&counted);
    let mut client = [0; CLIENT_TEXT];
    let now = clock::now();
    log(
        connection,
        &AccessRecord {
            unix_millis: connection.worker.calendar.borrow_mut().unix_millis(now),
            id: b"",
            trace: None,
            client: client_text(connection.peer().address(), &mut client),
            method: "",
            host: b"",
            path: b"",
            protocol: "HTTP/1.1",
            status,
            flag: Some(disposition.flag),
            route: None,
            upstream: None,
            endpoint: None,
            attempts: 0,
            bytes_in: 0,
            bytes_out: sent,
            duration_nanos: now.nanos_since(connection.idle_since.get()),
            upstream_nanos: None,
            identity: None,
            auth: None,
            limit: None,
            limit_dry_run: None,
            limit_source: None,
            limit_delay_nanos: 0,
            trail: None,
            cache: None,
            idempotency: None,
            script: None,
            record: None,
            encoding: None,
        },
    );
}

fn log(connection: &Connection, record: &AccessRecord<'_>) {
    if connection.worker.is_logging() {
        connection.worker.log.borrow_mut().log(record);
    }
}

const CLIENT_TEXT: usize = 48;

/// An address as text, without an allocation.
fn client_text(client: Option<IpAddr>, buffer: &mut [u8; CLIENT_TEXT]) -> &str {
    use std::io::Write as _;
    let Some(client) = client else { return "unix" };
    let mut rest = &mut buffer[..];
    // The longest IPv6 address has 45 characters.
    let _ = write!(rest, "{client}");
    let length = CLIENT_TEXT - rest.len();
    std::str::from_utf8(&buffer[..length]).unwrap_or("")
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
