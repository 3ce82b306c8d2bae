//! What an endpoint says of its own load: `x-weir-load` on its responses.
//!
//! The gateway knows its own requests only. An endpoint knows those of all its clients, and may say
//! how many are under way there, and how long an answer takes of late: `x-weir-load: 17` or
//! `x-weir-load: 17;ms=12.5` (what probes of Prequal return, carried by responses).

use std::time::Duration;

/// Most that is believed of either figure.
const IN_FLIGHT_MOST: u32 = 1 << 24;
const MILLIS_MOST: f64 = 3_600_000.0;

/// One such value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// Requests under way at the endpoint, of whomever.
    pub in_flight: u32,
    /// How long an answer takes.
    pub latency: Option<Duration>,
}

impl Told {
    /// Reads a field value; nothing of one that is malformed.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim();
        let (count, parameter) = match text.split_once(';') {
            Some((count, parameter)) => (count, Some(parameter)),
            None => (text, None),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let in_flight = Some(count.trim_end()).filter(|count| digits(count))?;
        let in_flight = in_flight.parse::<u32>().ok().filter(|count| *count <= IN_FLIGHT_MOST)?;
        let latency = match parameter {
            None => None,
            Some(parameter) => {
                let millis = parameter.trim_start().strip_prefix("ms=")?;
                let millis = Some(millis).filter(|m| m.split('.').all(digits))?;
                let millis = millis.parse::<f64>().ok().filter(|millis| *millis <= MILLIS_MOST)?;
                Some(Duration::from_secs_f64(millis / 1e3))
            }
        };
        Some(Self { in_flight, latency })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn figures_are_read() {
        let told = |in_flight, millis: Option<f64>| {
            let latency = millis.map(|millis| Duration::from_secs_f64(millis / 1e3));
            Some(Told { in_flight, latency })
        };
        for (value, wanted) in [
            ("0", told(0, None)),
            ("17", told(17, None)),
            (" 17 ; ms=12.5 ", told(17, Some(12.5))),
            ("3;ms=0", told(3, Some(0.0))),
            ("16777216", told(1 << 24, None)),
            ("16777217", None),
            ("", None),
            ("-1", None),
            ("1e3", None),
            ("+1", None),
            ("1;", None),
            ("1;ms=", None),
            ("1;ms=-1", None),
            ("1;ms=1.2.3", None),
            ("1;ms=inf", None),
            ("1;ms=NaN", None),
            ("1;ms=3600001", None),
            ("1;cpu=1", None),
            ("1, 2", None),
        ] {
            assert_eq!(Told::parse(value.as_bytes()), wanted, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn anything_may_come(value in any::<Vec<u8>>(), text in "[0-9;ms=. ]{0,20}") {
            Told::parse(&value);
            if let Some(told) = Told::parse(text.as_bytes()) {
                prop_assert!(told.in_flight <= IN_FLIGHT_MOST);
            }
        }
    }
}
