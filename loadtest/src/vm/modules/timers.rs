//! Timers.

use std::time::Duration;

use rquickjs::{Ctx, Exception, Function, Object, Persistent, Result};

use crate::vm::{
    operations::{Operations, Then},
    state,
};

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("startTimer", Function::new(ctx.clone(), start)?)?;
    native.set("stopTimer", Function::new(ctx.clone(), stop)?)
}

fn start<'js>(ctx: Ctx<'js>, call: Function<'js>, delay_ms: f64, repeats: bool) -> Result<u32> {
    let Some(vu) = state::current() else { return Ok(0) };
    let started = begin(&vu.operations, &ctx, call, delay_ms, repeats);
    started.ok_or_else(|| Exception::throw_range(&ctx, "too many timers"))
}

/// Begins a timer among `operations`; `None` when there are too many.
pub(super) fn begin<'js>(
    operations: &Operations,
    ctx: &Ctx<'js>,
    call: Function<'js>,
    delay_ms: f64,
    repeats: bool,
) -> Option<u32> {
    let delay_ms = delay_ms.clamp(if repeats { 1.0 } else { 0.0 }, 1e12);
    let then = Then::Call { function: Persistent::save(ctx, call), repeats };
    operations.start_timer(Duration::from_secs_f64(delay_ms / 1e3), then)
}

fn stop(id: rquickjs::function::Opt<f64>) {
    if let (Some(vu), Some(id)) = (state::current(), id.0) {
        vu.operations.cancel(id as u32);
    }
}
