//! The module `k6`, and what is global.

use std::time::Duration;

use rquickjs::{Ctx, Exception, Function, Object, Result, Value, function::Opt};

use super::bytes;
use crate::{
    clock,
    metrics::{Tags as _, builtin},
    options::SystemTag,
    vm::{console, fiber, state},
};

/// The longest `sleep`: a year.
const SLEEP_MAX_SECONDS: f64 = 365.0 * 24.0 * 3600.0;

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("check", Function::new(ctx.clone(), check)?)?;
    native.set("group", Function::new(ctx.clone(), group)?)?;
    native.set("sleep", Function::new(ctx.clone(), sleep)?)?;
    native.set("randomSeed", Function::new(ctx.clone(), random_seed)?)?;
    native.set("random", Function::new(ctx.clone(), random)?)?;
    native.set("log", Function::new(ctx.clone(), log)?)?;
    native.set("open", Function::new(ctx.clone(), open)?)?;
    native.set("isInit", Function::new(ctx.clone(), is_init)?)
}

/// Pairs of a script's object as text, for tags.
pub(super) fn pairs(object: &Object<'_>) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for entry in object.props::<String, Value<'_>>() {
        let (key, value) = entry?;
        pairs.push((key, text(&value)?));
    }
    Ok(pairs)
}

/// A value as `String(value)` gives it.
pub(super) fn text(value: &Value<'_>) -> Result<String> {
    match value.as_string() {
        Some(text) => text.to_string(),
        None => Ok(value.get::<rquickjs::Coerced<String>>()?.0),
    }
}

fn check<'js>(
    ctx: Ctx<'js>,
    value: Value<'js>,
    sets: Value<'js>,
    tags: Opt<Value<'js>>,
) -> Result<bool> {
    let Some(vu) = state::current() else { return Ok(false) };
    let Some(sets) = sets.as_object() else {
        return Err(Exception::throw_type(&ctx, "check() takes an object of checks"));
    };
    if vu.is_init.get() {
        let text = "using check() in the init context is not supported";
        return Err(Exception::throw_message(&ctx, text));
    }
    let more = match tags.0.as_ref().and_then(Value::as_object) {
        Some(tags) => pairs(tags)?,
        None => Vec::new(),
    };
    let mut all = true;
    for entry in sets.props::<String, Value<'js>>() {
        let (name, test) = entry?;
        refuse_colons(&ctx, &name)?;
        let result = match test.as_function() {
            Some(function) => function.call::<_, Value<'js>>((value.clone(),)),
            None => Ok(test),
        };
        let passed = result.as_ref().is_ok_and(is_true);
        all &= passed;
        let mut extra: Vec<(&str, &str)> = Vec::with_capacity(more.len() + 1);
        if vu.system_tags().has(SystemTag::Check) {
            extra.push(("check", &name));
        }
        extra.extend(more.iter().map(|(key, value)| (&**key, &**value)));
        if let Some(recorder) = &mut *vu.local.recorder.borrow_mut() {
            // As in k6, the summary knows checks and groups by these tags.
            if vu.system_tags().has(SystemTag::Check) {
                let has_group = vu.system_tags().has(SystemTag::Group);
                let group = if has_group { vu.group.borrow().clone() } else { "".into() };
                recorder.check(&group, &name, passed);
                if let Some(parts) = recorder.parts() {
                    parts.groups(&scenario(&vu)).check(&group, &name, passed);
                }
            }
            let tags = vu.sample_tags(&extra);
            recorder.record(builtin::CHECKS, f64::from(u8::from(passed)), &tags, clock::unix());
        }
        result?;
    }
    Ok(all)
}

/// The scenario as its samples name it.
fn scenario(vu: &state::VuState) -> String {
    vu.tags.borrow().value("scenario").unwrap_or_default().to_owned()
}

/// Names are parts of a path that is written with these.
fn refuse_colons(ctx: &Ctx<'_>, name: &str) -> Result<()> {
    if name.contains("::") {
        let text = "group and check names may not contain '::'";
        return Err(Exception::throw_message(ctx, text));
    }
    Ok(())
}

/// JavaScript's truth.
fn is_true(value: &Value<'_>) -> bool {
    if let Some(truth) = value.as_bool() {
        return truth;
    }
    if let Some(number) = value.as_number() {
        return number != 0.0 && !number.is_nan();
    }
    if let Some(text) = value.as_string() {
        return text.to_string().is_ok_and(|text| !text.is_empty());
    }
    !(value.is_null() || value.is_undefined())
}

fn group<'js>(ctx: Ctx<'js>, name: String, body: Function<'js>) -> Result<Value<'js>> {
    let Some(vu) = state::current() else { return body.call(()) };
    let maker: Option<String> = body.get::<_, Object<'js>>("constructor")?.get("name")?;
    if maker.as_deref() == Some("AsyncFunction") {
        let text = "group() does not support async functions as arguments";
        return Err(Exception::throw_type(&ctx, text));
    }
    if vu.is_init.get() {
        let text = "using group() in the init context is not supported";
        return Err(Exception::throw_message(&ctx, text));
    }
    refuse_colons(&ctx, &name)?;
    let outer = vu.group.borrow().clone();
    let path = if name.is_empty() { outer.to_string() } else { format!("{outer}::{name}") };
    *vu.group.borrow_mut() = path.as_str().into();
    if let Some(recorder) = &mut *vu.local.recorder.borrow_mut() {
        recorder.enter_group(&path);
        if let Some(parts) = recorder.parts() {
            let groups = parts.groups(&scenario(&vu));
            // That of `setup()`, say, which nobody entered.
            groups.enter(&outer);
            groups.enter(&path);
        }
    }
    let begun = clock::now();
    let result = body.call::<_, Value<'js>>(());
    let took = clock::now() - begun;
    let tags = vu.sample_tags(&[]);
    vu.local.record(&[(builtin::GROUP_DURATION, took.as_secs_f64() * 1e3)], &tags);
    *vu.group.borrow_mut() = outer;
    result
}

fn sleep<'js>(ctx: Ctx<'js>, seconds: Opt<Value<'js>>) -> Result<()> {
    let Some(seconds) = seconds.0 else { return Ok(()) };
    let seconds = seconds.get::<rquickjs::Coerced<f64>>()?.0;
    if seconds.is_nan() || seconds <= 0.0 {
        return Ok(());
    }
    let time = Duration::from_secs_f64(seconds.min(SLEEP_MAX_SECONDS));
    fiber::wait(tokio::time::sleep(time)).map_err(|_| fiber::throw_stopped(&ctx))
}

fn random_seed(seed: f64) {
    if let Some(vu) = state::current() {
        *vu.random.borrow_mut() = fastrand::Rng::with_seed(seed.to_bits());
    }
}

fn random() -> f64 {
    state::current().map_or(0.5, |vu| vu.random.borrow_mut().f64())
}

fn log(level: String, text: String) {
    console::write_script(&level, &text);
}

fn is_init() -> bool {
    state::current().is_some_and(|vu| vu.is_init.get())
}

fn open<'js>(ctx: Ctx<'js>, path: String, mode: Opt<String>) -> Result<Value<'js>> {
    let Some(vu) = state::current().filter(|vu| vu.is_init.get()) else {
        let text = "the \"open\" function is only available in the init stage";
        return Err(Exception::throw_message(&ctx, text));
    };
    let file =
        vu.local.environment.bundle.file(&path).map_err(|error| {
            Exception::throw_message(&ctx, &format!("open(\"{path}\"): {error}"))
        })?;
    if mode.0.as_deref() == Some("b") {
        return bytes::buffer(&ctx, &file);
    }
    rquickjs::String::from_str(ctx, &String::from_utf8_lossy(&file))
        .map(rquickjs::String::into_value)
}
