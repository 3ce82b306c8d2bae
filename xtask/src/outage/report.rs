//! What came of it, as tables.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use super::{
    client::Sample,
    story::{BEFORE, OUTAGE, Story},
};

/// The windows that goodput is counted in.
const WINDOW: Duration = Duration::from_millis(500);
/// Share of the requests that must succeed for an upstream to count as recovered.
const RECOVERED: f64 = 0.95;

/// The table of one story.
pub(super) fn table(story: Story, rows: &[(String, Vec<Sample>)]) -> String {
    let mut text = format!("\n### {}\n\n", story.title());
    text += "| peer | requests | failed | share | p50 | p99 | slowest |";
    if story.is_outage() {
        text += " back to 95 % after | worst 500 ms afterwards |";
    }
    let columns = if story.is_outage() { 8 } else { 6 };
    writeln!(text, "\n|---|{}", "--:|".repeat(columns)).ok();
    for (peer, samples) in rows {
        text += &row(peer, samples, story);
    }
    text
}

/// The answers of each window, by status; 0 is none in time.
pub(super) fn series(rows: &[(String, Vec<Sample>)]) -> String {
    let mut text = String::new();
    for (peer, samples) in rows {
        writeln!(text, "\n{peer}").ok();
        for window in samples.chunk_by(|a, b| nth(a.due) == nth(b.due)) {
            let mut counts = BTreeMap::new();
            for sample in window {
                *counts.entry(sample.status.unwrap_or(0)).or_insert(0) += 1;
            }
            let took = window.iter().map(|sample| sample.took).max().unwrap_or_default();
            let from = WINDOW.as_secs_f64() * nth(window[0].due) as f64;
            writeln!(text, "{from:6.1} s  {counts:?}, slowest {}", millis(took)).ok();
        }
    }
    text
}

/// The window that a moment is in.
fn nth(due: Duration) -> usize {
    (due.as_nanos() / WINDOW.as_nanos()) as usize
}

fn row(peer: &str, samples: &[Sample], story: Story) -> String {
    let failed = samples.iter().filter(|sample| sample.status != Some(200)).count();
    let share = 100.0 * failed as f64 / samples.len().max(1) as f64;
    let mut took: Vec<Duration> = samples.iter().map(|sample| sample.took).collect();
    took.sort_unstable();
    let quantile = |q: f64| took.get((q * took.len() as f64) as usize).or_else(|| took.last());
    let shown = |q| quantile(q).map_or_else(String::new, |time| millis(*time));
    let mut text = format!(
        "| {peer} | {} | {failed} | {share:.3} % | {} | {} | {} |",
        samples.len(),
        shown(0.5),
        shown(0.99),
        shown(1.0)
    );
    if story.is_outage() {
        match recovery(samples, BEFORE + OUTAGE) {
            Some((back, worst)) => {
                write!(text, " {:.1} s | {:.0} % |", back.as_secs_f64(), worst * 100.0).ok();
            }
            None => text += " never | |",
        }
    }
    text + "\n"
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// When, after `end`, a window's goodput was back, and the worst window that followed.
fn recovery(samples: &[Sample], end: Duration) -> Option<(Duration, f64)> {
    let mut windows = Vec::new();
    for sample in samples.iter().filter(|sample| sample.due >= end) {
        let nth = nth(sample.due - end);
        windows.resize(windows.len().max(nth + 1), (0_u32, 0_u32));
        windows[nth].0 += u32::from(sample.status == Some(200));
        windows[nth].1 += 1;
    }
    let shares: Vec<f64> =
        windows.iter().map(|(good, all)| f64::from(*good) / f64::from(*all)).collect();
    let first = shares.iter().position(|share| *share >= RECOVERED)?;
    let worst = shares[first..].iter().copied().fold(1.0, f64::min);
    Some((WINDOW * first as u32, worst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(due: u64, good: bool) -> Sample {
        let status = Some(if good { 200 } else { 503 });
        Sample { due: Duration::from_millis(due), took: Duration::from_millis(1), status }
    }

    #[test]
    fn recovery_is_the_first_good_window_and_collapse_is_seen() {
        let end = Duration::from_secs(10);
        let mut samples: Vec<_> = (0..300).map(|n| sample(n * 50, n * 50 >= 11_000)).collect();
        assert_eq!(recovery(&samples, end), Some((Duration::from_secs(1), 1.0)));
        for late in samples.iter_mut().filter(|s| s.due >= Duration::from_millis(14_500)) {
            late.status = None;
        }
        assert_eq!(recovery(&samples, end), Some((Duration::from_secs(1), 0.0)));
        assert_eq!(recovery(&samples[..200], end), None);
    }

    #[test]
    fn a_row_counts_what_is_not_200_as_failed() {
        let samples = [sample(0, true), sample(1, false), sample(2, true), sample(3, true)];
        let row = row("weir", &samples, Story::Fails);
        assert!(row.contains("| weir | 4 | 1 | 25.000 % | 1.0 ms |"), "{row}");
    }
}
