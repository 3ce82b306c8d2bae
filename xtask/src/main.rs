//! Developer verbs: what a person types and what CI runs are the same commands.
//!
//! `cargo xtask help` lists them. Nothing here ships.
#![allow(clippy::print_stdout, reason = "a command line tool speaks on standard output")]
#![allow(clippy::disallowed_methods, reason = "a tool that measures reads the clock")]

use std::process::ExitCode;

mod bench;
mod cache_tests;
mod conformance;
mod doc;
mod lint;
mod load_bench;
mod outage;
mod process;
mod python;
mod sim;
mod supply;
mod test;
mod tools;

const HELP: &str = "\
cargo xtask VERB

  test [NEXTEST ARGUMENTS]   install what the tests need, then run all of them, doc tests too
  lint                       format, clippy, licences and banned versions
  doc [--check]              API documentation without warnings; regenerates the generated pages
  bench [--help]             CPU per request, latency and memory beside NGINX, HAProxy and Envoy
  load-bench [--help]        the load tester beside k6, wrk and oha
  outage [--help]            what clients see while backends fail, beside Envoy
  sim [--help]               the members' long runs, on simulated time
  cache-tests [--help]       the public tests of HTTP caches, through Weir
  conformance-k6 [--help]    the load tester's scripts under k6 and under weir-load
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (verb, rest) = match arguments.split_first() {
        Some((verb, rest)) => (verb.as_str(), rest),
        None => ("help", &[][..]),
    };
    if ["test", "lint", "doc"].contains(&verb) {
        tools::ensure(tools::FOR_BUILD);
    }
    let outcome = match verb {
        "test" => test::run(rest),
        "lint" => lint::run(),
        "doc" => doc::run(rest),
        "bench" => bench::run(rest),
        bench::RESPONDER => bench::responder(rest),
        bench::STEADY => bench::steady(rest),
        bench::STREAMS => bench::streams(rest),
        "cache-tests" => cache_tests::run(rest),
        "conformance-k6" => conformance::run(rest),
        "load-bench" => load_bench::run(rest),
        "outage" => outage::run(rest),
        "sim" => sim::run(rest),
        outage::BACKEND => outage::backend(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("no verb `{other}`\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}
