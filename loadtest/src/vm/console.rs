//! What scripts write to the console: a line each to standard error, as k6 has it.

use std::{
    fs::File,
    io::Write,
    sync::{Mutex, OnceLock, PoisonError},
};

use crate::clock;

static OUTPUT: OnceLock<Output> = OnceLock::new();

struct Output {
    file: Option<Mutex<File>>,
    is_verbose: bool,
    begun: std::time::Instant,
}

/// Where lines go from now on: to `file` instead of standard error. Only the first call counts.
pub fn set_output(file: Option<File>, is_verbose: bool) {
    let file = file.map(Mutex::new);
    // Whoever was first has said so.
    let _ = OUTPUT.set(Output { file, is_verbose, begun: clock::now() });
}

/// Writes a line.
pub fn write(level: &str, text: &str) {
    let output =
        OUTPUT.get_or_init(|| Output { file: None, is_verbose: false, begun: clock::now() });
    let word = match level {
        "debug" if !output.is_verbose => return,
        "debug" => "DEBU",
        "warn" => "WARN",
        "error" => "ERRO",
        _ => "INFO",
    };
    let since = (clock::now() - output.begun).as_secs();
    let line = format!("{word}[{since:04}] {text}\n");
    // A console that is gone is no reason to end a run.
    let _ = match &output.file {
        Some(file) => {
            file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
        }
        None => std::io::stderr().write_all(line.as_bytes()),
    };
}

/// Writes to standard output.
pub fn print(text: &str) {
    // As above.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
