//! The module `k6/execution`.

use std::sync::atomic::Ordering;

use rquickjs::{Ctx, Exception, Function, IntoJs, Object, Result, Value};

use crate::{
    clock,
    options::{Executor, SystemTag},
    vm::{fiber, state},
};

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("execution", Function::new(ctx.clone(), look)?)?;
    native.set("abort", Function::new(ctx.clone(), abort)?)?;
    native.set("failTest", Function::new(ctx.clone(), fail_test)?)?;
    native.set("tag", Function::new(ctx.clone(), tag)?)?;
    native.set("setTag", Function::new(ctx.clone(), set_tag)?)?;
    native.set("deleteTag", Function::new(ctx.clone(), delete_tag)?)?;
    native.set("tagKeys", Function::new(ctx.clone(), tag_keys)?)
}

fn look<'js>(ctx: Ctx<'js>, name: String) -> Result<Value<'js>> {
    let Some(vu) = state::current() else { return Ok(Value::new_undefined(ctx)) };
    let environment = &vu.local.environment;
    if vu.is_init.get() {
        let text = format!("getting {name} in the init context is not supported");
        return Err(Exception::throw_message(&ctx, &text));
    }
    let number = |ctx: Ctx<'js>, number: u64| Ok(Value::new_number(ctx, number as f64));
    if let Some(name) = name.strip_prefix("scenario.") {
        let place = vu.place.borrow();
        let Some(place) = place.as_ref() else {
            let text = "getting scenario information outside of the VU context is not supported";
            return Err(Exception::throw_message(&ctx, text));
        };
        return match name {
            "name" => (&*place.scenario.name).into_js(&ctx),
            "executor" => executor_name(&place.scenario.executor).into_js(&ctx),
            "startTime" => {
                let since = clock::now().saturating_duration_since(place.begun);
                let at = clock::unix().saturating_sub(since);
                number(ctx, at.as_millis() as u64)
            }
            "progress" => {
                let millionths = place.progress.load(Ordering::Relaxed);
                Ok(Value::new_number(ctx, millionths as f64 / 1e6))
            }
            _ => number(ctx, vu.iteration_in_test.get()),
        };
    }
    let counts = &environment.counts;
    match &*name {
        "instance.iterationsInterrupted" => number(ctx, counts.interrupted.load(Ordering::Relaxed)),
        "instance.iterationsCompleted" => number(ctx, counts.completed.load(Ordering::Relaxed)),
        "instance.vusActive" => number(ctx, counts.active.load(Ordering::Relaxed)),
        "instance.vusInitialized" => number(ctx, counts.initialized.load(Ordering::Relaxed)),
        "instance.currentTestRunDuration" => {
            let since = clock::now().saturating_duration_since(environment.begun);
            Ok(Value::new_number(ctx, since.as_secs_f64() * 1e3))
        }
        "vu.idInInstance" | "vu.idInTest" => number(ctx, vu.id),
        "vu.iterationInInstance" => number(ctx, vu.iteration.get()),
        "vu.iterationInScenario" => number(ctx, vu.iteration_in_scenario.get()),
        "test.options" => (&*environment.options_json).into_js(&ctx),
        _ => Ok(Value::new_undefined(ctx)),
    }
}

fn executor_name(executor: &Executor) -> &'static str {
    match executor {
        Executor::SharedIterations { .. } => "shared-iterations",
        Executor::PerVuIterations { .. } => "per-vu-iterations",
        Executor::ConstantVus { .. } => "constant-vus",
        Executor::RampingVus { .. } => "ramping-vus",
        Executor::ConstantArrivalRate { .. } => "constant-arrival-rate",
        Executor::RampingArrivalRate { .. } => "ramping-arrival-rate",
    }
}

fn abort(ctx: Ctx<'_>, reason: String) -> Result<()> {
    let reason =
        if reason.is_empty() { "test aborted".into() } else { format!("test aborted: {reason}") };
    if let Some(vu) = state::current() {
        vu.local.environment.abort.abort(reason);
    }
    Err(fiber::throw_stopped(&ctx))
}

fn fail_test(reason: String) {
    if let Some(vu) = state::current() {
        vu.local.environment.abort.fail(reason);
    }
}

const GROUP: &str = "group";

fn has_group(vu: &state::VuState) -> bool {
    vu.system_tags().has(SystemTag::Group)
}

fn tag(name: String) -> Option<String> {
    let vu = state::current()?;
    let tags = vu.tags.borrow();
    let own = crate::metrics::Tags::value(&*tags, &name).map(str::to_string);
    own.or_else(|| (name == GROUP && has_group(&vu)).then(|| vu.group.borrow().to_string()))
}

fn set_tag(name: String, value: String) {
    if let Some(vu) = state::current() {
        let tags = vu.tags.borrow().with(&[(&name, &value)]);
        *vu.tags.borrow_mut() = tags;
    }
}

fn delete_tag(name: String) {
    if let Some(vu) = state::current() {
        let tags = vu.tags.borrow().without(&name);
        *vu.tags.borrow_mut() = tags;
    }
}

fn tag_keys() -> Vec<String> {
    let Some(vu) = state::current() else { return Vec::new() };
    let tags = vu.tags.borrow();
    let group = has_group(&vu).then_some(GROUP);
    group.into_iter().chain(tags.iter().map(|(key, _)| key)).map(str::to_string).collect()
}
