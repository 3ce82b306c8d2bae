//! Standard output, which may be a pipe that nobody reads any more.

use std::{
    io::{self, ErrorKind, Write as _},
    process::ExitCode,
};

/// Prints a text and returns `code`, or the code of a failure when the text cannot be written. A
/// reader that has gone away, such as `head`, has what it wanted.
pub(super) fn print(text: &str, code: ExitCode) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
        _ => code,
    }
}
