//! Lines on standard error, as k6 has them: what scripts write to the console, unless it goes to a
//! file, and what the program has to say.

use std::{
    fs::File,
    io::Write,
    sync::{Mutex, OnceLock, PoisonError},
};

use crate::clock;

static OUTPUT: OnceLock<Output> = OnceLock::new();
/// The lines at the foot of the terminal, below whatever else is written.
static FOOT: Mutex<Vec<String>> = Mutex::new(Vec::new());

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
    let Some(line) = line(output(), level, text) else { return };
    let foot = FOOT.lock().unwrap_or_else(PoisonError::into_inner);
    let text = match foot.is_empty() {
        true => line,
        // Above the foot, which is then drawn again.
        false => format!("{}{CLEAR_BELOW}{line}{}", up(&foot), drawn(&foot)),
    };
    // A console that is gone is no reason to end a run.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Draws `lines` at the foot of the terminal in place of those before, each cut to `columns`. All
/// in one write and without clearing first, so that nothing flickers.
pub fn draw(lines: Vec<String>, columns: usize) {
    let cut = |line: String| -> String { line.chars().take(columns.max(2) - 1).collect() };
    let lines: Vec<String> = lines.into_iter().map(cut).collect();
    let mut foot = FOOT.lock().unwrap_or_else(PoisonError::into_inner);
    let text = format!("{}{}{CLEAR_BELOW}", up(&foot), drawn(&lines));
    *foot = lines;
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// What was drawn last stays, and is no foot any more.
pub fn settle() {
    FOOT.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

const CLEAR_BELOW: &str = "\u{1b}[J";
const CLEAR_LINE_END: &str = "\u{1b}[K";

/// Moves to the first of these lines.
fn up(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("\r\u{1b}[{}A", lines.len()) }
}

fn drawn(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + line + CLEAR_LINE_END + "\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_over_those_before() {
        let lines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(drawn(&lines), "a\u{1b}[K\nb\u{1b}[K\n");
        assert_eq!(up(&lines), "\r\u{1b}[2A");
        assert_eq!(up(&[]), "");
    }
}
