//! What budgets, jitter and failing fast do about storms of retries, simulated in virtual time with
//! the gateway's own back-off and budget: `cargo run --release -p weir-gateway --example retry_sim
//! -- SEED`.
//!
//! Prints three tables. The same seed gives the same figures on every machine.
#![allow(clippy::print_stdout, reason = "a program that reports on stdout")]

use std::{env, process::ExitCode, time::Duration};

mod agenda;
mod contention;
mod outage;
#[cfg(test)]
mod tests;
mod tiers;

use contention::Wait;
use outage::{Client, Course, Outage};

/// How long the backend is down.
const LENGTH: Duration = Duration::from_secs(10);
/// Seconds after the outage that the table of goodput shows.
const SHOWN: [u64; 6] = [0, 1, 2, 5, 10, 30];

fn main() -> ExitCode {
    let seed = match env::args().nth(1).map(|seed| seed.parse()) {
        None => 1,
        Some(Ok(seed)) => seed,
        Some(Err(_)) => {
            eprintln!("usage: retry_sim [SEED], a whole number");
            return ExitCode::from(2);
        }
    };
    contention(seed);
    println!();
    amplification(seed);
    for outage in [Outage::Dead, Outage::Stalled] {
        println!();
        recovery(outage, seed);
    }
    ExitCode::SUCCESS
}

fn contention(seed: u64) {
    println!("| wait | 50 clients: calls | time | 100 clients: calls | time |");
    println!("|---|--:|--:|--:|--:|");
    for wait in Wait::ALL {
        let [(few, soon), (many, late)] = [50, 100].map(|clients| {
            let contention = contention::mean(clients, wait, seed);
            (format!("{:.0}", contention.calls), format!("{:.1} s", contention.seconds))
        });
        println!("| {} | {few} | {soon} | {many} | {late} |", wait.name());
    }
}

fn amplification(seed: u64) {
    println!(
        "| budget of each tier | requests a second | backend's calls for one request | bound |"
    );
    println!("|---|--:|--:|--:|");
    for (name, chain) in tiers::rows() {
        let bound = chain.bound();
        println!("| {name} | {} | {:.2} | {bound:.2} |", chain.rate, tiers::amplify(&chain, seed));
    }
}

fn recovery(outage: Outage, seed: u64) {
    print!("| {}: clients | calls for one request while down |", outage.name());
    for second in SHOWN {
        print!(" +{second} s |");
    }
    println!(" back at 95 % |");
    println!("|---|--:|{}--:|", "--:|".repeat(SHOWN.len()));
    for client in Client::ALL {
        let course = outage::run(outage, client, LENGTH, seed);
        print!("| {} | {:.2} |", client.name(), course.pressure());
        for second in SHOWN {
            print!(" {:.0} % |", course.goodput(second) * 100.0);
        }
        println!(" {} |", since(&course));
    }
}

fn since(course: &Course) -> String {
    match course.recovery() {
        Some(Duration::ZERO) => "at once".to_owned(),
        Some(after) => format!("after {:.1} s", after.as_secs_f64()),
        None => "never".to_owned(),
    }
}
