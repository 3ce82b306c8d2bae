//! The module `k6/metrics`.

use rquickjs::{Ctx, Exception, Function, Object, Result, Value, function::Opt};

use super::core::pairs;
use crate::{
    metrics::{Contains, Kind, MetricId},
    vm::{fiber::Handle, state},
};

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("metricNew", Function::new(ctx.clone(), metric_new)?)?;
    native.set("metricAdd", Function::new(ctx.clone(), metric_add)?)
}

struct Metric(MetricId);

fn metric_new<'js>(ctx: Ctx<'js>, kind: String, name: String, is_time: bool) -> Result<Value<'js>> {
    let Some(vu) = state::current().filter(|vu| vu.is_init.get()) else {
        let text = "metrics must be declared in the init context";
        return Err(Exception::throw_message(&ctx, text));
    };
    let kind = match &*kind {
        "Counter" => Kind::Counter,
        "Gauge" => Kind::Gauge,
        "Rate" => Kind::Rate,
        _ => Kind::Trend,
    };
    let contains = if is_time { Contains::Time } else { Contains::Default };
    let defined = vu.local.environment.metrics.define(&name, kind, contains);
    let id = defined.map_err(|error| Exception::throw_message(&ctx, &error.to_string()))?;
    let plain = vu.machine.prototypes().plain.clone().restore(&ctx)?;
    Handle::object(plain, Metric(id))
}

fn metric_add<'js>(
    ctx: Ctx<'js>,
    metric: Value<'js>,
    value: Value<'js>,
    tags: Opt<Value<'js>>,
) -> Result<bool> {
    let Some(metric) = Handle::of::<Metric>(&metric) else {
        return Err(Exception::throw_type(&ctx, "not a metric"));
    };
    let Some(vu) = state::current().filter(|vu| !vu.is_init.get()) else {
        let text = "metrics cannot be added to in the init context";
        return Err(Exception::throw_message(&ctx, text));
    };
    let number = match (value.as_bool(), value.as_number()) {
        (Some(truth), _) => f64::from(u8::from(truth)),
        (_, Some(number)) => number,
        // JavaScript would make it 0.
        _ if value.is_null() => f64::NAN,
        _ => value.get::<rquickjs::Coerced<f64>>()?.0,
    };
    if number.is_nan() {
        if vu.fail_on_error.get() {
            return Err(Exception::throw_type(&ctx, "an invalid value for a metric"));
        }
        return Ok(false);
    }
    let more = match tags.0.as_ref().and_then(Value::as_object) {
        Some(tags) => pairs(tags)?,
        None => Vec::new(),
    };
    let more: Vec<(&str, &str)> = more.iter().map(|(key, value)| (&**key, &**value)).collect();
    vu.local.record(&[(metric.0, number)], &vu.sample_tags(&more));
    Ok(true)
}
