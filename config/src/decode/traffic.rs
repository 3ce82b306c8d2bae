//! `routes[].sticky`, `mirror`, `fault`, `maintenance` and `max_body`.

use http::{HeaderName, HeaderValue, StatusCode};

use super::{Complaint, Decoder, Names, header, key, network, route};
use crate::{
    defaults::HASH_KEY,
    fields::Fields,
    model::{Action, Fault, FaultAbort, FaultDelay, KeyPart, Maintenance, Mirror, Sticky, Traffic},
    yaml::{Node, shorten},
};

/// Most parts of a key.
const PARTS: usize = 8;
/// Largest body of an answer, in bytes.
const BODY_MAX: usize = 1 << 20;

/// All of them; `closed` is what the file says of maintenance for all routes.
pub(super) fn of_route(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    action: Option<&Action>,
    names: &Names,
    closed: Option<&Maintenance>,
) -> Traffic {
    let sticky = sticky(d, fields, action);
    let mirror = mirror(d, fields, action, names);
    let fault = fault(d, fields);
    let own = maintenance(d, fields, "routes[].maintenance");
    let written = fields.node("maintenance").is_some();
    let max_body = fields.size(d, "max_body");
    Traffic {
        sticky,
        mirror,
        fault,
        maintenance: if written { own } else { closed.cloned() },
        max_body: fields.node("max_body").map(|_| max_body),
    }
}

fn sticky(d: &mut Decoder<'_>, route: &Fields<'_>, action: Option<&Action>) -> Option<Sticky> {
    let fields = route.policy(d, "sticky", "routes[].sticky")?;
    let key = fields.at(d, "key", parts);
    let cookie = fields.parsed(d, "cookie", key::cookie);
    let age = fields.duration(d, "age");
    fields.finish();
    if let (Some(Action::Forward(forward)), Some(entry)) = (action, route.entry("sticky"))
        && forward.split.iter().filter(|(_, weight)| *weight > 0).count() < 2
    {
        let what = "`sticky` has no effect: all requests go to one upstream";
        d.report.error(entry.key.span, what).hint =
            Some("it keeps clients with one upstream of a `split`".to_owned());
    }
    match (key, fields.entry("cookie")) {
        (Some(_), Some(entry)) => {
            let what = "`key` and `cookie` exclude each other: one of them decides";
            d.report.error(entry.key.span, what);
            None
        }
        (Some(key), None) => {
            if let Some(entry) = fields.entry("age") {
                d.report.error(entry.key.span, "`age` is that of a `cookie`, and there is none");
            }
            Some(Sticky::Key(key))
        }
        (None, Some(_)) => Some(Sticky::Cookie { name: cookie?, age }),
        (None, None) => {
            fields.missing(d, "key", "such as `key: client_ip`, or `cookie: NAME`");
            None
        }
    }
}

/// What of a request decides.
fn parts(d: &mut Decoder<'_>, node: &Node) -> Vec<KeyPart> {
    if node.is_empty_list() {
        d.report.error(node.span, "`key` is empty").hint =
            Some("such as `key: client_ip`".to_owned());
    }
    d.each(node, PARTS, |d, node| {
        let part = d.parsed(node, HASH_KEY, key::part)?.placed(node);
        if part == KeyPart::Route {
            let what = "`route` tells no clients apart: all of them would stay with one upstream";
            d.report.error(node.span, what);
        }
        Some(part)
    })
}

fn mirror(
    d: &mut Decoder<'_>,
    route: &Fields<'_>,
    action: Option<&Action>,
    names: &Names,
) -> Option<Mirror> {
    let fields = route.policy(d, "mirror", "routes[].mirror")?;
    let to = fields.at(d, "to", |d, node| {
        let name = d.text(node, "the name of an upstream")?;
        let index = route::index(d, node.span, name, names)?;
        if let Some(Action::Forward(forward)) = action
            && forward.split.iter().any(|(own, _)| *own == index)
        {
            let what = format!("`{}` is an upstream of the route itself", shorten(name));
            d.report.error(node.span, what).hint =
                Some("copies would take the places of requests: name another one".to_owned());
        }
        Some(index)
    });
    if to.is_none() {
        fields.missing(d, "to", "such as `to: shadow`");
    }
    let sample = fields.percent(d, "sample");
    let max_body = fields.size32(d, "max_body");
    let timeout = fields.duration(d, "timeout");
    fields.finish();
    Some(Mirror { to: to.flatten()?, sample, max_body, timeout })
}

fn fault(d: &mut Decoder<'_>, route: &Fields<'_>) -> Fault {
    let Some(fields) = route.policy(d, "fault", "routes[].fault") else {
        return Fault::default();
    };
    let fault = Fault { delay: delay(d, &fields), abort: abort(d, &fields) };
    fields.finish();
    if let Some(node) = route.node("fault").filter(|_| fields.node("delay").is_none())
        && fields.node("abort").is_none()
        && !fields.is_broken()
    {
        d.report.error(node.span, "`fault` needs a `delay` or an `abort`").hint =
            Some("such as `fault: { abort: { status: 503, percent: 1% } }`".to_owned());
    }
    fault
}

fn delay(d: &mut Decoder<'_>, fault: &Fields<'_>) -> Option<FaultDelay> {
    let fields = fault.policy(d, "delay", "routes[].fault.delay")?;
    let time = fields.duration(d, "time");
    if fields.node("time").is_none() {
        fields.missing(d, "time", "such as `time: 200ms`");
    }
    let (percent, header) = (fields.percent(d, "percent"), header_of(d, &fields));
    fields.finish();
    Some(FaultDelay { time, percent, header })
}

fn abort(d: &mut Decoder<'_>, fault: &Fields<'_>) -> Option<FaultAbort> {
    let fields = fault.policy(d, "abort", "routes[].fault.abort")?;
    let status = status(d, &fields);
    if fields.node("status").is_none() {
        fields.missing(d, "status", "such as `status: 503`");
    }
    let (percent, header) = (fields.percent(d, "percent"), header_of(d, &fields));
    fields.finish();
    Some(FaultAbort { status: status?, percent, header })
}

fn header_of(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<HeaderName> {
    fields.parsed(d, "header", |text| {
        let name = header::name(text)?;
        if header::is_hop_by_hop(&name) {
            let what = format!("`{name}` belongs to the connection: no fault comes in it");
            return Err(Complaint::new(what).hint("name another one, such as `x-fault`"));
        }
        Ok(name)
    })
}

/// What all routes that say nothing of it answer; `None` is open.
pub(super) fn closed(d: &mut Decoder<'_>, file: &Fields<'_>) -> Option<Maintenance> {
    maintenance(d, file, "maintenance")
}

fn maintenance(
    d: &mut Decoder<'_>,
    outer: &Fields<'_>,
    place: &'static str,
) -> Option<Maintenance> {
    let fields = outer.policy(d, "maintenance", place)?;
    let status = status(d, &fields);
    let body = fields.parsed(d, "body", |text| match text.len() {
        0..=BODY_MAX => Ok(text.to_owned()),
        _ => Err(Complaint::new("a fixed body has at most 1MiB")),
    });
    let content_type = fields.parsed(d, "content_type", |text| {
        let complaint = || Complaint::new(format!("`{}` is no media type", shorten(text)));
        let value = HeaderValue::from_str(text).map_err(|_| complaint())?;
        if text.contains('/') { Ok(value) } else { Err(complaint().hint("such as `text/html`")) }
    });
    let retry_after = fields.duration_if_any(d, "retry_after");
    let allow = fields.at(d, "allow", network::list);
    fields.finish();
    Some(Maintenance {
        status: status?,
        body: body.unwrap_or_default(),
        content_type: content_type?,
        retry_after,
        allow: allow.unwrap_or_default(),
    })
}

fn status(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<StatusCode> {
    let status = fields.count(d, "status");
    u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok())
}

#[cfg(test)]
mod tests;
