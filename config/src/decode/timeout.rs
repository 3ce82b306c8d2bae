//! `routes[].timeout`.

use std::time::Duration;

use super::Decoder;
use crate::{
    defaults,
    fields::{Fields, duration},
    model::RouteTimeout,
    yaml::{Node, Value},
};

/// The time-outs that are written.
pub(super) fn read(d: &mut Decoder<'_>, node: &Node) -> RouteTimeout {
    if node.is_off() {
        return default(Some(None));
    }
    if let Value::Text(_) = &node.value {
        let keys = defaults::section("routes[].timeout");
        let key = keys.iter().find(|key| key.name() == "total");
        let total = key.and_then(|key| duration(d, node, key));
        return default(total.map(Some));
    }
    let fields = Fields::open(d, node, "routes[].timeout");
    let total = fields.duration_or_off(d, "total");
    let mut read = default(Some(total));
    let headers = fields.duration(d, "headers");
    if let Some(node) = fields.node("headers") {
        read.headers = headers;
        if total.is_some_and(|total| total < headers) {
            let what = "`headers` is above `total`, which ends the exchange first";
            d.report.warn(node.span, what).hint = Some("lower it, or raise `total`".to_owned());
        }
    }
    read.idle = fields.duration(d, "idle");
    fields.finish();
    read
}

/// The table's time-outs, with another `total`: `headers` never outlasts it.
pub(super) fn default(total: Option<Option<Duration>>) -> RouteTimeout {
    let of = |name: &str| {
        let key = defaults::section("routes[].timeout").iter().find(|key| key.name() == name);
        key.and_then(|key| crate::units::duration(key.default_text()).ok()).unwrap_or_default()
    };
    let total = total.unwrap_or_else(|| Some(of("total")));
    let headers = of("headers");
    RouteTimeout {
        headers: total.map_or(headers, |total| total.min(headers)),
        total,
        idle: of("idle"),
    }
}
