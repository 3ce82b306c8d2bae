//! How each way of balancing bears what happens to endpoints, simulated in virtual time with the
//! gateway's own code: `cargo run --release -p weir-gateway --example lb_sim -- SEED`.
//!
//! Prints one table. The same seed gives the same figures on every machine.
#![allow(clippy::print_stdout, reason = "a program that reports on stdout")]

use std::{env, process::ExitCode, time::Duration};

use weir_config::model::Balance;
use weir_gateway::clock;

mod run;
mod scenario;
mod server;
#[cfg(test)]
mod tests;

use run::{Outcomes, TIMEOUT};

const POLICIES: [(&str, Balance); 6] = [
    ("random", Balance::Random),
    ("round_robin", Balance::RoundRobin),
    ("least_request", Balance::LeastRequest),
    ("p2c", Balance::P2c),
    ("peak_ewma", Balance::PeakEwma),
    ("prequal", Balance::Prequal),
];

/// A run that takes longer shows how far it is.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let seed = match env::args().nth(1).map(|seed| seed.parse()) {
        None => 1,
        Some(Ok(seed)) => seed,
        Some(Err(_)) => {
            eprintln!("usage: lb_sim [SEED], a whole number");
            return ExitCode::from(2);
        }
    };
    let began = clock::now();
    let scenarios = scenario::all();
    println!("| scenario | policy | p50 ms | p90 ms | p99 ms | p99.9 ms | errors |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    for (done, scenario) in scenarios.iter().enumerate() {
        for (name, balance) in POLICIES {
            if clock::now().since(began) > PATIENCE {
                eprint!("\r{} of {}: {}, {name}   ", done + 1, scenarios.len(), scenario.name);
            }
            println!("{}", row(&scenario.name, name, &run::run(scenario, balance, seed)));
        }
    }
    if clock::now().since(began) > PATIENCE {
        eprintln!("\rseed {seed}, {} s{:40}", clock::now().since(began).as_secs(), "");
    }
    ExitCode::SUCCESS
}

fn row(scenario: &str, policy: &str, outcomes: &Outcomes) -> String {
    let quantile = |q: f64| {
        let latency = outcomes.quantile(q);
        if latency >= TIMEOUT { "time-out".to_owned() } else { latency.as_millis().to_string() }
    };
    let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(quantile);
    let errors = outcomes.errors as f64 * 100.0 / outcomes.requests.max(1) as f64;
    let errors = match outcomes.errors {
        0 => "0".to_owned(),
        _ if errors < 0.01 => "< 0.01 %".to_owned(),
        _ => format!("{errors:.2} %"),
    };
    format!("| {scenario} | {policy} | {p50} | {p90} | {p99} | {p999} | {errors} |")
}
