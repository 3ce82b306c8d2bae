//! `cargo xtask sim`: the members' long runs, whose figures stand in docs/membership.md.

use std::time::Instant;

use crate::process::{self, cargo};

pub(crate) const HELP: &str = "\
cargo xtask sim [WORD]

Runs every long scenario of the simulated members, or those whose arguments contain WORD.
Another seed: cargo run --release -p weir-discovery --example sim -- SCENARIO --seed S
";

/// What docs/membership.md tells of.
const RUNS: &[&str] = &[
    "crash --runs 1000 --seed 1",
    "crash --runs 1000 --seed 10001 --loss 0.05",
    "crash --runs 1000 --seed 20001 --loss 0.1",
    "crash --nodes 8 --runs 200",
    "crash --nodes 32 --runs 200",
    "crash --nodes 1000 --runs 20",
    "crashes --nodes 1000 --runs 10",
    "loss --runs 5 --loss 0.1",
    "loss --runs 5 --loss 0.2",
    "lifeguard",
    "partition --runs 5",
    "pause --runs 50",
    "starve --runs 50",
    "flipflop --runs 5",
    "bootstrap --nodes 500 --loss 0.1",
    "bootstrap --nodes 2000",
    "churn --runs 20",
    "churn --runs 20 --seed 100 --loss 0.1",
    "steady --nodes 32",
    "steady --nodes 1000",
    "steady --nodes 10000",
];

pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let word = match arguments {
        [] => "",
        [word] if !word.starts_with('-') => word,
        _ => {
            print!("{HELP}");
            return Ok(());
        }
    };
    let mut broken = Vec::new();
    for arguments in RUNS.iter().filter(|arguments| arguments.contains(word)) {
        let mut command =
            cargo(["run", "--release", "-q", "-p", "weir-discovery", "--example", "sim", "--"]);
        command.args(arguments.split(' '));
        let began = Instant::now();
        if process::run(command).is_err() {
            broken.push(*arguments);
        }
        println!("{:<40} {:.1}", "took s", began.elapsed().as_secs_f64());
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("broken: {}", broken.join("; "))) }
}
