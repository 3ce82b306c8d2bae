//! `routes[].retry`.

use std::time::Duration;

use super::{Complaint, Decoder, health};
use crate::{
    defaults::RETRY_ON,
    diagnostic::Diagnostic,
    fields::Fields,
    model::{Backoff, Hedge, Retry, RetryBudget, RetryOn, RouteTimeout, StatusRange},
    units::show_duration,
    yaml::shorten,
};

/// Most entries of `on`.
const ENTRIES: usize = 100;
/// The words of `on`.
const WORDS: [&str; 4] = ["connect", "reset", "timeout", "5xx"];

/// One entry of `on`.
enum Failure {
    Connect,
    Reset,
    Timeout,
    Status(StatusRange),
}

/// Further attempts: on unless they are `off`, or one is all there is.
pub(super) fn read(
    d: &mut Decoder<'_>,
    route: &Fields<'_>,
    timeout: &RouteTimeout,
) -> Option<Retry> {
    let fields = route.policy(d, "retry", "routes[].retry")?;
    let retry = Retry {
        attempts: fields.count(d, "attempts"),
        on: on(d, &fields),
        backoff: backoff(d, &fields),
        budget: budget(d, &fields),
        attempt_timeout: fields.duration_if_any(d, "attempt_timeout"),
        buffer: fields.size32(d, "buffer"),
        hedge: hedge(d, &fields),
    };
    fields.finish();
    if let Some(attempt) = retry.attempt_timeout {
        bounded_by(d, &fields, "attempt_timeout", attempt, timeout);
    }
    if let Some(Hedge::After(after)) = retry.hedge {
        bounded_by(d, &fields, "hedge", after, timeout);
    }
    if let (1, Some(entry)) = (retry.attempts, fields.entry("hedge"))
        && retry.hedge.is_some()
    {
        let what = "there is no second attempt that `hedge` could make: `attempts` is 1";
        d.report.warn(entry.key.span, what);
    }
    Some(retry).filter(|retry| retry.attempts > 1)
}

/// Warns of a time that the route's `timeout.headers` never lets come.
fn bounded_by(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    name: &str,
    time: Duration,
    timeout: &RouteTimeout,
) {
    if let Some(entry) = fields.entry(name).filter(|_| time > timeout.headers) {
        let headers = show_duration(timeout.headers);
        let what = format!(
            "`{name}` is above `timeout.headers` ({headers}), which ends every attempt first"
        );
        d.report.warn(entry.value.span, what).hint =
            Some("lower it, or raise `timeout.headers`".to_owned());
    }
}

fn on(d: &mut Decoder<'_>, fields: &Fields<'_>) -> RetryOn {
    let written = fields.at(d, "on", |d, node| {
        if node.is_empty_list() {
            d.report.error(node.span, "`on` is empty: nothing would be tried again").hint =
                Some("write `retry: off` for that".to_owned());
        }
        d.each(node, ENTRIES, |d, node| d.parsed(node, RETRY_ON, failure))
    });
    let default = || fields.default_text("on").split(", ").flat_map(failure).collect();
    let mut on = RetryOn::default();
    for failure in written.unwrap_or_else(default) {
        match failure {
            Failure::Connect => on.connect = true,
            Failure::Reset => on.reset = true,
            Failure::Timeout => on.timeout = true,
            Failure::Status(range) => on.statuses.push(range),
        }
    }
    on
}

fn failure(text: &str) -> Result<Failure, Complaint> {
    match text {
        "connect" => Ok(Failure::Connect),
        "reset" => Ok(Failure::Reset),
        "timeout" => Ok(Failure::Timeout),
        "5xx" => Ok(Failure::Status(StatusRange { first: 500, last: 599 })),
        _ => health::range(text, 400..=599).map(Failure::Status).ok_or_else(|| {
            let what = format!("expected {RETRY_ON}, found `{}`", shorten(text));
            let meant = Diagnostic::suggest(text, WORDS);
            let hint = meant.map(|word| format!("did you mean `{word}`?"));
            Complaint { hint, ..Complaint::new(what) }
        }),
    }
}

/// One that is written moves the default of the other out of its way.
fn backoff(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Backoff {
    let inner = fields.section(d, "backoff", "routes[].retry.backoff");
    let (base, max) = (inner.duration(d, "base"), inner.duration(d, "max"));
    inner.finish();
    match (inner.node("base"), inner.node("max")) {
        (Some(_), None) => Backoff { base, max: max.max(base) },
        (Some(node), Some(_)) if base > max => {
            d.report.warn(node.span, "`base` is above `max`, which bounds every wait");
            Backoff { base, max }
        }
        _ => Backoff { base: base.min(max), max },
    }
}

fn budget(d: &mut Decoder<'_>, fields: &Fields<'_>) -> RetryBudget {
    let budget = fields.policy(d, "budget", "routes[].retry.budget");
    let inner = budget.unwrap_or_else(|| Fields::empty("routes[].retry.budget"));
    let read = RetryBudget {
        percent: inner.percent(d, "percent"),
        min_per_sec: inner.count(d, "min_per_sec"),
        window: inner.duration(d, "window"),
    };
    inner.finish();
    if let Some(entry) = fields.entry("budget")
        && read.percent <= 0.0
        && read.min_per_sec == 0
    {
        let what = "0% and none a second: nothing is ever tried again";
        d.report.warn(entry.value.span, what).hint =
            Some("write `retry: off`, or raise one of them".to_owned());
    }
    read
}

fn hedge(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Hedge> {
    let inner = fields.policy(d, "hedge", "routes[].retry.hedge")?;
    let after = inner.duration_or(d, "after");
    inner.finish();
    Some(after.map_or(Hedge::P95, Hedge::After))
}

#[cfg(test)]
mod tests;
