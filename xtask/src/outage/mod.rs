//! `cargo xtask outage`: what clients see of Weir and its peers while backends fail.
//!
//! Ten or fewer backends of ours behind each peer, a client that sends at a fixed rate whatever
//! comes back, and one thing that goes wrong. Every peer has the same backends, the same rate and
//! its default configuration: nothing about failures is configured.

use std::{env, fs, path::PathBuf, process, time::Duration};

use self::{
    peers::{KNOWN, Peer},
    story::Story,
};
use crate::process::{announce, built};

mod backend;
mod client;
mod peers;
mod report;
mod story;

pub(crate) use backend::{BACKEND, run as backend};

const HELP: &str = "\
cargo xtask outage [OPTIONS]

What clients see of Weir and its peers, each in its default configuration, while backends fail.

  --only A,B      stories; all of them by default:
                  fails    one of ten backends answers 500 at once
                  hangs    one of ten backends takes requests and never answers
                  killed   one of ten backends is killed (-9) and later started again
                  down     all backends are killed for 10 s
                  frozen   all backends are stopped (SIGSTOP) for 10 s, and then find their queues
  --peers A,B     of weir, envoy, envoy-outlier; all of them by default
  --seconds N     length of fails, hangs and killed (60)
  --weir PATH     the binary; by default a release build is made
  --series        also the answers of each half second, by status
";

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.iter().any(|word| word == "--help") {
        print!("{HELP}");
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    let weir = options.weir.clone().map_or_else(|| built("weir-gateway", "weir", "release"), Ok)?;
    let folder = env::temp_dir().join(format!("weir-outage-{}", process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut text = String::new();
    for story in &options.only {
        announce(story.title());
        let mut rows = Vec::new();
        for name in &options.peers {
            let Some(peer) = Peer::known(name, &weir)? else {
                eprintln!("    {name} is not installed: left out");
                continue;
            };
            eprintln!("    {name}");
            rows.push((name.clone(), story.run(&peer, options.length, &folder)?));
        }
        text.push_str(&report::table(*story, &rows));
        if options.series {
            text.push_str(&report::series(&rows));
        }
    }
    fs::remove_dir_all(&folder).ok();
    print!("{text}");
    Ok(())
}

/// The command line.
#[derive(Debug)]
struct Options {
    only: Vec<Story>,
    peers: Vec<String>,
    length: Duration,
    weir: Option<PathBuf>,
    series: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            only: Story::ALL.to_vec(),
            peers: KNOWN.map(str::to_owned).to_vec(),
            length: Duration::from_secs(60),
            weir: None,
            series: false,
        };
        let mut words = arguments.iter();
        while let Some(flag) = words.next() {
            if flag == "--series" {
                options.series = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("`{flag}` needs a value\n\n{HELP}"))?;
            match flag.as_str() {
                "--only" => {
                    options.only = value.split(',').map(Story::of).collect::<Result<_, _>>()?
                }
                "--peers" => options.peers = value.split(',').map(str::to_owned).collect(),
                "--seconds" => {
                    let seconds = value.parse().ok().filter(|n| (6..=3600).contains(n));
                    let seconds = seconds.ok_or("--seconds is a number from 6 to 3600")?;
                    options.length = Duration::from_secs(seconds);
                }
                "--weir" => options.weir = Some(value.into()),
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
        let options = Options::parse(&words("--only fails,down --peers weir --seconds 9")).unwrap();
        assert_eq!(options.only, [Story::Fails, Story::Down]);
        assert_eq!((options.peers.len(), options.length.as_secs()), (1, 9));
        for bad in ["--only sleeps", "--seconds 1", "--seconds", "--colour red"] {
            assert!(Options::parse(&words(bad)).is_err(), "{bad}");
        }
    }
}
