//! `cargo xtask cache-tests`: the public tests of HTTP caches, driven through Weir.
//!
//! The suite is `http-tests/cache-tests`, which is no part of this tree: its origin runs behind
//! Weir, its client before it. It sleeps for most of the minute that it takes. Required tests are
//! of what RFCs demand, optimal ones of what they allow and a good cache does, and checks only
//! observe.

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process,
};

use crate::{
    bench::server::{Server, free_port},
    process::{built, output},
};

const HELP: &str = "\
cargo xtask cache-tests --suite DIR [OPTIONS]

The tests of HTTP caches in DIR, a checkout of https://github.com/http-tests/cache-tests in which
`npm install` has been run, through Weir: how many pass of each kind, and which do not.

  --weir PATH     the binary; by default a debug build is made
  --cache YAML    what the route says of `cache`; by default `{ stale_if_error: 1m }`, since tests
                  of what may not be served stale depend on one of what may
  --only NAME     one test, with what is sent and received
";

/// Some requests of the suite's client have no time limit of their own.
const SECONDS_MAX: &str = "300";

/// How the suite wants a cache to be: nothing is fresh unless the response says so.
const CACHE: &str = "{ stale_if_error: 1m }";

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.iter().any(|word| word == "--help") {
        print!("{HELP}");
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    if !options.suite.join("node_modules/undici").is_dir() {
        let suite = options.suite.display();
        return Err(format!("{suite} is no checkout with its packages: run `npm install` there"));
    }
    let weir = options.weir.clone().map_or_else(|| built("weir-gateway", "weir", "dev"), Ok)?;
    let folder = env::temp_dir().join(format!("weir-cache-tests-{}", process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let said = drive(&options, &weir, &folder);
    fs::remove_dir_all(&folder).ok();
    let said = said?;
    if options.only.is_some() {
        print!("{said}");
        return Ok(());
    }
    let tests: Vec<Test> = said.lines().filter_map(Test::of).collect();
    print!("{}", report(&tests));
    Ok(())
}

/// Starts what it takes, and gives what the client says.
fn drive(options: &Options, weir: &Path, folder: &Path) -> Result<String, String> {
    let complain = |e: std::io::Error| format!("{}: {e}", folder.display());
    let (origin_port, port) = (free_port()?, free_port()?);
    let words = [
        "env".to_owned(),
        "npm_config_protocol=http".to_owned(),
        format!("npm_config_port={origin_port}"),
        format!("npm_config_pidfile={}", folder.join("origin.pid").display()),
        "node".to_owned(),
        options.suite.join("test-engine/server/server.mjs").display().to_string(),
    ];
    let _origin = Server::start("origin", &words, CORES, &[origin_port], folder)?;
    let file = folder.join("weir.yaml");
    fs::write(&file, config(port, origin_port, &options.cache)).map_err(complain)?;
    let words = [weir, Path::new("run"), Path::new("-c"), &file];
    let words = words.map(|word| word.display().to_string());
    let _weir = Server::start("weir", &words, CORES, &[port], folder)?;
    let script = folder.join("score.mjs");
    fs::write(&script, include_str!("score.mjs")).map_err(complain)?;
    let mut client = process::Command::new("timeout");
    client.args([SECONDS_MAX, "node", "--no-warnings"]).arg(script).arg(&options.suite);
    client.arg(format!("http://127.0.0.1:{port}")).args(&options.only);
    output(&mut client)
}

const CORES: &str = "0,1";

fn config(port: u16, origin: u16, cache: &str) -> String {
    format!(
        "workers: 2
admin: off
log: {{ access: off, level: error }}
listeners: [\"127.0.0.1:{port}\"]
upstreams:
  origin: {{ endpoints: [\"127.0.0.1:{origin}\"], outlier: off }}
routes:
  - {{ match: {{ path: \"/**\" }}, to: origin, retry: off, cache: {cache} }}
"
    )
}

/// What became of a test.
#[derive(Debug, PartialEq, Eq)]
struct Test {
    kind: String,
    outcome: String,
    name: String,
    why: String,
}

impl Test {
    fn of(line: &str) -> Option<Self> {
        let mut parts = line.strip_prefix("RESULT\t")?.splitn(4, '\t').map(str::to_owned);
        let (kind, outcome, name) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { kind, outcome, name, why: parts.next().unwrap_or_default() })
    }

    fn passed(&self) -> bool {
        self.outcome == "pass" || self.outcome == "yes"
    }
}

fn report(tests: &[Test]) -> String {
    let mut text = String::new();
    for kind in ["required", "optimal", "check"] {
        let of_kind: Vec<_> = tests.iter().filter(|test| test.kind == kind).collect();
        let passed = of_kind.iter().filter(|test| test.passed()).count();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{kind}: {passed} of {}", of_kind.len());
        for test in of_kind.iter().filter(|test| !test.passed()) {
            let _ = writeln!(text, "    {:<16} {}: {}", test.outcome, test.name, test.why);
        }
    }
    text
}

/// The command line.
#[derive(Debug)]
struct Options {
    suite: PathBuf,
    weir: Option<PathBuf>,
    cache: String,
    only: Option<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let (mut suite, mut weir, mut only) = (None, None, None);
        let mut cache = CACHE.to_owned();
        let mut words = arguments.iter();
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("`{flag}` needs a value\n\n{HELP}"))?;
            match flag.as_str() {
                "--suite" => suite = Some(PathBuf::from(value)),
                "--weir" => weir = Some(value.into()),
                "--cache" => cache.clone_from(value),
                "--only" => only = Some(value.clone()),
                other => return Err(format!("no option `{other}`\n\n{HELP}")),
            }
        }
        let suite = suite.ok_or_else(|| format!("where is the suite?\n\n{HELP}"))?;
        let suite = suite.canonicalize().map_err(|e| format!("{}: {e}", suite.display()))?;
        Ok(Self { suite, weir, cache, only })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_pass_is_named() {
        let line = |kind: &str, outcome: &str, name: &str| {
            Test::of(&format!("RESULT\t{kind}\t{outcome}\t{name}\ta\tb")).unwrap()
        };
        let tests = [
            line("required", "pass", "one"),
            line("required", "fail", "two"),
            line("check", "no", "three"),
        ];
        let text = report(&tests);
        assert!(text.starts_with("required: 1 of 2\n    fail             two: a\tb\n"), "{text}");
        assert!(text.contains("optimal: 0 of 0\ncheck: 0 of 1\n    no"), "{text}");
        assert_eq!(Test::of("anything else"), None);
    }

    #[test]
    fn the_configuration_is_valid_and_keeps_what_says_so_alone() {
        let loaded =
            weir_config::load_str("weir.yaml", &config(1001, 1002, CACHE), &|_| None).unwrap();
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let cache = loaded.config.routes[0].cache.as_ref().unwrap();
        assert!(!cache.heuristics && cache.ttl.is_none());
    }

    #[test]
    fn options_are_read_and_checked() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let options = Options::parse(&words("--suite . --only freshness-none")).unwrap();
        assert_eq!(options.only.as_deref(), Some("freshness-none"));
        for bad in ["--weir x", "--suite", "--suite /nowhere/at/all", "--suite . --colour red"] {
            assert!(Options::parse(&words(bad)).is_err(), "{bad}");
        }
    }
}
