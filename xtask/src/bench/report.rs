//! The tables: medians of rounds, with their spread, and what made a row void.

use std::{fmt::Write, time::Duration};

use super::{load::Latency, scenario::Scenario};

/// How to read the page that `--write` makes.
pub(super) const INTRODUCTION: &str = "\
# Benchmarks

Made by `cargo xtask bench --write`. The figure to look at is processor time per request, user and
system together, of the whole process: unlike requests per second it hardly depends on how many
cores there are and who else uses them. One worker each on one core, load and backends on the
other, rounds in turns, medians. A row with a failed request, a short body or an unbalanced backend
is void, and so is one of the cache of which a request reached a backend. Latency at a fixed rate
counts from the moment the request was due; at saturation it says little. Memory is the proportional
set size per connection that served one request and went idle. System calls are those of a request,
counted by perf in a round of their own. HTTP/1.1 and HTTP/2 are asked for by wrk and h2load, HTTP/3
by a client made of quinn and h3.
";

/// One good round of one peer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Round {
    /// Processor time per request in microseconds; in user mode; in system mode.
    pub(super) cpu: [f64; 3],
    /// Requests per second.
    pub(super) rate: f64,
    /// Latency, where it was measured.
    pub(super) latency: Option<Latency>,
    /// Share of the round that the measured core worked for others than the peer.
    pub(super) foreign: f64,
    /// Bytes per idle connection.
    pub(super) idle_bytes: f64,
    /// Bytes before any connection.
    pub(super) base_bytes: f64,
}

/// One peer in one scenario.
#[derive(Debug)]
pub(super) struct Row {
    /// The peer's name.
    pub(super) peer: String,
    /// Its rounds, good or void.
    pub(super) rounds: Vec<Result<Round, String>>,
    /// System calls per request, where they could be counted.
    pub(super) calls: Option<f64>,
}

/// One scenario's rows.
#[derive(Debug)]
pub(super) struct Table {
    /// What was measured.
    pub(super) scenario: Scenario,
    /// The peers, the first of which the others are compared with.
    pub(super) rows: Vec<Row>,
}

impl Row {
    /// Why it is void: one bad round is enough.
    pub(super) fn fault(&self) -> Option<&str> {
        self.rounds.iter().find_map(|round| round.as_ref().err()).map(String::as_str)
    }

    fn good(&self) -> impl Iterator<Item = &Round> {
        self.rounds.iter().flatten()
    }

    /// The median of `figure` over the rounds.
    fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        let mut values: Vec<f64> = self.good().map(figure).collect();
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        }
    }

    fn spread(&self, figure: impl Fn(&Round) -> f64) -> [f64; 2] {
        let least = self.good().map(&figure).fold(f64::INFINITY, f64::min);
        [least, self.good().map(&figure).fold(f64::NEG_INFINITY, f64::max)]
    }
}

impl Table {
    /// As Markdown, heading included.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n", self.scenario.title());
        let idle = matches!(self.scenario, Scenario::Idle | Scenario::IdleTls);
        let first = self.rows.first().filter(|row| row.fault().is_none());
        let figure = |round: &Round| if idle { round.idle_bytes } else { round.cpu[0] };
        let reference = first.map(|row| (row.peer.as_str(), row.median(figure)));
        let against = reference.map_or("-", |(name, _)| name);
        text += &if idle {
            format!(
                "| peer | KiB per connection | {against} / peer | MiB before |\n|---|---|---|---|\n"
            )
        } else {
            format!(
                "| peer | CPU us per request (least to most) | user + system | {against} / peer | \
                 system calls | requests/s | p50 | p99 |\n|---|---|---|---|---|---|---|---|\n"
            )
        };
        for row in &self.rows {
            let ratio = reference.map_or(f64::NAN, |(_, mine)| mine / row.median(figure));
            let cells = match row.fault() {
                Some(why) => format!("void: {}", why.lines().next().unwrap_or_default()),
                None if idle => idle_cells(row, ratio),
                None => load_cells(row, ratio),
            };
            writeln!(text, "| {} | {cells} |", row.peer).ok();
        }
        text
    }
}

fn idle_cells(row: &Row, ratio: f64) -> String {
    let kib = row.median(|round| round.idle_bytes) / 1024.0;
    let base = row.median(|round| round.base_bytes) / (1024.0 * 1024.0);
    format!("**{kib:.2}** | {} | {base:.1}", shown(ratio))
}

/// A number, if there is one: a ratio needs something to compare with.
fn shown(ratio: f64) -> String {
    if ratio.is_finite() { format!("{ratio:.2}") } else { "-".to_owned() }
}

fn load_cells(row: &Row, ratio: f64) -> String {
    let [cpu, user, system] = [0, 1, 2].map(|i| row.median(|round| round.cpu[i]));
    let [least, most] = row.spread(|round| round.cpu[0]);
    let rate = row.median(|round| round.rate);
    let point = |point: fn(Latency) -> Duration| {
        let micros = |l| point(l).as_secs_f64() * 1e6;
        let value = row.median(|round| round.latency.map_or(f64::NAN, micros));
        if value.is_nan() { "-".to_owned() } else { format!("{value:.0} us") }
    };
    format!(
        "**{cpu:.2}** ({least:.2} to {most:.2}) | {user:.1} + {system:.1} | {} | {} | {rate:.0} \
         | {} | {}",
        shown(ratio),
        shown(row.calls.unwrap_or(f64::NAN)),
        point(|latency| latency.p50),
        point(|latency| latency.p99),
    )
}

/// The most that anybody else used of the measured core, over all rounds.
pub(super) fn foreign(tables: &[Table]) -> f64 {
    let rows = tables.iter().flat_map(|table| &table.rows);
    rows.flat_map(Row::good).map(|round| round.foreign).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(peer: &str, rounds: &[Result<f64, &str>]) -> Row {
        let round = |cpu: f64| Round { cpu: [cpu, 1.0, 2.0], rate: 1e4, ..Round::default() };
        let rounds = rounds.iter().map(|r| r.map(round).map_err(str::to_owned)).collect();
        Row { peer: peer.into(), rounds, calls: None }
    }

    #[test]
    fn medians_and_ratios_are_shown() {
        let rows = vec![row("weir", &[Ok(10.0), Ok(30.0), Ok(12.0)]), row("nginx", &[Ok(24.0)])];
        let text = Table { scenario: Scenario::H1, rows }.markdown();
        assert!(
            text.contains("| weir | **12.00** (10.00 to 30.00) | 1.0 + 2.0 | 1.00 |"),
            "{text}"
        );
        assert!(
            text.contains("| nginx | **24.00** (24.00 to 24.00) | 1.0 + 2.0 | 0.50 |"),
            "{text}"
        );
    }

    #[test]
    fn one_bad_round_voids_the_row() {
        let rows = vec![row("weir", &[Ok(10.0), Err("3 of 9 requests failed\nmore")])];
        let text = Table { scenario: Scenario::H2, rows }.markdown();
        assert!(text.contains("| weir | void: 3 of 9 requests failed |"), "{text}");
    }
}
