//! The command line.

use std::{io::Read, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{
    bench,
    engine::{self, Invocation, SummaryMode},
    exit::Exit,
    options::Flags,
    output::Target,
    vm::console,
};

/// A load tester that runs k6 scripts.
#[derive(Debug, Parser)]
#[command(name = "weir-load", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a test
    Run(Box<RunArgs>),
    /// Send one request again and again, without a script
    Bench(Box<bench::Args>),
}

#[derive(Args, Clone, Debug)]
struct RunArgs {
    /// The script; - reads it from standard input
    script: String,
    #[command(flatten)]
    flags: Flags,
    /// A variable of __ENV as NAME=VALUE; may be given again
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Leave the environment out of __ENV
    #[arg(long)]
    no_system_env_vars: bool,
    /// Where samples go: json=FILE or csv=FILE; may be given again
    #[arg(short, long = "out", value_name = "OUTPUT")]
    out: Vec<String>,
    /// Write the summary to this file as JSON
    #[arg(long, value_name = "FILE")]
    summary_export: Option<PathBuf>,
    /// How much the summary says
    #[arg(long, value_enum, default_value_t)]
    summary_mode: SummaryMode,
    /// Print no summary
    #[arg(long)]
    no_summary: bool,
    /// Do not judge thresholds
    #[arg(long)]
    no_thresholds: bool,
    /// Do not call setup()
    #[arg(long)]
    no_setup: bool,
    /// Do not call teardown()
    #[arg(long)]
    no_teardown: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Show console.debug() as well
    #[arg(short, long)]
    verbose: bool,
    /// Write console output to this file
    #[arg(long, value_name = "FILE")]
    console_output: Option<PathBuf>,
    /// Worker threads
    #[arg(long, value_name = "NUMBER")]
    workers: Option<u32>,
}

/// Does what the command line asks for.
pub fn main() -> Exit {
    match Cli::try_parse() {
        Ok(Cli { command: Command::Bench(args) }) => bench::run(&args),
        Ok(Cli { command: Command::Run(args) }) => match invocation(*args) {
            Ok(invocation) => engine::run(&invocation),
            Err(text) => {
                console::write("error", &text);
                Exit::InvalidConfig
            }
        },
        Err(error) => {
            // Help and version are no errors.
            let exit = if error.use_stderr() { Exit::InvalidConfig } else { Exit::Passed };
            let _ = error.print();
            exit
        }
    }
}

fn invocation(args: RunArgs) -> Result<Invocation, String> {
    let file = args.console_output.as_ref().map(std::fs::File::create).transpose();
    console::set_output(file.map_err(|error| format!("--console-output: {error}"))?, args.verbose);
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut env = if args.no_system_env_vars { Vec::new() } else { environment.clone() };
    for pair in &args.env {
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name.to_string(), value.to_string()),
            None => (pair.clone(), std::env::var(pair).unwrap_or_default()),
        };
        env.push((name, value));
    }
    let (script, source) = match &*args.script {
        "-" => {
            let mut source = String::new();
            std::io::stdin().read_to_string(&mut source).map_err(|error| error.to_string())?;
            (PathBuf::from("stdin.js"), Some(source))
        }
        path => (PathBuf::from(path), None),
    };
    let outputs: Result<Vec<Target>, _> = args.out.iter().map(|out| Target::parse(out)).collect();
    Ok(Invocation {
        script,
        source,
        flags: args.flags,
        environment,
        env,
        outputs: outputs.map_err(|error| error.to_string())?,
        summary_export: args.summary_export,
        summary_mode: if args.no_summary { SummaryMode::Disabled } else { args.summary_mode },
        no_thresholds: args.no_thresholds,
        no_setup: args.no_setup,
        no_teardown: args.no_teardown,
        quiet: args.quiet,
        workers: args.workers,
    })
}
