//! What a tool says in the end, and what was true.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;

/// A percentile of a metric in an exported summary, in milliseconds.
pub(super) fn percentile(summary: &Path, metric: &str, point: &str) -> Result<f64, String> {
    let summary = read(summary)?;
    let metric_of = |name: &str| summary["metrics"].get(name).cloned();
    let found = metric_of(metric).ok_or_else(|| format!("no metric `{metric}` in the summary"))?;
    found[point].as_f64().ok_or_else(|| format!("`{metric}` has no {point}"))
}

/// How often something was counted; 0 where that never was.
pub(super) fn count(summary: &Path, metric: &str) -> Result<f64, String> {
    let summary = read(summary)?;
    Ok(summary["metrics"][metric]["count"].as_f64().unwrap_or(0.0))
}

fn read(summary: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(summary).map_err(|e| format!("{}: {e}", summary.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", summary.display()))
}

/// The true percentile of latency, in milliseconds, when `rate` requests a second are to begin
/// over `length` and nobody is answered during `stall`, and everybody at once outside of it.
pub(super) fn truth(rate: u32, length: Duration, stall: Duration, point: f64) -> f64 {
    let count = f64::from(rate) * length.as_secs_f64();
    let held = f64::from(rate) * stall.as_secs_f64();
    // The slowest began with the stall; each later one waited less by the time between two.
    let slower = count * (1.0 - point / 100.0);
    (held - slower).max(0.0) / f64::from(rate) * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_time_is_seen_from_the_eightieth_percentile() {
        let of = |point| truth(500, Duration::from_secs(10), Duration::from_secs(2), point);
        let close = |value: f64, wanted: f64| assert!((value - wanted).abs() < 1e-6, "{value}");
        close(of(50.0), 0.0);
        close(of(80.0), 0.0);
        close(of(90.0), 1_000.0);
        close(of(99.0), 1_900.0);
    }
}
