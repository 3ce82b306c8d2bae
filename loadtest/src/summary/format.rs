//! Numbers as k6 writes them.

use crate::{metrics::Contains, options::TimeUnit};

/// A value of a metric.
pub(super) fn value(value: f64, contains: Contains, unit: Option<TimeUnit>) -> String {
    match contains {
        Contains::Default => plain(value),
        Contains::Data => bytes(value),
        Contains::Time => match unit {
            None => time(value),
            Some(TimeUnit::Seconds) => format!("{:.2}s", value / 1e3),
            Some(TimeUnit::Milliseconds) => format!("{value:.2}ms"),
            Some(TimeUnit::Microseconds) => format!("{:.2}\u{b5}s", value * 1e3),
        },
    }
}

/// At most six digits after the point.
pub(crate) fn plain(value: f64) -> String {
    shortened(format!("{value:.6}"))
}

/// A share of 1 as per cent, cut off after two digits so that 100 % means all.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2}%", (share * 10_000.0 + 1e-9).floor() / 100.0)
}

/// Milliseconds in the unit that suits them, cut off after two digits.
fn time(ms: f64) -> String {
    let cut = |value: f64| shortened(format!("{:.2}", (value * 100.0 + 1e-6).floor() / 100.0));
    let ns = (ms * 1e6).round();
    if ns <= 0.0 {
        "0s".to_owned()
    } else if ns < 1e3 {
        format!("{ns}ns")
    } else if ns < 1e6 {
        format!("{}\u{b5}s", cut(ns / 1e3))
    } else if ns < 1e9 {
        format!("{}ms", cut(ns / 1e6))
    } else if ns < 60e9 {
        format!("{}s", cut(ns / 1e9))
    } else {
        let seconds = (ns / 1e9) as u64;
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let hours = if hours > 0 { format!("{hours}h") } else { String::new() };
        format!("{hours}{minutes}m{seconds}s")
    }
}

fn bytes(value: f64) -> String {
    let (mut value, mut units) = (value.max(0.0), ["B", "kB", "MB", "GB", "TB", "PB"].iter());
    let mut unit = units.next().unwrap_or(&"B");
    while value >= 1000.0
        && let Some(next) = units.next()
    {
        (value, unit) = (value / 1000.0, next);
    }
    let digits = usize::from(*unit != "B" && value < 9.95);
    format!("{value:.digits$} {unit}")
}

fn shortened(number: String) -> String {
    if !number.contains('.') {
        return number;
    }
    number.trim_end_matches('0').trim_end_matches('.').to_owned()
}
