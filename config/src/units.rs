//! Words for amounts: durations, sizes, rates and percentages, read and written.

use std::{fmt, time::Duration};

/// A text that is no such amount, and what would have been one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What was expected, with examples.
    pub expected: &'static str,
    /// What the writer probably meant.
    pub hint: Option<String>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Invalid {}

/// So many per so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; 0 is none at all.
    pub count: u32,
    /// In how long: whole seconds, up to 366 days.
    pub per: Duration,
}

/// A duration, in the words of the expected text.
pub const DURATION: &str = "a duration such as `250ms`, `5s`, `1m`, `1h` or `2d`";
/// A size, in the words of the expected text.
pub const SIZE: &str = "a size such as `512B`, `64KiB`, `1MiB` or `10MB`";
/// A rate, in the words of the expected text.
pub const RATE: &str = "a rate such as `100/s`, `5/m`, `1000/h` or `100/15m`";
/// A percentage, in the words of the expected text.
pub const PERCENT: &str = "a percentage from `0%` to `100%`, such as `20%`";

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Reads `250ms 5s 1m 1h 2d`: a whole number and a unit.
///
/// # Errors
/// [`Invalid`] for anything else, a number that overflows included.
pub fn duration(text: &str) -> Result<Duration, Invalid> {
    let invalid = |hint| Invalid { expected: DURATION, hint };
    let (digits, unit) = split(text);
    if digits.is_empty() {
        return Err(invalid(None));
    }
    if unit.is_empty() {
        return Err(invalid(Some(format!("a unit is missing: did you mean `{digits}s`?"))));
    }
    let Some((_, factor)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
        let hint = match unit {
            "sec" | "secs" | "second" | "seconds" | "S" => Some(format!("write `{digits}s`")),
            "min" | "mins" | "minute" | "minutes" | "M" => Some(format!("write `{digits}m`")),
            "hour" | "hours" | "H" | "hr" | "hrs" => Some(format!("write `{digits}h`")),
            "day" | "days" | "D" => Some(format!("write `{digits}d`")),
            "msec" | "millis" | "MS" => Some(format!("write `{digits}ms`")),
            _ if unit.starts_with('.') => {
                Some("only whole numbers: `1500ms` is one second and a half".to_owned())
            }
            _ => None,
        };
        return Err(invalid(hint));
    };
    let number: u64 = digits.parse().map_err(|_| invalid(Some(TOO_LARGE.to_owned())))?;
    let millis = number.checked_mul(*factor).ok_or_else(|| invalid(Some(TOO_LARGE.to_owned())))?;
    Ok(Duration::from_millis(millis))
}

/// Reads `512B 64KiB 1MiB 10MB`: a whole number and a unit, binary or decimal.
///
/// # Errors
/// [`Invalid`] for anything else, a number that overflows included.
pub fn size(text: &str) -> Result<u64, Invalid> {
    let invalid = |hint| Invalid { expected: SIZE, hint };
    let (digits, unit) = split(text);
    if digits.is_empty() {
        return Err(invalid(None));
    }
    if unit.is_empty() {
        return Err(invalid(Some(format!("a unit is missing: did you mean `{digits}B`?"))));
    }
    let Some((_, factor)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        let same = SIZE_UNITS.iter().find(|(name, _)| {
            name.eq_ignore_ascii_case(unit)
                || name.strip_suffix("iB").is_some_and(|short| short.eq_ignore_ascii_case(unit))
        });
        return Err(invalid(same.map(|(name, _)| format!("did you mean `{digits}{name}`?"))));
    };
    let number: u64 = digits.parse().map_err(|_| invalid(Some(TOO_LARGE.to_owned())))?;
    number.checked_mul(*factor).ok_or_else(|| invalid(Some(TOO_LARGE.to_owned())))
}

/// Reads `100/s 5/m 1000/h 10/d`, and `100/15m`: a whole number, then a duration or its unit.
///
/// # Errors
/// [`Invalid`] for anything else, a number over 2^32 - 1 and a time above 366 days or of
/// parts of a second included.
pub fn rate(text: &str) -> Result<Rate, Invalid> {
    let invalid = |hint: &str| {
        let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        Invalid { expected: RATE, hint }
    };
    let Some((count, time)) = text.split_once('/') else {
        let number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let hint = if number { format!("did you mean `{text}/s`?") } else { String::new() };
        return Err(invalid(&hint));
    };
    if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid(match count.parse::<f64>() {
            Ok(number) if number < 0.0 => "a rate is not negative; `0/s` admits nothing",
            Ok(number) if number.is_finite() => "only whole numbers: `3/2s` is 1.5 a second",
            _ => "",
        }));
    }
    let count: u32 = count.parse().map_err(|_| invalid("at most 4294967295"))?;
    let number = time.starts_with(|c: char| c.is_ascii_digit());
    let per = if number { duration(time) } else { duration(&format!("1{time}")) };
    let per = per.map_err(|wrong| match wrong.hint {
        Some(hint) if hint.starts_with("write `") => {
            invalid(&hint.replacen(if number { "`" } else { "`1" }, &format!("`{count}/"), 1))
        }
        _ => invalid("after the `/` comes a time: `s`, `m`, `h`, `d` or so many, such as `15m`"),
    })?;
    if !(Duration::from_secs(1)..=YEAR).contains(&per) || per.subsec_nanos() > 0 {
        return Err(invalid("the time is whole seconds, from `1s` up to `366d`"));
    }
    Ok(Rate { count, per })
}

/// Writes a rate as [`rate`] reads it.
#[must_use]
pub fn show_rate(count: u64, per: Duration) -> String {
    let time = show_duration(per);
    // `60s` is what a minute is shown as, and `24h` a day.
    let unit = match time.as_str() {
        "1s" => "s",
        "60s" => "m",
        "1h" => "h",
        "24h" => "d",
        _ => &time,
    };
    format!("{count}/{unit}")
}

/// Reads `20%` or `0.5%` as a fraction of one, from 0 to 1.
///
/// # Errors
/// [`Invalid`] for anything else, a percentage over 100 included.
pub fn percent(text: &str) -> Result<f64, Invalid> {
    let invalid = |hint| Invalid { expected: PERCENT, hint };
    let decimal = |number: &str| {
        number.starts_with(|c: char| c.is_ascii_digit())
            && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    let Some(number) = text.strip_suffix('%') else {
        return Err(invalid(decimal(text).then(|| format!("did you mean `{text}%`?"))));
    };
    if !decimal(number) {
        return Err(invalid(None));
    }
    match number.parse::<f64>() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok(value / 100.0),
        _ => Err(invalid(None)),
    }
}

/// Writes a duration as [`duration`] reads it, in the largest unit that is exact.
///
/// Parts of a millisecond are dropped: no word of the file can say them.
#[must_use]
pub fn show_duration(value: Duration) -> String {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    // Minutes and days only for round numbers of them: `90s` and `60s` read better than `1m`.
    let unit = DURATION_UNITS.iter().rev().find(|(name, factor)| {
        millis.is_multiple_of(*factor) && (millis / factor >= 2 || *name == "s" || *name == "h")
    });
    match unit {
        Some((name, factor)) if millis >= 1 && millis / factor >= 1 => {
            format!("{}{name}", millis / factor)
        }
        _ => format!("{millis}ms"),
    }
}

/// Writes a size as [`size`] reads it, in the largest binary unit that is exact.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    let unit = SIZE_UNITS[..5].iter().rev().find(|(_, factor)| bytes.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) if bytes > 0 => format!("{}{name}", bytes / factor),
        _ => format!("{bytes}B"),
    }
}

/// Writes a fraction of one as [`percent`] reads it.
#[must_use]
pub fn show_percent(fraction: f64) -> String {
    // 0.07 * 100.0 is 7.000000000000001.
    format!("{}%", (fraction * 1e8).round() / 1e6)
}

/// The units of [`duration`].
pub(crate) fn duration_units() -> Vec<&'static str> {
    DURATION_UNITS.iter().map(|(name, _)| *name).collect()
}

/// The units of [`size`].
pub(crate) fn size_units() -> Vec<&'static str> {
    SIZE_UNITS.iter().map(|(name, _)| *name).collect()
}

/// The longest time of a rate.
const YEAR: Duration = Duration::from_secs(366 * 86_400);

const TOO_LARGE: &str = "the number is too large";

/// Leading digits and what follows them.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests;
