//! Dates of HTTP (RFC 9110 section 5.6.7): the three formats, to the letter but for case. What is
//! nearly a date is none: an `Expires` that cannot be read means "stale", not "some other day".

use crate::time::Time;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// Reads a date. `now` tells the century of one with two digits (RFC 9110 section 5.6.7: more than
/// fifty years ahead is in the past).
pub fn parse(text: &[u8], now: Time) -> Option<Time> {
    let text = str::from_utf8(text).ok()?.to_ascii_lowercase();
    let seconds = match text.split_once(", ") {
        Some((day, rest)) if day.len() == 3 && is_day(day, 3) => fixdate(rest),
        Some((day, rest)) if is_day(day, day.len()) => rfc850(rest, now),
        Some(_) => None,
        None => asctime(&text),
    };
    seconds.map(Time::from_seconds)
}

/// Writes a date as `Sun, 06 Nov 1994 08:49:37 GMT`, as all must who write one.
pub fn format(time: Time) -> String {
    let seconds = time.millis() / 1_000;
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + EPOCH;
    // Eras of 400 years, whose days are all alike; years begin in March.
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    let from_march = (of_year * 5 + 2) / 153;
    let day = of_year - (from_march * 153 + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    // The epoch was a Thursday.
    let weekday = capital(DAYS[(days % 7 + 4) as usize % 7]);
    let month = capital(MONTHS[month as usize]);
    let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// The first three letters, the first of them large.
fn capital(name: &str) -> String {
    let mut text = name[..3].to_owned();
    text[..1].make_ascii_uppercase();
    text
}

/// Days from 1 March of the year 0 to the Unix epoch.
const EPOCH: u64 = 719_468;

fn is_day(name: &str, length: usize) -> bool {
    length >= 3 && DAYS.iter().any(|day| day.get(..length.min(day.len())) == Some(name))
}

/// `06 nov 1994 08:49:37 gmt`
fn fixdate(text: &str) -> Option<u64> {
    let mut parts = text.split(' ');
    let day = digits(parts.next()?, 2)?;
    let month = month(parts.next()?)?;
    let year = digits(parts.next()?, 4)?;
    let time = time(parts.next()?)?;
    (parts.next() == Some("gmt") && parts.next().is_none()).then_some(())?;
    seconds(year, month, day, time)
}

/// `06-nov-94 08:49:37 gmt`
fn rfc850(text: &str, now: Time) -> Option<u64> {
    let mut parts = text.split(' ');
    let mut date = parts.next()?.split('-');
    let day = digits(date.next()?, 2)?;
    let month = month(date.next()?)?;
    let short = digits(date.next()?, 2)?;
    date.next().is_none().then_some(())?;
    let time = time(parts.next()?)?;
    (parts.next() == Some("gmt") && parts.next().is_none()).then_some(())?;
    let this_year = 1970 + now.millis() / 31_556_952_000;
    let year = this_year - this_year % 100 + short;
    let year = if year > this_year + 50 { year - 100 } else { year };
    seconds(year, month, day, time)
}

/// `sun nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<u64> {
    let (day, rest) = text.split_at_checked(4)?;
    is_day(day.strip_suffix(' ')?, 3).then_some(())?;
    let (name, rest) = rest.split_at_checked(4)?;
    let month = month(name.strip_suffix(' ')?)?;
    let (day, rest) = rest.split_at_checked(3)?;
    let day = day.strip_suffix(' ')?;
    let day = day.strip_prefix(' ').map_or_else(|| digits(day, 2), |day| digits(day, 1))?;
    let (clock, year) = rest.split_once(' ')?;
    seconds(digits(year, 4)?, month, day, time(clock)?)
}

fn month(name: &str) -> Option<u64> {
    MONTHS.iter().position(|month| *month == name).map(|at| at as u64 + 1)
}

/// `08:49:37` in seconds; a leap second is let through.
fn time(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let hour = digits(parts.next()?, 2).filter(|hour| *hour < 24)?;
    let minute = digits(parts.next()?, 2).filter(|minute| *minute < 60)?;
    let second = digits(parts.next()?, 2).filter(|second| *second <= 60)?;
    parts.next().is_none().then_some(hour * 3_600 + minute * 60 + second)
}

/// A number of just so many digits.
fn digits(text: &str, count: usize) -> Option<u64> {
    let good = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| text.parse().ok())?
}

/// Seconds since the Unix epoch of a day of the Gregorian calendar and a time of day.
fn seconds(year: u64, month: u64, day: u64, time: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day == 0 || day > length || year < 1970 {
        return None;
    }
    // Days since 1 March of the year 0, for a year that begins in March ends with the leap day.
    let (shifted, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = shifted * 365 + shifted / 4 - shifted / 100
        + shifted / 400
        + (from_march * 153 + 2) / 5
        + day
        - 1;
    Some((days - EPOCH) * 86_400 + time)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 20 November 2026.
    const NOW: Time = Time::from_seconds(1_795_132_800);

    fn seconds_of(text: &str) -> Option<u64> {
        parse(text.as_bytes(), NOW).map(|time| time.millis() / 1_000)
    }

    #[test]
    fn reads_the_three_formats() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 nov 1994 08:49:37 gMT",
        ] {
            assert_eq!(seconds_of(text), Some(784_111_777), "{text}");
        }
        assert_eq!(seconds_of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds_of("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
        assert_eq!(seconds_of("Sun, 21 Nov 2286 04:46:39 GMT"), Some(10_000_039_599));
        assert_eq!(seconds_of("Thursday, 18-Aug-50 02:01:18 GMT"), Some(2_544_400_878));
        assert_eq!(
            seconds_of("Thu Aug 18 02:01:18 2050"),
            seconds_of("Thu, 18 Aug 2050 02:01:18 GMT")
        );
    }

    #[test]
    fn writes_the_weekday() {
        let time = Time::from_seconds(784_111_777);
        assert_eq!(format(time), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(format(Time::ZERO), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(format(Time::from_seconds(951_782_400)), "Tue, 29 Feb 2000 00:00:00 GMT");
    }

    #[test]
    fn what_is_nearly_a_date_is_none() {
        for text in [
            "",
            "0",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT ",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 25:01:18 GMT",
            "Xyz, 18 Aug 2050 02:01:18 GMT",
            "Fri, 31 Dec 1969 23:59:59 GMT",
            "Thu, +1 Aug 2050 02:01:18 GMT",
        ] {
            assert_eq!(seconds_of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(seconds in 0..253_402_300_800_u64) {
            let time = Time::from_seconds(seconds);
            prop_assert_eq!(parse(format(time).as_bytes(), NOW), Some(time));
        }

        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..40), now in any::<u64>()) {
            parse(&text, Time::from_millis(now));
        }

        #[test]
        fn never_panics_on_what_looks_like_one(
            day in "[STMWFa-z]{3,9},? ?[0-9]{0,3}[ -][A-Za-z]{3}[ -][0-9]{0,5}",
            clock in " [0-9:.]{0,9} (GMT)?",
            now in any::<u64>(),
        ) {
            let text = day + &clock;
            parse(text.as_bytes(), Time::from_millis(now));
        }
    }
}
