//! The binary `weir-load`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let exit = weir_load::cli::main();
    // Scripts that would not end may still hold a thread: the process ends all the same.
    ExitCode::from(exit.code())
}
