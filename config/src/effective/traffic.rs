//! What else becomes of a route's requests.

use http::HeaderName;
use serde_json::{Map, Value, json};

use super::{limit, object, upstream_name};
use crate::{
    model::{Config, Fault, FaultAbort, FaultDelay, Maintenance, Mirror, Network, Sticky, Traffic},
    units::{show_duration, show_percent, show_size},
};

pub(super) fn write(traffic: &Traffic, config: &Config, out: &mut Map<String, Value>) {
    let Traffic { sticky, mirror, fault: faults, maintenance, max_body } = traffic;
    let copies = |one: &Mirror| {
        json!({
            "to": upstream_name(config, one.to),
            "sample": show_percent(one.sample),
            "max_body": show_size(one.max_body.into()),
            "timeout": show_duration(one.timeout),
        })
    };
    // Where all others are closed.
    let open = config.maintenance.is_some().then_some(Value::Null);
    let written = [
        ("sticky", sticky.as_ref().map(keeps)),
        ("mirror", mirror.as_ref().map(copies)),
        ("fault", (*faults != Fault::default()).then(|| fault(faults))),
        ("maintenance", maintenance.as_ref().map(closed).or(open)),
        ("max_body", max_body.map(|bytes| json!(show_size(bytes)))),
    ];
    for (name, value) in written {
        out.extend(value.map(|value| (name.to_owned(), value)));
    }
}

fn keeps(sticky: &Sticky) -> Value {
    match sticky {
        Sticky::Key(key) => json!({ "key": limit::key(key) }),
        Sticky::Cookie { name, age } => json!({ "cookie": name, "age": show_duration(*age) }),
    }
}

fn fault(fault: &Fault) -> Value {
    let header = |name: &Option<HeaderName>| name.as_ref().map(|name| json!(name.as_str()));
    let delay = |one: &FaultDelay| {
        object([
            ("time", Some(json!(show_duration(one.time)))),
            ("percent", Some(json!(show_percent(one.percent)))),
            ("header", header(&one.header)),
        ])
    };
    let abort = |one: &FaultAbort| {
        object([
            ("status", Some(json!(one.status.as_u16()))),
            ("percent", Some(json!(show_percent(one.percent)))),
            ("header", header(&one.header)),
        ])
    };
    object([("delay", fault.delay.as_ref().map(delay)), ("abort", fault.abort.as_ref().map(abort))])
}

pub(super) fn closed(one: &Maintenance) -> Value {
    let allow: Vec<_> = one.allow.iter().map(Network::to_string).collect();
    object([
        ("status", Some(json!(one.status.as_u16()))),
        ("body", Some(json!(one.body)).filter(|_| !one.body.is_empty())),
        ("content_type", one.content_type.to_str().ok().map(|text| json!(text))),
        ("retry_after", Some(json!(one.retry_after.map(show_duration)))),
        ("allow", Some(allow).filter(|allow| !allow.is_empty()).map(Value::from)),
    ])
}
