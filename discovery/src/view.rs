//! Who serves, as a source of endpoints tells it: immutable, and numbered as it changes.

use std::{sync::Arc, time::Duration};

/// One who serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serving {
    /// Its identity, distinct within a view.
    pub name: Box<str>,
    /// Where it listens, such as `10.0.0.1:8080`.
    pub address: Box<str>,
    /// Its share relative to the others'; at least 1.
    pub weight: u32,
    /// Its failure zone.
    pub zone: Option<Box<str>>,
}

/// All who serve.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Counts the views that differ from the one before, from 1; 0 is none yet.
    pub version: u64,
    /// By name.
    pub serving: Box<[Serving]>,
}

/// What a source said when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These serve, for as long as it says. Nobody, if it is sure of that.
    Known(Vec<Serving>, Duration),
    /// It did not say.
    Failed,
}

/// Least and greatest time for which an answer is believed, whatever it says itself.
pub const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Pause after a failure, and what doubling it ends at.
pub const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Answers in a row that nobody serves before that is believed.
pub const CONFIRMATIONS: u32 = 2;
/// Most who serve in one view; of more those of the least names are kept.
pub const SERVING_MAX: usize = 10_000;

/// What is known from one source, and when to ask it again.
///
/// A failure changes nothing: the last view stays, and the source is asked ever less often. That
/// nobody serves is believed when it is said twice: a name that is being moved often says it once.
#[derive(Debug, Default)]
pub struct Refresh {
    view: Arc<View>,
    empty: u32,
    failures: u32,
}

impl Refresh {
    /// Begins with a view that was told elsewhere.
    #[must_use]
    pub const fn from_view(view: Arc<View>) -> Self {
        Self { view, empty: 0, failures: 0 }
    }

    /// The latest view.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Failures since the last answer.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Takes an answer in. When to ask again, give or take a tenth by `dice`, a random number.
    pub fn hear(&mut self, answer: Answer, dice: u32) -> Duration {
        let Answer::Known(serving, ttl) = answer else {
            let pause = BACK_OFF.0.saturating_mul(1 << self.failures.min(8)).min(BACK_OFF.1);
            self.failures = self.failures.saturating_add(1);
            return jitter(pause, dice);
        };
        self.failures = 0;
        self.empty = if serving.is_empty() { self.empty + 1 } else { 0 };
        if (1..CONFIRMATIONS).contains(&self.empty) {
            return jitter(TTL.0, dice);
        }
        self.settle(serving);
        jitter(ttl.clamp(TTL.0, TTL.1), dice)
    }

    /// Takes in what needs no second answer and holds until there is another, such as what somebody
    /// has written down.
    pub fn settle(&mut self, mut serving: Vec<Serving>) {
        self.failures = 0;
        self.empty = if serving.is_empty() { CONFIRMATIONS } else { 0 };
        serving.sort_unstable();
        serving.dedup_by(|later, earlier| later.name == earlier.name);
        serving.truncate(SERVING_MAX);
        if self.view.version == 0 || *self.view.serving != *serving {
            let version = self.view.version + 1;
            self.view = Arc::new(View { version, serving: serving.into() });
        }
    }
}

/// Nine to eleven tenths of a time.
fn jitter(time: Duration, dice: u32) -> Duration {
    time.mul_f64(0.9 + 0.2 * f64::from(dice) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The dice that change nothing.
    const EVEN: u32 = u32::MAX / 2;

    fn serving(names: &[&str]) -> Vec<Serving> {
        let one = |name: &&str| Serving {
            name: (*name).into(),
            address: format!("{name}:80").into(),
            weight: 1,
            zone: None,
        };
        names.iter().map(one).collect()
    }

    fn known(names: &[&str], seconds: u64) -> Answer {
        Answer::Known(serving(names), Duration::from_secs(seconds))
    }

    fn about(time: Duration, seconds: f64) -> bool {
        (time.as_secs_f64() - seconds).abs() < 1e-6 * seconds
    }

    #[test]
    fn a_view_is_new_when_it_differs() {
        let mut refresh = Refresh::default();
        assert_eq!(refresh.view().version, 0);
        refresh.hear(known(&["b", "a", "b"], 5), EVEN);
        let first = refresh.view().clone();
        assert_eq!((first.version, &*first.serving), (1, &*serving(&["a", "b"])));
        refresh.hear(known(&["a", "b"], 5), EVEN);
        assert!(Arc::ptr_eq(&first, refresh.view()), "in another order it is the same");
        refresh.hear(known(&["a"], 5), EVEN);
        assert_eq!(refresh.view().version, 2);
    }

    #[test]
    fn a_time_to_live_is_bounded_and_shaken() {
        let mut refresh = Refresh::default();
        for (said, kept) in [(0, 1.0), (60, 60.0), (86_400, 300.0)] {
            assert!(about(refresh.hear(known(&["a"], said), EVEN), kept));
        }
        assert!(about(refresh.hear(known(&["a"], 10), 0), 9.0));
        assert!(about(refresh.hear(known(&["a"], 10), u32::MAX), 11.0));
    }

    #[test]
    fn failures_keep_what_is_known_and_back_off() {
        let mut refresh = Refresh::default();
        refresh.hear(known(&["a"], 5), EVEN);
        for pause in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            assert!(about(refresh.hear(Answer::Failed, EVEN), pause));
        }
        (0..100).for_each(|_| assert!(about(refresh.hear(Answer::Failed, EVEN), 30.0)));
        assert_eq!((refresh.view().version, refresh.failures()), (1, 107));
        refresh.hear(known(&["a"], 5), EVEN);
        assert_eq!((refresh.view().version, refresh.failures()), (1, 0));
        assert!(about(refresh.hear(Answer::Failed, EVEN), 1.0));
    }

    #[test]
    fn that_nobody_serves_must_be_said_twice() {
        let mut refresh = Refresh::default();
        refresh.hear(known(&["a"], 60), EVEN);
        assert!(about(refresh.hear(known(&[], 60), EVEN), 1.0), "asked again soon");
        assert_eq!(refresh.view().version, 1);
        refresh.hear(known(&["a"], 60), EVEN);
        refresh.hear(known(&[], 60), EVEN);
        // A failure in between neither confirms nor denies it.
        refresh.hear(Answer::Failed, EVEN);
        assert_eq!(refresh.view().version, 1);
        assert!(about(refresh.hear(known(&[], 60), EVEN), 60.0));
        assert_eq!((refresh.view().version, refresh.view().serving.len()), (2, 0));
        refresh.hear(known(&[], 60), EVEN);
        assert_eq!(refresh.view().version, 2);
    }

    #[test]
    fn what_is_written_down_needs_no_second_answer() {
        let mut refresh = Refresh::default();
        refresh.settle(serving(&["a"]));
        refresh.hear(Answer::Failed, EVEN);
        refresh.settle(Vec::new());
        assert_eq!((refresh.view().version, refresh.view().serving.len()), (2, 0));
        assert_eq!(refresh.failures(), 0);
    }

    #[test]
    fn a_view_is_bounded() {
        let names: Vec<String> = (0..SERVING_MAX + 5).map(|i| format!("n{i:06}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut refresh = Refresh::default();
        refresh.hear(known(&names, 5), EVEN);
        assert_eq!(refresh.view().serving.len(), SERVING_MAX);
    }
}
