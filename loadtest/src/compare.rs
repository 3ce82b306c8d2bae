//! Whether one run was slower than another: two files of `--summary-export`, and a verdict.
//!
//! A percentile is called worse when the two runs' confidence intervals for it do not touch, and it
//! grew by more than the tolerance as well: with a million requests everything differs, but not
//! everything matters. Shares are compared by the two-proportion z-test. Both assume that requests
//! are independent, which those of one run are not quite: hence the narrow error of 0.1 %.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

use crate::metrics::Trend;

/// Standard deviations that 0.1 % of all samples are beyond, on both sides together.
const Z: f64 = 3.29;

/// Percentiles that are compared.
const PERCENTS: &[f64] = &[50.0, 90.0, 95.0, 99.0];

/// Fewer values than that say nothing.
const VALUES_LEAST: u64 = 30;

/// A file that is no export of a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// Something else, or one of k6, which keeps no histograms.
    #[error("{0} holds no histograms: write it with --summary-export of weir-load")]
    NoHistograms(&'static str),
    /// Written by a version that this one does not know.
    #[error("{0} is of another version of weir-load")]
    Version(&'static str),
}

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Better, and not by chance.
    Better,
    /// No difference that could be told from chance, or none that matters.
    Same,
    /// Worse, and not by chance.
    Worse,
}

/// A number of both runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The metric.
    pub metric: String,
    /// What of it: `p(95)`, `rate`.
    pub stat: String,
    /// In the first run.
    pub before: f64,
    /// In the second.
    pub after: f64,
    /// Whether that is better or worse.
    pub change: Change,
}

/// Two runs side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// By metric.
    pub rows: Vec<Row>,
}

/// Compares `before` with `after`, both parsed from files that `--summary-export` wrote. Changes of
/// latency within `tolerance`, a share such as 0.05, count as none.
pub fn compare(before: &Value, after: &Value, tolerance: f64) -> Result<Comparison, CompareError> {
    let trends = [trends(before, "the first file")?, trends(after, "the second file")?];
    let mut rows = Vec::new();
    for (metric, before) in &trends[0] {
        let Some(after) = trends[1].get(metric) else { continue };
        if before.count().min(after.count()) < VALUES_LEAST {
            continue;
        }
        rows.extend(PERCENTS.iter().map(|percent| row(metric, *percent, before, after, tolerance)));
    }
    rows.extend(share("http_req_failed", before, after, false));
    rows.extend(share("checks", before, after, true));
    Ok(Comparison { rows })
}

impl Comparison {
    /// Whether anything got worse: the exit code is then that of crossed thresholds.
    pub fn is_regression(&self) -> bool {
        self.rows.iter().any(|row| row.change == Change::Worse)
    }

    /// As a table.
    pub fn text(&self) -> String {
        let width = self.rows.iter().map(|row| row.metric.len()).max().unwrap_or(0).max(6);
        let (metric, stat, before, after) = ("metric", "", "before", "after");
        let mut text =
            format!("{metric:width$} {stat:6} {before:>12} {after:>12} {:>9}\n", "change");
        for Row { metric, stat, before, after, change } in &self.rows {
            let percent = match (after - before) / before * 100.0 {
                percent if percent.is_finite() => format!("{percent:+.1}%"),
                _ if before == after => "+0.0%".to_owned(),
                _ => "new".to_owned(),
            };
            let verdict = match change {
                Change::Better => "  better",
                Change::Same => "",
                Change::Worse => "  WORSE",
            };
            // Writing to a text cannot fail.
            let _ = writeln!(
                text,
                "{metric:width$} {stat:6} {before:12.4} {after:12.4} {percent:>9}{verdict}"
            );
        }
        text += match self.is_regression() {
            true => "\nregression: what is marked is worse, and not by chance\n",
            false => "\nno regression\n",
        };
        text
    }
}

/// The trends of times, by name.
fn trends(file: &Value, name: &'static str) -> Result<BTreeMap<String, Trend>, CompareError> {
    let ours = &file["weir"];
    let histograms = ours["histograms"].as_object().ok_or(CompareError::NoHistograms(name))?;
    if ours["version"] != 1 || ours["histogramStepsPerUnit"] != Trend::STEPS_PER_UNIT {
        return Err(CompareError::Version(name));
    }
    // Not those of the phases of a request, which add up to others, nor of parts.
    let wanted = |name: &str| {
        !name.contains('{')
            && (!name.starts_with("http_req_")
                || matches!(name, "http_req_duration" | "http_req_latency"))
            && name != "schedule_lag"
    };
    let decode = |(name, text): (&String, &Value)| {
        let trend = Trend::decode(text.as_str()?)?;
        (wanted(name) && !trend.is_empty()).then(|| (name.clone(), trend))
    };
    Ok(histograms.iter().filter_map(decode).collect())
}

fn row(metric: &str, percent: f64, before: &Trend, after: &Trend, tolerance: f64) -> Row {
    let [a, b] = [before, after].map(|trend| trend.percentile(percent));
    let [(a_low, a_high), (b_low, b_high)] = [before, after].map(|trend| interval(trend, percent));
    let change = if b_low > a_high && b > a * (1.0 + tolerance) {
        Change::Worse
    } else if b_high < a_low && b < a / (1.0 + tolerance) {
        Change::Better
    } else {
        Change::Same
    };
    let (metric, stat) = (metric.to_owned(), format!("p({percent})"));
    Row { metric, stat, before: a, after: b, change }
}

/// Where the percentile of all requests there could be lies, seen from those there were: how many
/// of them are below it is binomially distributed.
fn interval(trend: &Trend, percent: f64) -> (f64, f64) {
    let share = percent / 100.0;
    let deviation = (share * (1.0 - share) / trend.count() as f64).sqrt() * Z * 100.0;
    (trend.percentile(percent - deviation), trend.percentile(percent + deviation))
}

/// A rate of both runs; nothing when one of them has none.
fn share(metric: &str, before: &Value, after: &Value, more_is_better: bool) -> Option<Row> {
    let of = |file: &Value| {
        let metric = &file["metrics"][metric];
        let (passes, fails) = (metric["passes"].as_f64()?, metric["fails"].as_f64()?);
        (passes + fails > 0.0).then_some((passes, passes + fails))
    };
    let ((a, of_a), (b, of_b)) = (of(before)?, of(after)?);
    let pooled = (a + b) / (of_a + of_b);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / of_a + 1.0 / of_b)).sqrt();
    let z = if deviation > 0.0 { (b / of_b - a / of_a) / deviation } else { 0.0 };
    let change = match if more_is_better { -z } else { z } {
        z if z > Z => Change::Worse,
        z if z < -Z => Change::Better,
        _ => Change::Same,
    };
    let (metric, stat) = (metric.to_owned(), "rate".to_owned());
    Some(Row { metric, stat, before: a / of_a, after: b / of_b, change })
}

#[cfg(test)]
mod tests;
