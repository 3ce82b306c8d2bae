//! Why a script failed, in words for whoever wrote it.

use mlua::Error;

use super::budget::Exceeded;

/// Longest text that is passed on, in bytes.
const TEXT_MAX: usize = 1_000;

/// Why a hook failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Of which kind it is.
    pub(crate) kind: Kind,
    /// What happened, with the script's name and line where they are known.
    pub(crate) text: String,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The script did something that does not work, or threw.
    Error,
    /// It went on for too long, in time or in steps.
    Time,
    /// It wanted more memory than it may use.
    Memory,
}

impl Kind {
    /// Its name in logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Time => "timeout",
            Self::Memory => "memory",
        }
    }
}

impl Fault {
    /// Something that the script did wrong, of which no error tells.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { kind: Kind::Error, text: text.into() }
    }

    /// It happened there, as a trace of calls says, if it does not say so itself.
    pub(super) fn place(&mut self, script: &str, trace: &str) {
        let behind = self.text.strip_prefix(script).and_then(|rest| rest.strip_prefix(": "));
        if let (Some(behind), Some(line)) = (behind, line(trace, script)) {
            self.text = format!("{script}:{line}: {behind}");
        }
    }

    /// Tells the operator; `place` is the route's name and the request's id.
    #[cold]
    pub(super) fn tell(&self, script: &str, (route, id): (&str, &str), hook: &str) {
        let (kind, text) = (self.kind.name(), &self.text);
        tracing::warn!(script, route, hook, kind, id, "a script failed: {text}");
    }

    /// What an error of the script named `script` says.
    pub(super) fn of(error: &Error, script: &str, exceeded: Option<Exceeded>) -> Self {
        let (kind, text) = match (exceeded, innermost(error)) {
            (Some(exceeded), _) => (Kind::Time, located(what(exceeded), error, script)),
            (None, Error::MemoryError(_)) => {
                (Kind::Memory, located("it uses more memory than it may", error, script))
            }
            (None, Error::SyntaxError { message, .. }) => (Kind::Error, first(message).to_owned()),
            (None, Error::RuntimeError(text)) if is_memory(text) => {
                (Kind::Memory, located("it uses more memory than it may", error, script))
            }
            (None, Error::RuntimeError(text)) => (Kind::Error, located(first(text), error, script)),
            (None, other) => (Kind::Error, located(&other.to_string(), error, script)),
        };
        Self { kind, text: shorten(text) }
    }
}

fn is_memory(text: &str) -> bool {
    first(text).ends_with("not enough memory")
}

const fn what(exceeded: Exceeded) -> &'static str {
    match exceeded {
        Exceeded::Steps => "it takes more steps than it may (`script.steps`)",
        Exceeded::Time => "it runs for longer than it may (`script.timeout`)",
    }
}

/// The error that others only carry.
fn innermost(error: &Error) -> &Error {
    match error {
        Error::CallbackError { cause, .. } => innermost(cause),
        Error::BadArgument { cause, .. } if matches!(**cause, Error::RuntimeError(_)) => cause,
        error => error,
    }
}

/// The text, behind the script's name and the line where it happened.
fn located(text: &str, error: &Error, script: &str) -> String {
    if is_place(text, script) {
        return text.to_owned();
    }
    match place(error, script) {
        Some(line) => format!("{script}:{line}: {text}"),
        None => format!("{script}: {text}"),
    }
}

fn is_place(text: &str, script: &str) -> bool {
    text.strip_prefix(script)
        .and_then(|rest| rest.strip_prefix(':'))
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The innermost line of the script in a trace of calls.
fn place(error: &Error, script: &str) -> Option<u32> {
    let trace = match error {
        Error::CallbackError { traceback, cause } => {
            return line(traceback, script).or_else(|| place(cause, script));
        }
        Error::RuntimeError(text) | Error::MemoryError(text) => text,
        _ => return None,
    };
    line(trace, script)
}

fn line(trace: &str, script: &str) -> Option<u32> {
    trace.lines().find_map(|one| {
        let (_, rest) = one.split_once(script)?;
        let digits = rest.strip_prefix(':')?;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    })
}

/// The first line: behind it is the trace of calls.
fn first(text: &str) -> &str {
    text.split_once("\nstack traceback:").map_or(text, |(text, _)| text).trim_end()
}

fn shorten(mut text: String) -> String {
    let mut end = TEXT_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.replace(['\n', '\r'], " ")
}
