//! Exceptions of scripts, in words.

use rquickjs::{Ctx, Error, Value};

use super::{fiber, state};

/// Why a script's code ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptFailure {
    /// It threw.
    Exception,
    /// It was stopped: its time was up or the run was aborted.
    Stopped,
    /// What it exports is not what is needed.
    Exports,
}

/// A script's code ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ScriptError {
    /// Why.
    pub failure: ScriptFailure,
    /// The exception with the places it went through, `file:line:column`.
    pub text: String,
}

impl ScriptError {
    pub(crate) fn new(failure: ScriptFailure, text: impl Into<String>) -> Self {
        Self { failure, text: text.into() }
    }

    /// The pending exception of `ctx`, or what `error` says.
    pub(crate) fn of(ctx: &Ctx<'_>, error: &Error) -> Self {
        if fiber::is_interrupted() {
            ctx.catch();
            return Self::new(ScriptFailure::Stopped, "the iteration was stopped");
        }
        if !error.is_exception() {
            return Self::new(ScriptFailure::Exception, error.to_string());
        }
        Self::new(ScriptFailure::Exception, describe(&ctx.catch()))
    }
}

/// That an interpreter has used all the memory that it may.
pub(super) fn out_of_memory(memory_bytes: usize) -> String {
    let mib = memory_bytes >> 20;
    format!("out of memory: all VUs of this thread have {mib} MiB together (--vm-memory)")
}

/// An exception as text: name, message, and where it came from.
pub(crate) fn describe(value: &Value<'_>) -> String {
    let Some(object) = value.as_object().filter(|_| value.is_error()) else {
        return plain(value);
    };
    let text = |key: &str| object.get::<_, Option<String>>(key).ok().flatten().unwrap_or_default();
    let (name, message) = (text("name"), text("message"));
    let message = match state::current() {
        Some(vu) if name == "InternalError" && message == "out of memory" => {
            out_of_memory(vu.local.environment.vm_memory_bytes)
        }
        _ => message,
    };
    let mut all = if message.is_empty() { name } else { format!("{name}: {message}") };
    for line in text("stack").lines() {
        let line = line.trim();
        // Frames of native code say nothing to the script's author.
        if !line.is_empty() && !line.contains("(native)") && !line.contains("weir:library") {
            all.push_str("\n\t");
            all.push_str(line);
        }
    }
    all
}

fn plain(value: &Value<'_>) -> String {
    let ctx = value.ctx().clone();
    if let Some(text) = value.as_string() {
        return text.to_string().unwrap_or_default();
    }
    match ctx.json_stringify(value.clone()) {
        Ok(Some(text)) => text.to_string().unwrap_or_default(),
        _ => {
            ctx.catch();
            format!("{:?}", value.type_of())
        }
    }
}
