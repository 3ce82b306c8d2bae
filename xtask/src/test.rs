//! `cargo xtask test`: everything that must hold, in one command.
//!
//! The tests drive the dev build of `weir`, with overflow checks and debug assertions on: they
//! look for faults, not for speed, and it builds in a fraction of a release build's time.

use crate::{
    process::{announce, cargo, find, tee},
    python, tools,
};

/// Passed, failed and skipped tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Installs what is missing and runs the tests; `arguments` go to the test runner.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    announce("tools that tests use");
    tools::ensure(tools::FOR_TESTS);
    if let Err(why) = python::ensure() {
        println!("no HTTP/3 client for the tests, which will fail for it: {}", why.trim_end());
    }
    let mut count = Count::default();
    let mut good = true;
    let nextest = find("cargo-nextest").is_some();
    let mut tests = if nextest {
        cargo(["nextest", "run", "--no-fail-fast"])
    } else {
        println!("cargo-nextest is not installed: `cargo test` runs the tests one file at a time");
        cargo(["test", "--all-targets", "--no-fail-fast"])
    };
    if !arguments.iter().any(|word| word.starts_with("-p") || word.starts_with("--package")) {
        tests.arg("--workspace");
    }
    tests.args(arguments);
    let mut commands = vec![tests];
    // A selection of tests is a developer at work on one thing.
    if arguments.is_empty() {
        commands.push(cargo(["test", "--workspace", "--doc"]));
    }
    for command in commands {
        let (succeeded, lines) = tee(&command)?;
        good &= succeeded;
        count.add(&lines);
    }
    println!("\n{} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped);
    if good && count.failed == 0 { Ok(()) } else { Err("tests failed".into()) }
}

impl Count {
    /// Adds what the closing lines of cargo's two test runners say.
    fn add(&mut self, lines: &[String]) {
        for line in lines {
            let plain = without_colours(line);
            let line = plain.trim();
            if let Some(totals) = line.strip_prefix("test result: ") {
                let totals = totals.split_once(". ").map_or("", |(_, totals)| totals);
                self.add_totals(totals.split(';'), "ignored");
            } else if line.starts_with("Summary [")
                && let Some((_, totals)) = line.split_once(" run: ")
            {
                self.add_totals(totals.split(','), "skipped");
            }
        }
    }

    fn add_totals<'a>(&mut self, parts: impl Iterator<Item = &'a str>, skipped: &str) {
        for part in parts {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed" | "timed") => self.failed += number,
                Some(word) if word == skipped => self.skipped += number,
                _ => {}
            }
        }
    }
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut coloured = false;
    for letter in line.chars() {
        match letter {
            '\u{1b}' => coloured = true,
            'm' if coloured => coloured = false,
            _ if coloured => {}
            _ => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> Count {
        let mut count = Count::default();
        count.add(&text.lines().map(str::to_owned).collect::<Vec<_>>());
        count
    }

    #[test]
    fn closing_lines_of_both_runners_are_added_up() {
        let count = counted(
            "\u{1b}[32;1m     Summary\u{1b}[0m [   0.215s] 9 tests run: 6 passed (1 slow), \
             2 failed, 1 timed out, 4 skipped\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; \
             finished in 0.00s\n\
             test summary: 8 passed",
        );
        assert_eq!(count, Count { passed: 9, failed: 3, skipped: 5 });
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(counted("error: 3 failed\nrunning 5 tests"), Count::default());
    }
}
