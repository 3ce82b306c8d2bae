//! Lines on standard error, as k6 has them: what scripts write to the console, unless it goes to a
//! file, and what the program has to say.

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

/// Where the lines of scripts go from now on: to `file` instead of standard error. Only the first
/// call counts.
pub fn set_output(file: Option<File>, is_verbose: bool) {
    let file = file.map(Mutex::new);
    // Whoever was first has said so.
    let _ = OUTPUT.set(Output { file, is_verbose, begun: clock::now() });
}

/// Writes a line of the program's own.
pub fn write(level: &str, text: &str) {
    if let Some(line) = line(output(), level, text) {
        // A console that is gone is no reason to end a run.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// Writes a line of a script.
pub fn write_script(level: &str, text: &str) {
    let output = output();
    let Some(file) = &output.file else { return write(level, text) };
    if let Some(line) = line(output, level, text) {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            write("error", &format!("--console-output: {error}: {}", line.trim_end()));
        }
    }
}

fn output() -> &'static Output {
    OUTPUT.get_or_init(|| Output { file: None, is_verbose: false, begun: clock::now() })
}

fn line(output: &Output, level: &str, text: &str) -> Option<String> {
    let word = match level {
        "debug" if !output.is_verbose => return None,
        "debug" => "DEBU",
        "warn" => "WARN",
        "error" => "ERRO",
        _ => "INFO",
    };
    let since = (clock::now() - output.begun).as_secs();
    Some(format!("{word}[{since:04}] {text}\n"))
}

/// Writes to standard output.
pub fn print(text: &str) {
    // As above.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
