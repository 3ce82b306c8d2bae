//! When to ask a server that does not answer: after some failures in a row not for a while, then
//! once, and after that longer and longer.

use std::time::Duration;

use super::part::later;
use crate::moment::Nanos;

/// Failures in a row after which a server counts as down.
const FAILURES: u32 = 5;
/// The first pause, before jitter. Doubled by each probe that fails.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long a probe may take: who began it may have no more requests that would drive it on.
const PROBED_IN: Duration = Duration::from_secs(1);

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Ask: the server is well.
    Ask,
    /// Ask, and say how it went: everybody else waits for it.
    Probe,
    /// Do not ask: it is down.
    Skip,
}

/// The state of one server.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open: Option<Open>,
    /// When it was last to be asked again, and after which pause.
    last: Option<(Nanos, Duration)>,
}

#[derive(Debug)]
struct Open {
    until: Nanos,
    pause: Duration,
    /// Until when others wait for a probe that is on its way.
    probing: Option<Nanos>,
}

impl Breaker {
    /// Whether a request may ask.
    pub(super) fn admit(&mut self, now: Nanos) -> Admission {
        match &mut self.open {
            None => Admission::Ask,
            Some(open) if now < open.probing.unwrap_or(open.until) => Admission::Skip,
            Some(open) => {
                open.probing = Some(later(now, PROBED_IN));
                Admission::Probe
            }
        }
    }

    /// The server answered. Returns whether it counted as down.
    pub(super) fn succeed(&mut self) -> bool {
        self.failures = 0;
        let Some(open) = self.open.take() else { return false };
        self.last = Some((open.until, open.pause));
        true
    }

    /// The server did not answer, or could not do its work. Once is enough where it said itself
    /// that it cannot; and when it says so again soon after it could, the pause grows on: a server
    /// at the end of its memory can many times a second. Returns whether it counts as down from
    /// now on.
    pub(super) fn fail(
        &mut self,
        probe: bool,
        said_so: bool,
        now: Nanos,
        rng: &mut fastrand::Rng,
    ) -> bool {
        let pause = match &self.open {
            Some(open) if probe => (open.pause * 2).min(PAUSE_MAX),
            // Sent before the others failed.
            Some(_) => return false,
            None => {
                self.failures += 1;
                if self.failures < FAILURES && !said_so {
                    return false;
                }
                match self.last {
                    Some((at, pause)) if said_so && now < later(at, PAUSE_MAX) => {
                        (pause * 2).min(PAUSE_MAX)
                    }
                    _ => PAUSE_MIN,
                }
            }
        };
        let jittered = pause.mul_f64(0.5 + rng.f64() / 2.0);
        let opened = self.open.is_none();
        self.open = Some(Open { until: later(now, jittered), pause, probing: None });
        opened
    }

    /// A probe ended without an answer of either kind: the next request may be one.
    pub(super) fn abandon(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Nanos {
        Nanos::new(millis * 1_000_000)
    }

    #[test]
    fn opens_after_failures_in_a_row() {
        let (mut breaker, mut rng) = (Breaker::default(), fastrand::Rng::with_seed(1));
        for _ in 0..FAILURES - 1 {
            assert!(!breaker.fail(false, false, at(0), &mut rng));
        }
        assert!(!breaker.succeed());
        for i in 1..=FAILURES {
            assert_eq!(breaker.admit(at(0)), Admission::Ask);
            assert_eq!(breaker.fail(false, false, at(0), &mut rng), i == FAILURES);
        }
        assert_eq!(breaker.admit(at(49)), Admission::Skip);
        assert!(!breaker.fail(false, false, at(49), &mut rng), "one that was on its way");
    }

    #[test]
    fn one_probe_at_a_time_and_longer_pauses() {
        let (mut breaker, mut rng) = (Breaker::default(), fastrand::Rng::with_seed(1));
        for _ in 0..FAILURES {
            breaker.fail(false, false, at(0), &mut rng);
        }
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let began = now;
            while breaker.admit(at(now)) == Admission::Skip {
                now += 1;
            }
            pauses.push(now - began);
            assert_eq!(breaker.admit(at(now)), Admission::Skip, "a probe is on its way");
            breaker.abandon();
            assert_eq!(breaker.admit(at(now)), Admission::Probe);
            assert!(!breaker.fail(true, false, at(now), &mut rng), "it was open");
        }
        for (i, pause) in pauses.iter().enumerate() {
            let most = (100 << i).min(2_000);
            assert!((most / 2..=most + 1).contains(pause), "{pauses:?}");
        }
        assert_eq!(breaker.admit(at(now + 3_000)), Admission::Probe);
        assert!(breaker.succeed());
        assert_eq!(breaker.admit(at(now)), Admission::Ask);
    }

    #[test]
    fn a_probe_that_nobody_drives_on_is_not_waited_for_for_ever() {
        let (mut breaker, mut rng) = (Breaker::default(), fastrand::Rng::with_seed(1));
        for _ in 0..FAILURES {
            breaker.fail(false, false, at(0), &mut rng);
        }
        assert_eq!(breaker.admit(at(100)), Admission::Probe);
        assert_eq!(breaker.admit(at(1_099)), Admission::Skip);
        assert_eq!(breaker.admit(at(1_100)), Admission::Probe);
        assert_eq!(breaker.admit(at(1_100)), Admission::Skip);
    }

    #[test]
    fn a_server_that_says_that_it_cannot_is_believed_and_ever_longer() {
        let (mut breaker, mut rng) = (Breaker::default(), fastrand::Rng::with_seed(1));
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..8 {
            assert!(breaker.fail(false, true, at(now), &mut rng), "once is enough");
            let began = now;
            while breaker.admit(at(now)) == Admission::Skip {
                now += 1;
            }
            pauses.push(now - began);
            assert!(breaker.succeed());
            now += 1;
        }
        for (i, pause) in pauses.iter().enumerate() {
            let most = (100 << i).min(2_000);
            assert!((most / 2..=most + 1).contains(pause), "{pauses:?}");
        }
        // It was well for a while.
        breaker.fail(false, true, at(now + 4_000), &mut rng);
        assert_eq!(breaker.admit(at(now + 4_101)), Admission::Probe);
    }
}
