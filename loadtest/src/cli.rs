//! The command line.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

use crate::{
    bench,
    compare::compare,
    engine::{self, Invocation, SummaryMode},
    exit::Exit,
    options::Flags,
    output::Target,
    scenario::{self, Scenario, Work},
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
    /// Print the options that a test would run with, as JSON
    Inspect(Box<InspectArgs>),
    /// Say whether a second run was slower than a first; ends with 99 when it was
    Compare(CompareArgs),
    /// Send one request again and again, without a script
    Bench(Box<bench::Args>),
    /// Ask a gateway what it should be asked, and judge its answers; without a name: list them
    Scenario(ScenarioArgs),
}

#[derive(Args, Clone, Debug)]
struct ScenarioArgs {
    /// Which one
    name: Option<String>,
    /// The gateway
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    target: String,
    /// Its admin API
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9901")]
    admin: String,
    /// A setting of the scenario as NAME=VALUE; may be given again
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Only say what it does, and its settings with their defaults
    #[arg(long)]
    about: bool,
    /// Write a page with charts to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the summary to this file as JSON
    #[arg(long, value_name = "FILE")]
    summary_export: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// A script and what its options come from.
#[derive(Args, Clone, Debug)]
struct ScriptArgs {
    /// The script; - reads it from standard input
    script: String,
    #[command(flatten)]
    flags: Flags,
    /// A JSON file of options, over which those of the script win [env: K6_CONFIG]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A variable of __ENV as NAME=VALUE; may be given again
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Whether the environment is part of __ENV
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set
    )]
    include_system_env_vars: bool,
}

#[derive(Args, Clone, Debug)]
struct InspectArgs {
    #[command(flatten)]
    script: ScriptArgs,
    /// Say how many VUs the test needs and how long it takes at most
    #[arg(long)]
    execution_requirements: bool,
}

#[derive(Args, Clone, Debug)]
struct CompareArgs {
    /// What --summary-export wrote of the first run
    before: PathBuf,
    /// And of the second
    after: PathBuf,
    /// Percentiles may grow by this share
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share)]
    tolerance: f64,
}

#[derive(Args, Clone, Debug)]
struct RunArgs {
    #[command(flatten)]
    script: ScriptArgs,
    /// Where samples go: json=FILE, csv=FILE, prometheus-rw=URL or opentelemetry=URL; may be given
    /// again
    #[arg(short, long = "out", value_name = "OUTPUT")]
    out: Vec<String>,
    /// Write the summary to this file as JSON
    #[arg(long, value_name = "FILE")]
    summary_export: Option<PathBuf>,
    /// Write an HTML report with charts to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
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
    /// Memory that the scripts of one worker may use, like 512M or 2G
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    vm_memory: Option<usize>,
}

/// Does what the command line asks for.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors.
            let exit = if error.use_stderr() { Exit::BadUsage } else { Exit::Passed };
            let _ = error.print();
            return exit;
        }
    };
    let result = match cli.command {
        Command::Bench(args) => return bench::run(&args),
        Command::Run(args) => run_invocation(*args).map(|invocation| engine::run(&invocation)),
        Command::Inspect(args) => script_invocation(args.script)
            .map(|invocation| engine::inspect(&invocation, args.execution_requirements)),
        Command::Compare(args) => run_compare(&args),
        Command::Scenario(args) => run_scenario(args),
    };
    result.unwrap_or_else(|text| {
        console::write("error", &text);
        Exit::InvalidConfig
    })
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share: &f64| share.is_finite() && *share >= 0.0);
    share.ok_or_else(|| "is no share, such as 0.05".to_owned())
}

fn read_json(path: &Path) -> Result<Value, String> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The least memory that an interpreter and its library fit into.
const VM_MEMORY_LEAST: usize = 4 << 20;

fn memory(text: &str) -> Result<usize, String> {
    let upper = text.to_ascii_uppercase();
    let number = upper.trim_end_matches("IB").trim_end_matches('B');
    let units = [('K', 10), ('M', 20), ('G', 30)];
    let unit = units.iter().find(|(unit, _)| number.ends_with(*unit));
    let (digits, shift) = match unit {
        Some((unit, shift)) => (number.trim_end_matches(*unit), *shift),
        None => (number, 0),
    };
    let bytes = digits.parse::<usize>().ok().and_then(|size| size.checked_mul(1 << shift));
    let bytes = bytes.ok_or_else(|| "is no size, such as 512M".to_owned())?;
    if bytes < VM_MEMORY_LEAST {
        return Err("is too little for an interpreter: at least 4M".to_owned());
    }
    Ok(bytes)
}

fn run_compare(args: &CompareArgs) -> Result<Exit, String> {
    let (before, after) = (read_json(&args.before)?, read_json(&args.after)?);
    let comparison = compare(&before, &after, args.tolerance).map_err(|error| error.to_string())?;
    if comparison.rows.is_empty() {
        return Err("the two runs have no metric in common that has enough values".to_owned());
    }
    console::print(&comparison.text());
    Ok(if comparison.is_regression() { Exit::ThresholdsCrossed } else { Exit::Passed })
}

fn run_scenario(args: ScenarioArgs) -> Result<Exit, String> {
    let Some(name) = &args.name else {
        console::print(&scenario::list());
        return Ok(Exit::Passed);
    };
    let scenario = Scenario::named(name)?;
    if args.about {
        console::print(&scenario.about());
        return Ok(Exit::Passed);
    }
    let mut env = vec![("TARGET".to_owned(), args.target), ("ADMIN".to_owned(), args.admin)];
    for pair in &args.env {
        let known = pair.split_once('=').filter(|(name, _)| scenario.reads(name));
        let (name, value) = known
            .ok_or_else(|| format!("`{pair}` sets nothing that it reads:\n{}", scenario.about()))?;
        env.push((name.to_owned(), value.to_owned()));
    }
    let script = match scenario.work {
        Work::Script(script) => script,
        Work::Native(_) if args.report.is_some() => {
            return Err(format!("--report: `{name}` is no script and has none"));
        }
        Work::Native(native) => {
            let (exit, result) = native.run(env, args.quiet)?;
            if let Some(path) = &args.summary_export {
                let written = fs::write(path, format!("{result:#}\n"));
                written.map_err(|error| format!("{}: {error}", path.display()))?;
            }
            return Ok(exit);
        }
    };
    Ok(engine::run(&Invocation {
        script: PathBuf::from(format!("{name}.js")),
        source: Some(script.to_owned()),
        env,
        report: args.report,
        summary_export: args.summary_export,
        quiet: args.quiet,
        ..Invocation::default()
    }))
}

fn script_invocation(args: ScriptArgs) -> Result<Invocation, String> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut env = if args.include_system_env_vars { environment.clone() } else { Vec::new() };
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
    let from_environment = environment.iter().find(|(name, _)| name == "K6_CONFIG");
    let from_environment = from_environment.map(|(_, path)| PathBuf::from(path));
    let config = match args.config.or(from_environment) {
        Some(path) => read_json(&path)?,
        None => Value::Null,
    };
    let flags = args.flags;
    Ok(Invocation { script, source, config, flags, environment, env, ..Invocation::default() })
}

fn run_invocation(args: RunArgs) -> Result<Invocation, String> {
    let file = args.console_output.as_ref().map(fs::File::create).transpose();
    console::set_output(file.map_err(|error| format!("--console-output: {error}"))?, args.verbose);
    let variable = |name: &str| std::env::var(name).ok();
    let outputs: Result<Vec<Target>, _> =
        args.out.iter().map(|out| Target::parse(out, &variable)).collect();
    Ok(Invocation {
        outputs: outputs.map_err(|error| error.to_string())?,
        summary_export: args.summary_export,
        report: args.report,
        summary_mode: if args.no_summary { SummaryMode::Disabled } else { args.summary_mode },
        no_thresholds: args.no_thresholds,
        no_setup: args.no_setup,
        no_teardown: args.no_teardown,
        quiet: args.quiet,
        workers: args.workers,
        vm_memory_bytes: args.vm_memory,
        ..script_invocation(args.script)?
    })
}
