//! Members in a world of their own: `sim SCENARIO [--nodes N] [--seed S] [--runs R] [--loss P]
//! [--seconds T]`. Prints what it showed; exits with 1 when an invariant or a bar broke.
#![allow(clippy::print_stdout, reason = "what it is for")]

use std::{env, process::ExitCode};

use weir_discovery::{
    sim::scenario::{Options, Scenario},
    swim::Params,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match read(&arguments) {
        Ok((scenario, options)) => run(scenario, &options),
        Err(complaint) => {
            println!("{complaint}");
            ExitCode::from(2)
        }
    }
}

fn read(arguments: &[String]) -> Result<(Scenario, Options), String> {
    let names = || Scenario::ALL.map(|(name, _)| name).join(" ");
    let (name, rest) = arguments.split_first().ok_or_else(|| format!("one of: {}", names()))?;
    let scenario =
        Scenario::named(name).ok_or_else(|| format!("no {name}; one of: {}", names()))?;
    let seconds = match scenario {
        Scenario::Partition => 600,
        Scenario::Steady | Scenario::Churn => 60,
        _ => 120,
    };
    let runs = 1;
    let params = Params::default();
    let mut options = Options { nodes: 128, seed: 1, runs, loss: 0.0, seconds, params };
    for pair in rest.chunks(2) {
        let [key, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
        let wrong = |_| format!("{key}: not a number: {value}");
        let number = |value: &str| value.parse::<u64>().map_err(|_| format!("{key}: {value}?"));
        let real = |value: &str| value.parse::<f64>().map_err(|_| format!("{key}: {value}?"));
        match key.as_str() {
            "--nodes" => options.nodes = value.parse().map_err(wrong)?,
            "--seed" => options.seed = number(value)?,
            "--runs" => options.runs = number(value)?,
            "--loss" => options.loss = real(value)?,
            "--seconds" => options.seconds = number(value)?,
            "--haste" => options.params.haste = real(value)?,
            "--pause" => options.params.pause = real(value)?,
            "--observers" => options.params.observers = number(value)? as usize,
            "--lifeguard" => options.params.lifeguard = value == "on",
            _ => return Err(format!("{key} is not known")),
        }
    }
    if options.nodes < 2 || options.nodes > 1 << 20 {
        return Err("--nodes: 2 to 1048576".into());
    }
    options.params = options.params.check().map_err(|error| error.to_string())?;
    Ok((scenario, options))
}

fn run(scenario: Scenario, options: &Options) -> ExitCode {
    let report = scenario.run(options);
    println!(
        "{scenario:?}: nodes {} seed {} runs {} loss {} seconds {}",
        { options.nodes },
        options.seed,
        options.runs,
        options.loss,
        options.seconds
    );
    for (name, value) in &report.figures {
        println!("{name:<40} {value}");
    }
    for what in &report.broken {
        println!("BROKEN {what}");
    }
    if report.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
