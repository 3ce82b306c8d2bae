//! A route's script.

use serde_json::{Value, json};

use crate::{
    model::{OnScriptError, RouteScript, ScriptSource},
    units::{show_duration, show_size},
};

pub(super) fn route(one: &RouteScript) -> Value {
    let (key, text) = match &one.source {
        ScriptSource::File(path) => ("file", path.display().to_string()),
        ScriptSource::Inline(text) => ("inline", text.clone()),
    };
    json!({
        key: text,
        "timeout": show_duration(one.timeout),
        "steps": one.steps,
        "memory": show_size(one.memory),
        "on_error": match one.on_error {
            OnScriptError::Fail => "fail",
            OnScriptError::Pass => "pass",
        },
    })
}
