//! The binary `weir-load`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use weir_load::bench;

/// Weir's load tester.
#[derive(Debug, Parser)]
#[command(name = "weir-load", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One request again and again, without a script
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let exit = match Arguments::parse().command {
        Command::Bench(args) => bench::run(&args),
    };
    ExitCode::from(exit.code())
}
