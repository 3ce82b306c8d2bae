//! What a gateway should be asked: scripts that come with the program, each with an oracle that
//! judges the responses. They are k6 scripts, and run under k6 as well; but for what no script can
//! do, which is built in.

use crate::exit::Exit;

mod slow_clients;

/// Something to ask a gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What is done.
    pub(crate) work: Work,
}

/// What a scenario does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// A script that comes with the program; its first line says what it asks.
    Script(&'static str),
    /// What no script can do.
    Native(Native),
}

/// How it ended and what came out, as JSON; or which setting makes no sense.
type Outcome = Result<(Exit, serde_json::Value), String>;

/// A scenario that is no script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Native {
    /// What it asks, and on further lines more about it.
    about: &'static str,
    /// Its settings with their defaults.
    settings: &'static [(&'static str, &'static str)],
    /// Runs it with all of its settings, and gives what came out as JSON.
    run: fn(&[(String, String)], is_quiet: bool) -> Outcome,
}

impl Native {
    /// Runs it with these settings, and the defaults of the others.
    ///
    /// # Errors
    /// A setting makes no sense.
    pub(crate) fn run(&self, given: Vec<(String, String)>, is_quiet: bool) -> Outcome {
        let defaults = self.settings.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let mut all: Vec<(String, String)> = given;
        all.extend(defaults);
        (self.run)(&all, is_quiet)
    }
}

/// All of them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "balance", work: Work::Script(include_str!("../scripts/balance.js")) },
    Scenario { name: "breaker", work: Work::Script(include_str!("../scripts/breaker.js")) },
    Scenario { name: "cache", work: Work::Script(include_str!("../scripts/cache.js")) },
    Scenario { name: "failover", work: Work::Script(include_str!("../scripts/failover.js")) },
    Scenario { name: "hash-churn", work: Work::Script(include_str!("../scripts/hash-churn.js")) },
    Scenario { name: "idempotency", work: Work::Script(include_str!("../scripts/idempotency.js")) },
    Scenario {
        name: "ratelimit-exactness",
        work: Work::Script(include_str!("../scripts/ratelimit-exactness.js")),
    },
    Scenario { name: "reload", work: Work::Script(include_str!("../scripts/reload.js")) },
    Scenario { name: "retry-storm", work: Work::Script(include_str!("../scripts/retry-storm.js")) },
    Scenario { name: "slow-clients", work: Work::Native(slow_clients::NATIVE) },
];

/// Their names and what they ask, a line each.
pub(crate) fn list() -> String {
    SCENARIOS.iter().map(|one| format!("  {:<20} {}\n", one.name, one.asks())).collect()
}

impl Scenario {
    /// The one of this name.
    ///
    /// # Errors
    /// There is none; the text lists those that there are.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let found = SCENARIOS.iter().find(|one| one.name == name).copied();
        found.ok_or_else(|| format!("there is no scenario `{name}`, but:\n{}", list()))
    }

    /// What it asks, in one line.
    fn asks(self) -> &'static str {
        let text = match self.work {
            Work::Script(script) => script,
            Work::Native(native) => native.about,
        };
        text.lines().next().unwrap_or_default().trim_start_matches("// ")
    }

    /// What it says of itself, and its settings with their defaults.
    pub(crate) fn about(self) -> String {
        let comment: Vec<&str> = match self.work {
            Work::Script(script) => {
                let lines = script.lines().take_while(|line| line.starts_with("//"));
                lines.map(|line| line.trim_start_matches('/').trim_start()).collect()
            }
            Work::Native(native) => native.about.lines().collect(),
        };
        let comment = comment.into_iter().map(|line| format!("{line}\n"));
        let settings = self.settings();
        let settings = settings.iter().map(|(name, default)| format!("\n  {name:<16} {default}"));
        comment.chain(settings).chain(["\n".to_owned()]).collect()
    }

    /// Whether it has a setting of this name.
    pub(crate) fn reads(self, name: &str) -> bool {
        self.settings().iter().any(|(known, _)| *known == name)
    }

    /// What it reads of its environment, with the defaults: `RATE` and `100`.
    fn settings(self) -> Vec<(&'static str, &'static str)> {
        let script = match self.work {
            Work::Script(script) => script,
            Work::Native(native) => return native.settings.to_vec(),
        };
        let mut settings = Vec::new();
        for rest in script.split("__ENV.").skip(1) {
            let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let (name, rest) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
            let default = rest.strip_prefix(" || ").unwrap_or_default();
            let end = default.find([')', ';', '\n', '}']).unwrap_or(default.len());
            // What is computed is no default to tell of.
            let default =
                if default.starts_with(char::is_alphabetic) { "" } else { &default[..end] };
            if settings.iter().all(|(known, _)| *known != name) {
                settings.push((name, default.trim_matches('\'')));
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_it_asks_and_reads() {
        for scenario in SCENARIOS {
            assert!(scenario.asks().ends_with('?'), "{}", scenario.name);
            assert!(scenario.about().lines().count() > 4, "{}", scenario.name);
            let settings = scenario.settings();
            assert!(settings.contains(&("TARGET", "http://127.0.0.1:8080")), "{settings:?}");
            if let Work::Script(script) = scenario.work {
                assert!(script.contains("thresholds"), "{} judges nothing", scenario.name);
            }
        }
        let limits = Scenario::named("ratelimit-exactness").unwrap();
        assert!(limits.settings().contains(&("RATE", "100")) && limits.reads("BURST"));
        assert!(!limits.reads("RAT") && limits.about().contains("\n  RATE             100\n"));
        let error = Scenario::named("chaos").unwrap_err();
        assert!(error.contains("retry-storm") && error.contains("Do retries make"), "{error}");
    }
}
