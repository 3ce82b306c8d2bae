//! `upstreams.*.breaker` and `upstreams.*.limits.adaptive`.

use super::{Complaint, Decoder};
use crate::{
    defaults::TOLERANCE,
    fields::Fields,
    model::{Adaptive, Breaker, SlowCalls},
    yaml::shorten,
};

/// The circuit breaker of each endpoint; `None` is off.
pub(super) fn read(d: &mut Decoder<'_>, upstream: &Fields<'_>) -> Option<Breaker> {
    let fields = upstream.policy(d, "breaker", "upstreams.*.breaker")?;
    let breaker = Breaker {
        failure_rate: share(d, &fields, "failure_rate"),
        window: fields.duration(d, "window"),
        min_requests: fields.count(d, "min_requests"),
        open: fields.duration(d, "open"),
        probes: fields.count(d, "probes"),
        slow: slow(d, &fields),
    };
    fields.finish();
    Some(breaker)
}

fn slow(d: &mut Decoder<'_>, breaker: &Fields<'_>) -> Option<SlowCalls> {
    let fields = breaker.policy(d, "slow", "upstreams.*.breaker.slow")?;
    let slow = SlowCalls { over: fields.duration(d, "over"), rate: share(d, &fields, "rate") };
    fields.finish();
    Some(slow)
}

/// A percentage that opens the breaker: with none of it, it would open whatever happens.
fn share(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str) -> f64 {
    let share = fields.percent(d, name);
    if let Some(node) = fields.node(name).filter(|_| share <= 0.0) {
        let what = format!("`{name}` is above 0%: the breaker would open whatever happens");
        d.report.error(node.span, what).hint =
            Some("write `off` in place of the mapping for none".to_owned());
    }
    share
}

/// The bound that follows latency, below the fixed one of `requests`; `None` is off.
pub(super) fn adaptive(
    d: &mut Decoder<'_>,
    limits: &Fields<'_>,
    requests: u32,
) -> Option<Adaptive> {
    let fields = limits.policy(d, "adaptive", "upstreams.*.limits.adaptive")?;
    let min = fields.count(d, "min");
    let tolerance = fields.parsed(d, "tolerance", tolerance);
    fields.finish();
    if let Some(node) = fields.node("min").filter(|_| min > requests) {
        let what = format!("`min` is above `limits.requests`, which is {requests}");
        d.report.error(node.span, what).hint =
            Some("lower it, or raise `limits.requests`".to_owned());
    }
    // Where it is not written, its default gives way.
    Some(Adaptive { min: min.min(requests), tolerance: tolerance? })
}

/// A decimal number from 1 to 10.
fn tolerance(text: &str) -> Result<f64, Complaint> {
    let decimal = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value = text.parse::<f64>().ok().filter(|value| decimal && (1.0..=10.0).contains(value));
    value.ok_or_else(|| Complaint::new(format!("expected {TOLERANCE}, found `{}`", shorten(text))))
}

#[cfg(test)]
mod tests;
