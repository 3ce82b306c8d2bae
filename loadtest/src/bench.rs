//! `weir-load bench URL`: one request again and again, without a script, at a cost close to what
//! the system itself takes for sending and receiving it.
//!
//! Connections send their next request when the last is answered, or, with `--rate`, when the
//! schedule says so: then latency is measured from the scheduled start, so that a request which had
//! to wait for a connection because the server stood still shows all of its wait.

use std::{sync::Arc, time::Duration};

use crate::{alarm, clock, exit::Exit};

mod args;
mod connect;
mod counter;
mod h1;
mod h2;
mod h3;
mod pacer;
mod report;
mod tally;
mod worker;

pub use args::Args;
use counter::Counters;
use report::Report;

/// How often what was counted so far is shown.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// Runs it, prints what came out.
pub fn run(args: &Args) -> Exit {
    let plan = match args.plan() {
        Ok(plan) => Arc::new(plan),
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::InvalidConfig;
        }
    };
    let counters = Arc::new(Counters::default());
    let (begun, used) = (clock::now(), alarm::processor_time());
    let workers: Result<Vec<_>, _> = (0..plan.threads)
        .map(|index| {
            let (plan, counters) = (plan.clone(), counters.clone());
            let name = format!("bench-{index}");
            std::thread::Builder::new()
                .name(name)
                .spawn(move || worker::run(&plan, index, begun, &counters))
        })
        .collect();
    let workers = match workers {
        Ok(workers) => workers,
        Err(error) => {
            eprintln!("error: cannot start a thread: {error}");
            return Exit::Panicked;
        }
    };
    let interrupted = counters.watch(&plan, begun, SHOWN_EVERY, || {
        workers.iter().all(std::thread::JoinHandle::is_finished)
    });
    for worker in workers {
        match worker.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                eprintln!("error: {error}");
                return Exit::Panicked;
            }
            Err(_) => return Exit::Panicked,
        }
    }
    let used = alarm::processor_time().saturating_sub(used);
    let report = Report::new(&plan, counters.total(), clock::now() - begun, used);
    report.print();
    if let Some(path) = &args.json
        && let Err(error) = std::fs::write(path, report.json())
    {
        eprintln!("error: {}: {error}", path.display());
        return Exit::Panicked;
    }
    if interrupted { Exit::Interrupted } else { Exit::Passed }
}
