//! Scripts of routes.

use std::{path::PathBuf, time::Duration};

use super::At;

/// A route's script, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteScript {
    /// Where its text, or the path of its file, stands in the file.
    pub at: At,
    /// Where its text is.
    pub source: ScriptSource,
    /// How long one hook may run; what it waits for does not count.
    pub timeout: Duration,
    /// Calls and turns of loops that one hook may make.
    pub steps: u32,
    /// Bytes that it may use on each worker.
    pub memory: u64,
    /// What follows where a hook fails.
    pub on_error: OnScriptError,
}

/// A value of a request, as an expression in Lua says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LuaValue {
    /// Where it stands in the file.
    pub at: At,
    /// The expression.
    pub text: String,
}

/// Where the text of a script is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptSource {
    /// In a file.
    File(PathBuf),
    /// Here.
    Inline(String),
}

/// What follows where a hook fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnScriptError {
    /// The request is answered 500.
    Fail,
    /// It goes on as if there were no hook.
    Pass,
}
