//! `upstreams.*.health` and `upstreams.*.outlier`.

use std::ops::RangeInclusive;

use super::{Complaint, Decoder};
use crate::{
    defaults::{PROBE, SERVICE, STATUSES},
    fields::Fields,
    model::{HealthCheck, Outlier, Probe, StatusRange, UpstreamProtocol},
    yaml::{Node, Value, shorten},
};

/// Most ranges of statuses.
const RANGES: usize = 100;
/// Longest path of a check, in bytes.
const PATH_MAX: usize = 2048;

/// The active checks; `None` when there are none, or they are wrong.
pub(super) fn check(d: &mut Decoder<'_>, upstream: &Fields<'_>) -> Option<HealthCheck> {
    upstream.at(d, "health", health).flatten()
}

fn health(d: &mut Decoder<'_>, node: &Node) -> Option<HealthCheck> {
    if node.is_off() {
        return None;
    }
    if let Value::Text(_) = &node.value {
        let path = d.parsed(node, PROBE, path)?;
        return Some(with_defaults(d, path));
    }
    let fields = Fields::open(d, node, "upstreams.*.health");
    let probe = probe(d, &fields);
    let interval = fields.duration(d, "interval");
    let timeout = fields.duration(d, "timeout");
    let (healthy, unhealthy) = (fields.count(d, "healthy"), fields.count(d, "unhealthy"));
    fields.finish();
    Some(HealthCheck { probe: probe?, interval, timeout, healthy, unhealthy })
}

fn probe(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Probe> {
    let path = fields.parsed(d, "path", path);
    let service = fields.parsed(d, "grpc", service);
    let expect = expect(d, fields);
    let tcp = fields.flag(d, "tcp");
    let tcp = fields.entry("tcp").filter(|_| tcp);
    let written = [fields.entry("path"), fields.entry("grpc"), tcp];
    let mut kinds = written.into_iter().flatten();
    let Some(first) = kinds.next() else {
        fields.missing(d, "path", "such as `path: /healthz`, or `grpc: \"\"`, or `tcp: true`");
        return None;
    };
    for other in kinds {
        let what = format!("a check has either `{}` or `{}`", first.key.text, other.key.text);
        d.report.error(other.key.span, what);
    }
    if let Some(entry) = fields.entry("expect").filter(|_| first.key.text != "path") {
        let what = format!("`expect` goes with `path`, not with `{}`", first.key.text);
        d.report.error(entry.key.span, what);
    }
    match first.key.text.as_str() {
        "path" => path.map(|path| Probe::Http { path, expect }),
        "grpc" => service.map(|service| Probe::Grpc { service }),
        _ => Some(Probe::Connect),
    }
}

/// Refuses a check that the upstream's protocol has no way for.
pub(super) fn suit(
    d: &mut Decoder<'_>,
    upstream: &Fields<'_>,
    health: Option<&HealthCheck>,
    protocol: UpstreamProtocol,
) {
    let grpc = health.is_some_and(|health| matches!(health.probe, Probe::Grpc { .. }));
    if let Some(entry) =
        upstream.entry("health").filter(|_| grpc && protocol == UpstreamProtocol::H1)
    {
        let what = "gRPC needs HTTP/2 or HTTP/3, and the upstream's `protocol` is `h1`";
        d.report.error(entry.key.span, what).hint = Some("write `protocol: h2`".to_owned());
    }
}

/// The short form: a path.
fn with_defaults(d: &mut Decoder<'_>, path: String) -> HealthCheck {
    let nothing = Fields::empty("upstreams.*.health");
    HealthCheck {
        probe: Probe::Http { path, expect: expect(d, &nothing) },
        interval: nothing.duration(d, "interval"),
        timeout: nothing.duration(d, "timeout"),
        healthy: nothing.count(d, "healthy"),
        unhealthy: nothing.count(d, "unhealthy"),
    }
}

/// Path and query as they are sent.
fn path(text: &str) -> Result<String, Complaint> {
    let complaint = || Complaint::new(format!("expected {PROBE}, found `{}`", shorten(text)));
    if !text.starts_with('/') {
        return Err(complaint().hint("it begins with `/`"));
    }
    if text.len() > PATH_MAX {
        return Err(complaint().hint(format!("at most {PATH_MAX} characters")));
    }
    let legal = |c: char| c.is_ascii_graphic() && !"\"#<>\\^`{|}".contains(c);
    match text.char_indices().find(|(_, c)| !legal(*c)) {
        Some((offset, c)) => Err(complaint()
            .part(offset, c.len_utf8())
            .hint("write it as it is sent, percent-encoded")),
        None => Ok(text.to_owned()),
    }
}

/// The name of a service as gRPC writes it: `package.Service`, or nothing.
fn service(text: &str) -> Result<String, Complaint> {
    let legal = |c: char| c.is_ascii_graphic();
    if text.len() <= PATH_MAX && text.chars().all(legal) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("expected {SERVICE}, found `{}`", shorten(text))))
}

fn expect(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<StatusRange> {
    let written = fields.at(d, "expect", |d, node| {
        let ranges = d.each(node, RANGES, |d, node| d.parsed(node, STATUSES, statuses));
        if node.is_empty_list() {
            d.report.error(node.span, "`expect` is empty").hint =
                Some("such as `expect: [200, 204]`".to_owned());
        }
        ranges
    });
    written.unwrap_or_else(|| statuses(fields.default_text("expect")).into_iter().collect())
}

fn statuses(text: &str) -> Result<StatusRange, Complaint> {
    range(text, 100..=599)
        .ok_or_else(|| Complaint::new(format!("expected {STATUSES}, found `{}`", shorten(text))))
}

/// A status or a range of them, within what is legal.
pub(super) fn range(text: &str, legal: RangeInclusive<u16>) -> Option<StatusRange> {
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|status| digits && legal.contains(status))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = StatusRange { first: status(first)?, last: status(last)? };
    (range.first <= range.last).then_some(range)
}

/// Ejection: on unless it is `off`.
pub(super) fn outlier(d: &mut Decoder<'_>, upstream: &Fields<'_>) -> Option<Outlier> {
    let fields = upstream.policy(d, "outlier", "upstreams.*.outlier")?;
    let outlier = Outlier {
        consecutive_failures: fields.count(d, "consecutive_failures"),
        ejection: fields.duration(d, "ejection"),
        max_ejected: fields.percent(d, "max_ejected"),
    };
    fields.finish();
    Some(outlier)
}
