//! Durations as k6 writes them.

use std::time::Duration;

/// A duration that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no duration: write it like 1m30s, 500ms or 2h, or as a number of milliseconds")]
pub struct DurationError(String);

/// The longest that is accepted.
const MOST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Unit and its length in nanoseconds, longer names first.
const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
    ("d", 86_400e9),
];

/// Parses `1m30s`, `1.5h`, `2d`, or a number of milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let error = || DurationError(text.to_owned());
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(ms) = text.parse::<f64>() {
        return of_nanos(ms * 1e6).ok_or_else(error);
    }
    let (mut rest, mut nanos) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
        let number: f64 = rest[..digits].parse().map_err(|_| error())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters]).ok_or_else(error)?;
        nanos += number * unit.1;
        rest = &rest[letters..];
    }
    if text.is_empty() { Err(error()) } else { of_nanos(nanos).ok_or_else(error) }
}

fn of_nanos(nanos: f64) -> Option<Duration> {
    let fits = (0.0..=MOST.as_nanos() as f64).contains(&nanos);
    fits.then(|| Duration::from_nanos(nanos.round() as u64))
}

/// Writes a duration as k6 does: `1m30s`, `500ms`, `1.5s`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |unit: u128, digits: usize| {
        let (whole, part) = (nanos / unit, nanos % unit);
        let part = format!("{part:0digits$}");
        let part = part.trim_end_matches('0');
        if part.is_empty() { whole.to_string() } else { format!("{whole}.{part}") }
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}\u{b5}s", fraction(1_000, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(1_000_000, 6)),
        _ => {
            let minutes = duration.as_secs() / 60;
            let rest = duration - Duration::from_secs(minutes * 60);
            let seconds = format!("{}.{:09}", rest.as_secs(), rest.subsec_nanos());
            let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}
