//! The command line: `weir run`, `check`, `route` and their siblings.
//!
//! Every command that reads a file takes it through the same load and compilation as the gateway
//! itself, so that what `weir check` accepts is what `weir run` runs.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use weir_config::{
    Diagnostic, Diagnostics, Loaded,
    model::{self, DiscoverySource},
};

use crate::{
    app::{self, Source},
    clock,
    discover::Found,
    snapshot::{Compiled, compile},
};

mod agent;
mod demo;
mod file;
mod lookup;
mod oneline;
mod output;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; for `run` and `demo`: stopped by a signal
  1  `run`, `demo`: cannot start, such as an address in use; `route`: no route takes the request
  2  the file or the command line is wrong";

/// Weir, an L7 service gateway: one binary, one YAML file.
#[derive(Debug, Parser)]
#[command(name = "weir", version = app::VERSION, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway. SIGHUP or a changed file reloads; SIGTERM drains and exits 0
    #[command(after_help = EXIT_CODES)]
    Run {
        /// The configuration
        #[arg(short = 'c', long = "config", value_name = "FILE", default_value = "weir.yaml")]
        #[arg(conflicts_with_all = ["listen", "to"])]
        config: PathBuf,
        /// Without a file: an address to listen on, such as `:8080`; may be repeated
        #[arg(long, value_name = "ADDRESS", requires = "to")]
        listen: Vec<String>,
        /// Without a file: an endpoint to forward to, such as `127.0.0.1:9001`; may be repeated
        #[arg(long, value_name = "ADDRESS", requires = "listen")]
        to: Vec<String>,
    },
    /// Run two built-in services behind a gateway, and print what to try
    Demo,
    /// Say whether a file is valid, and everything that is wrong with it
    ///
    /// This is the same compilation that `run` does, so that a certificate that does not load is an
    /// error here too. Warnings do not make a file invalid.
    #[command(after_help = "Exit codes:\n  0  valid\n  2  invalid")]
    Check {
        /// The configuration
        file: PathBuf,
        /// Print the diagnostics as one JSON object
        #[arg(long, conflicts_with = "explain")]
        json: bool,
        /// Print the file with every effective default, secrets redacted
        #[arg(long)]
        explain: bool,
    },
    /// Say what a reload from one file to the other would change
    #[command(after_help = "Exit codes:\n  0  both files are valid\n  2  one of them is not")]
    Diff {
        /// The configuration before
        old: PathBuf,
        /// The configuration after
        new: PathBuf,
    },
    /// Say which route takes a request, why, and what it does
    #[command(after_help = "Exit codes:\n  0  a route takes it\n  1  no route takes it\n  \
                            2  the file, the URL or a header is wrong")]
    Route {
        /// The configuration
        file: PathBuf,
        /// Method, such as GET
        method: String,
        /// URL, such as `https://api.example.com/v1/users?page=2`, or a path
        url: String,
        /// Header field of the request, such as `-H 'x-beta: 1'`; may be repeated
        #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
        headers: Vec<String>,
    },
    /// Announce an instance of a service to a membership, while it is well
    Agent(Box<agent::Arguments>),
    /// Print the JSON Schema of the file, for editors
    Schema,
    /// Print the reference page of the file, in Markdown
    #[command(hide = true)]
    Reference,
}

/// Runs what the process's arguments say. Exit codes: see `weir --help`.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { config, listen, .. } if listen.is_empty() => app::run(Source::File(config)),
        Command::Run { listen, to, .. } => app::run(oneline::source(&listen, &to)),
        Command::Demo => demo::run(),
        Command::Check { file, json, explain } => file::check(&file, json, explain),
        Command::Diff { old, new } => file::diff(&old, &new),
        Command::Route { file, method, url, headers } => {
            lookup::run(&file, &method, &url, &headers)
        }
        Command::Agent(arguments) => agent::run(*arguments),
        Command::Schema => {
            output::print(&format!("{:#}\n", weir_config::schema()), ExitCode::SUCCESS)
        }
        Command::Reference => output::print(&weir_config::reference(), ExitCode::SUCCESS),
    }
}

/// What a wrong file, URL or flag comes to.
fn wrong() -> ExitCode {
    ExitCode::from(2)
}

/// Takes a file as far as `weir run` does before it binds anything.
fn compiled(file: &Path) -> Result<(Loaded, Compiled), Diagnostics> {
    let loaded = weir_config::load(file)?;
    let mut compiled = compile(&loaded, &Found::default(), None, clock::now(), clock::unix_time())?;
    let lists = loaded.config.upstreams.iter().filter_map(|upstream| list(&loaded, upstream));
    compiled.warnings = Diagnostics::new(compiled.warnings.iter().cloned().chain(lists).collect());
    Ok((loaded, compiled))
}

/// What is wrong with the list of endpoints that an upstream names. No error: the gateway starts
/// without it, and takes it when it is right.
fn list(loaded: &Loaded, upstream: &model::Upstream) -> Option<Diagnostic> {
    let discovery = upstream.discovery.as_ref()?;
    let DiscoverySource::File(path) = &discovery.source else { return None };
    let wrong = weir_config::load_endpoints(path).err()?;
    let first = wrong.iter().next()?;
    let line = Some(first.line).filter(|line| *line > 0).map(|line| format!(":{line}"));
    let what = format!("{}{}: {}", path.display(), line.unwrap_or_default(), first.what);
    Some(loaded.warning(discovery.at, what))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
