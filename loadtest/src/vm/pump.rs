//! What a script has left to do: jobs of promises, timers, requests that it did not wait for.

use rquickjs::{CatchResultExt, Ctx, Promise, Value};

use super::{ScriptError, ScriptFailure, error::describe, fiber, state::VuState};

/// Runs what is pending until nothing is left: jobs of promises, timers, asynchronous requests.
pub(super) fn pump(
    ctx: &Ctx<'_>,
    vu: &VuState,
    promise: Option<&Promise<'_>>,
) -> Result<(), ScriptError> {
    let stopped = || ScriptError::new(ScriptFailure::Stopped, "the iteration was stopped");
    loop {
        while ctx.execute_pending_job() {
            if fiber::is_interrupted() {
                return Err(stopped());
            }
        }
        let is_rejected =
            |promise: &Promise<'_>| promise.state() == rquickjs::promise::PromiseState::Rejected;
        if let Some(promise) = promise.filter(|promise| is_rejected(promise)) {
            vu.rejection.borrow_mut().take();
            let result = promise.result::<Value<'_>>().unwrap_or(Err(rquickjs::Error::Unknown));
            return match result.catch(ctx) {
                Ok(_) => Ok(()),
                Err(_) if fiber::is_interrupted() => Err(stopped()),
                Err(rquickjs::CaughtError::Exception(e)) => Err(ScriptError::new(
                    ScriptFailure::Exception,
                    describe(e.as_object().as_value()),
                )),
                Err(rquickjs::CaughtError::Value(value)) => {
                    Err(ScriptError::new(ScriptFailure::Exception, describe(&value)))
                }
                Err(error @ rquickjs::CaughtError::Error(_)) => {
                    Err(ScriptError::new(ScriptFailure::Exception, error.to_string()))
                }
            };
        }
        if let Some(text) = vu.rejection.borrow_mut().take() {
            let text = format!("Uncaught (in promise) {text}");
            return Err(ScriptError::new(ScriptFailure::Exception, text));
        }
        if vu.operations.is_empty() {
            return Ok(());
        }
        match vu.operations.run_next(ctx) {
            Err(fiber::Stopped) => return Err(stopped()),
            Ok(Err(error)) => return Err(ScriptError::of(ctx, &error)),
            Ok(Ok(())) => {}
        }
    }
}

/// Ends a job, however it went: what is left of it must not be done in the next one.
pub(super) fn wind_up(ctx: &Ctx<'_>, vu: &VuState) {
    vu.operations.cancel_all();
    // An exception ends the iteration, but not what was promised before it.
    while !fiber::is_interrupted() && ctx.execute_pending_job() {}
    fiber::discard_jobs(ctx);
    vu.operations.cancel_all();
}
