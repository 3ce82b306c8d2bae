//! What the command line of `cargo xtask bench` says.

use std::{path::PathBuf, time::Duration};

use super::scenario::Scenario;

/// Printed by `cargo xtask bench --help`.
pub(super) const HELP: &str = "\
cargo xtask bench [OPTIONS]

Weir and its peers side by side: one worker each on core 0, load and backends on core 1.

  --only A,B        scenarios; all of them by default:
                    h1 h1tls h2 h2c     at saturation: CPU per request, requests/s
                    h3-1k h3-1m h3-1x1  the same over HTTP/3, and one request at a time
                    rate ratetls        latency at a fixed rate, from the intended send time
                    idle idletls        memory per idle connection
                    limit-all           CPU per request under a rate limit that all pass
                    limit-half          and under one that denies half of them; limit: both
                    cache               CPU per request that a cache answers
                    script              CPU per request with a Lua hook that sets two fields
                    compress            CPU per response compressed with gzip
  --peers A,B       of weir, nginx, haproxy, envoy, varnish; by default weir and those installed
  --extra NAME=CMD  one more peer; CMD may name {h1} {tls} {h2c} {h3} (ports to listen on),
                    {backends} (addresses), {cert} and {key} (files)
  --rounds N        rounds of each scenario (5)
  --seconds N       length of a round (4)
  --rate N          requests per second of rate and ratetls (5000)
  --idle N          idle connections (2000)
  --weir PATH       the binary; by default a release build is made
  --install         install peers and load generators that are missing
  --write           write docs/benchmarks.md
";

/// A peer given by its command.
#[derive(Debug, Clone)]
pub(super) struct Extra {
    /// Name in the tables.
    pub(super) name: String,
    /// Shell command with placeholders.
    pub(super) command: String,
}

/// The whole command line.
#[derive(Debug)]
pub(super) struct Options {
    /// Scenarios to run.
    pub(super) only: Vec<Scenario>,
    /// Built-in peers by name; `None` is Weir and whatever is installed.
    pub(super) peers: Option<Vec<String>>,
    /// Further peers.
    pub(super) extras: Vec<Extra>,
    /// Rounds of each scenario.
    pub(super) rounds: usize,
    /// Length of a round.
    pub(super) length: Duration,
    /// Requests per second at the fixed rate.
    pub(super) rate: u32,
    /// Idle connections to open.
    pub(super) idle: usize,
    /// The binary to measure.
    pub(super) weir: Option<PathBuf>,
    /// Install what is missing first.
    pub(super) install: bool,
    /// Write the page.
    pub(super) write: bool,
}

impl Options {
    /// Reads the arguments; anything unknown or out of range is an error.
    pub(super) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            only: Scenario::ALL.to_vec(),
            peers: None,
            extras: Vec::new(),
            rounds: 5,
            length: Duration::from_secs(4),
            rate: 5_000,
            idle: 2_000,
            weir: None,
            install: false,
            write: false,
        };
        let mut words = arguments.iter();
        while let Some(flag) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{flag} wants a value"));
            match flag.as_str() {
                "--only" => {
                    let named = value()?.split(',').map(Scenario::parse);
                    options.only = named.collect::<Result<Vec<_>, _>>()?.concat();
                }
                "--peers" => options.peers = Some(value()?.split(',').map(str::to_owned).collect()),
                "--extra" => options.extras.push(Extra::parse(value()?)?),
                "--rounds" => options.rounds = number(flag, value()?, 1, 100)?,
                "--seconds" => {
                    options.length = Duration::from_secs(number(flag, value()?, 1, 600)?);
                }
                "--rate" => options.rate = number(flag, value()?, 1, 100_000)?,
                "--idle" => options.idle = number(flag, value()?, 1, 20_000)?,
                "--weir" => options.weir = Some(value()?.into()),
                "--install" => options.install = true,
                "--write" => options.write = true,
                other => return Err(format!("bench knows no `{other}`\n\n{HELP}")),
            }
        }
        Ok(options)
    }
}

impl Extra {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("--extra wants NAME=COMMAND")?;
        Ok(Self { name: name.to_owned(), command: command.to_owned() })
    }
}

fn number<T>(flag: &str, text: &str, least: T, most: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    let number = text.parse::<T>().ok().filter(|n| (&least..=&most).contains(&n));
    number.ok_or_else(|| format!("{flag} wants a number from {least} to {most}, not `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        let both = parse("--only limit").unwrap().only;
        assert_eq!(both, [Scenario::Limit, Scenario::LimitHalf]);
        let options = parse("--only h1,idletls --rounds 3 --extra x=a=b --peers nginx").unwrap();
        assert_eq!(options.only, [Scenario::H1, Scenario::IdleTls]);
        assert_eq!(options.rounds, 3);
        assert_eq!(options.extras[0].command, "a=b");
        assert_eq!(options.peers.as_deref(), Some(&["nginx".to_owned()][..]));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["--rounds", "--rounds 0", "--only h4", "--what", "--extra x", "--rate -1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
