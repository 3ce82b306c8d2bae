//! What goes wrong on purpose: which requests are held back or fail, and how.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use weir_config::{model, units};

use super::chance::Chance;

/// The faults of a route.
#[derive(Debug)]
pub struct Fault {
    delay: Option<Part<Duration>>,
    abort: Option<Part<StatusCode>>,
}

/// Requests of a share, perhaps only those with a header.
#[derive(Debug)]
struct Part<T> {
    what: T,
    chance: Chance,
    header: Option<HeaderName>,
}

/// What a request has met with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Struck {
    /// It is held back for so long.
    pub(crate) delay: Option<Duration>,
    /// It is answered with this status.
    pub(crate) abort: Option<StatusCode>,
}

/// What was made of it, for those who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Faulted {
    /// It was held back.
    Delay,
    /// It was answered with an error.
    Abort,
    /// It was not held back, since too many were.
    DelaySkipped,
}

impl Faulted {
    /// Names in metrics, in the order of the variants.
    pub(crate) const NAMES: [&'static str; 3] = ["delay", "abort", "delay_skipped"];
}

impl Fault {
    /// The faults that are configured; `None` where there are none.
    pub(crate) fn new(config: &model::Fault) -> Option<Self> {
        let delay = config.delay.as_ref().map(|delay| Part {
            what: delay.time,
            chance: Chance::of(delay.percent),
            header: delay.header.clone(),
        });
        let abort = config.abort.as_ref().map(|abort| Part {
            what: abort.status,
            chance: Chance::of(abort.percent),
            header: abort.header.clone(),
        });
        (delay.is_some() || abort.is_some()).then_some(Self { delay, abort })
    }

    /// What a request with these fields meets with.
    pub(crate) fn strike(&self, headers: &HeaderMap, rng: &mut fastrand::Rng) -> Struck {
        let shorter = |text: &str, most: Duration| {
            units::duration(text).map_or(most, |asked| asked.min(most))
        };
        let other = |text: &str, status: StatusCode| {
            let asked = text.parse::<StatusCode>().ok();
            let asked = asked.filter(|asked| (400..600).contains(&asked.as_u16()));
            asked.unwrap_or(status)
        };
        let delay = self.delay.as_ref().and_then(|delay| delay.draw(headers, rng, shorter));
        Struck {
            delay: delay.filter(|delay| !delay.is_zero()),
            abort: self.abort.as_ref().and_then(|abort| abort.draw(headers, rng, other)),
        }
    }

    /// Such as `200ms for 10%`, for people.
    pub(crate) fn describe(config: &model::Fault) -> Vec<String> {
        let who = |percent: f64, header: &Option<HeaderName>| {
            let header = header.as_ref().map(|name| format!(" with `{name}`"));
            format!("{} of requests{}", units::show_percent(percent), header.unwrap_or_default())
        };
        let delay = config.delay.as_ref().map(|one| {
            let time = units::show_duration(one.time);
            format!("delay {time} for {}", who(one.percent, &one.header))
        });
        let abort = config
            .abort
            .as_ref()
            .map(|one| format!("{} for {}", one.status.as_u16(), who(one.percent, &one.header)));
        delay.into_iter().chain(abort).collect()
    }
}

impl<T: Copy> Part<T> {
    fn draw(
        &self,
        headers: &HeaderMap,
        rng: &mut fastrand::Rng,
        read: impl Fn(&str, T) -> T,
    ) -> Option<T> {
        let what = match &self.header {
            None => self.what,
            Some(name) => read(headers.get(name)?.to_str().unwrap_or("").trim(), self.what),
        };
        self.chance.hits(rng).then_some(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(percent: f64, header: Option<&'static str>) -> Fault {
        let header = header.map(HeaderName::from_static);
        let time = Duration::from_millis(200);
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let delay = Some(model::FaultDelay { time, percent, header: header.clone() });
        let abort = Some(model::FaultAbort { status, percent, header });
        Fault::new(&model::Fault { delay, abort }).unwrap()
    }

    fn struck(fault: &Fault, value: Option<&'static str>) -> Struck {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert("x-fault", value.parse().unwrap());
        }
        fault.strike(&headers, &mut fastrand::Rng::with_seed(1))
    }

    #[test]
    fn no_fault_is_none() {
        assert!(Fault::new(&model::Fault::default()).is_none());
        assert_eq!(struck(&fault(0.0, None), None), Struck::default());
    }

    #[test]
    fn only_those_with_the_header_are_meant() {
        let fault = fault(1.0, Some("x-fault"));
        assert_eq!(struck(&fault, None), Struck::default());
        for (value, millis, status) in [
            ("", 200, 503),
            ("yes", 200, 503),
            ("50ms", 50, 503),
            ("1h", 200, 503),
            ("502", 200, 502),
            ("200", 200, 503),
            ("999", 200, 503),
            ("-1", 200, 503),
            ("18446744073709551616d", 200, 503),
        ] {
            let one = struck(&fault, Some(value));
            assert_eq!(one.delay, Some(Duration::from_millis(millis)), "{value:?}");
            assert_eq!(one.abort.unwrap().as_u16(), status, "{value:?}");
        }
        assert_eq!(struck(&fault, Some("0s")).delay, None);
    }

    #[test]
    fn a_share_per_mille_is_met() {
        let (fault, rng) = (fault(0.001, None), &mut fastrand::Rng::with_seed(3));
        let headers = HeaderMap::new();
        let hits = (0..1_000_000).filter(|_| fault.strike(&headers, rng).abort.is_some()).count();
        assert!((873..=1127).contains(&hits), "{hits} of a million, 1000 expected");
    }
}
