use std::{
    sync::{Barrier, atomic::AtomicU64},
    thread,
    time::Duration,
};

use proptest::{collection::vec, prelude::*};

use super::*;

const POLICY: RetryBudget =
    RetryBudget { percent: 0.2, min_per_sec: 3, window: Duration::from_secs(10) };

fn at(millis: u64) -> Tick {
    Tick::from_nanos(millis * 1_000_000)
}

fn deposit(budget: &Budget, count: u32, now: Tick) {
    (0..count).for_each(|_| budget.deposit(now));
}

fn exhaust(budget: &Budget, now: Tick) -> usize {
    (0..100_000).take_while(|_| budget.withdraw(now)).count()
}

#[test]
fn allows_a_share_and_a_floor() {
    let budget = Budget::new(POLICY);
    assert_eq!(exhaust(&budget, at(0)), 30, "3 a second for 10 seconds");
    deposit(&budget, 1_004, at(1));
    assert_eq!(exhaust(&budget, at(2)), 200, "a fifth of 1004");
    deposit(&budget, 1, at(3));
    assert_eq!(exhaust(&budget, at(3)), 1, "a fifth of 1005");
    let standing = Standing { requests: 1_005, retries: 231, allowed: 231 };
    assert_eq!(budget.standing(at(4)), standing);
}

#[test]
fn forgets_what_is_older_than_the_window() {
    let budget = Budget::new(POLICY);
    deposit(&budget, 1_000, at(0));
    assert_eq!(exhaust(&budget, at(5_000)), 230);
    // Its requests are gone, its retries are not.
    assert_eq!(budget.standing(at(10_500)), Standing { requests: 0, retries: 230, allowed: 30 });
    assert!(!budget.withdraw(at(10_500)));
    assert_eq!(exhaust(&budget, at(15_600)), 30);
    assert_eq!(exhaust(&budget, at(86_400_000)), 30, "no more after a long silence");
}

#[test]
fn a_share_of_nothing_is_nothing() {
    for percent in [0.0, -1.0, f64::NAN] {
        let budget = Budget::new(RetryBudget { percent, min_per_sec: 0, ..POLICY });
        deposit(&budget, 1_000, at(1));
        assert!(!budget.withdraw(at(1)));
    }
}

#[test]
fn bears_the_widest_figures() {
    let most = RetryBudget { percent: f64::INFINITY, min_per_sec: u32::MAX, window: Duration::MAX };
    for window in [Duration::ZERO, Duration::from_nanos(1), POLICY.window, Duration::MAX] {
        let budget = Budget::new(RetryBudget { window, ..most });
        for now in [Tick::ZERO, at(1), Tick::NEVER, at(2), Tick::NEVER] {
            budget.deposit(now);
            budget.withdraw(now);
            budget.standing(now);
        }
        budget.adjust(POLICY);
        budget.withdraw(Tick::NEVER);
        budget.adjust(most);
        budget.deposit(Tick::NEVER);
        assert!(budget.withdraw(Tick::NEVER));
    }
}

#[test]
fn another_share_applies_at_once() {
    let budget = Budget::new(POLICY);
    deposit(&budget, 1_000, at(0));
    assert_eq!(exhaust(&budget, at(1)), 230);
    budget.adjust(RetryBudget { percent: 0.5, ..POLICY });
    assert_eq!(exhaust(&budget, at(2)), 300, "requests and retries count on");
    budget.adjust(RetryBudget { percent: 0.1, ..POLICY });
    assert!(!budget.withdraw(at(3)));
}

#[test]
fn another_window_keeps_the_retries() {
    let budget = Budget::new(POLICY);
    deposit(&budget, 1_000, at(0));
    assert_eq!(exhaust(&budget, at(1)), 230);
    budget.adjust(RetryBudget { window: Duration::from_secs(60), ..POLICY });
    assert_eq!(budget.standing(at(1)), Standing { requests: 0, retries: 230, allowed: 180 });
    deposit(&budget, 1_000, at(2));
    assert_eq!(exhaust(&budget, at(2)), 150);
    for turn in 0..200 {
        let window = Duration::from_secs(1 + 59 * (turn % 2));
        budget.adjust(RetryBudget { window, ..POLICY });
        assert_eq!(budget.standing(at(2)).retries, 380);
        assert_eq!(budget.standing(at(2)).requests, 0);
    }
}

#[test]
fn who_comes_late_takes_nothing_from_what_came_since() {
    let budget = Budget::new(POLICY);
    let slot = 1 << 28;
    deposit(&budget, 100, Tick::from_nanos(70 * slot));
    deposit(&budget, 10, Tick::from_nanos(69 * slot));
    // Its slot's place is another's by now.
    deposit(&budget, 1, Tick::from_nanos(6 * slot));
    assert_eq!(budget.standing(Tick::from_nanos(71 * slot)).requests, 110);
}

/// A worker may still count by the slots of before when a reload has changed their length.
#[test]
fn slots_of_another_length_do_not_count() {
    let old = Scale::first(Duration::from_secs(10));
    let new = old.adapt(Duration::from_secs(60));
    let tally = Tally::new();
    tally.add(old, at(0));
    assert_eq!((tally.sum(old, 0, 0), tally.sum(new, 0, 0)), (1, 0));
    tally.add(new, at(0));
    assert_eq!((tally.sum(old, 0, 0), tally.sum(new, 0, 0)), (0, 1));
}

/// A budget that remembers every request and every retry.
#[derive(Default)]
struct Model {
    requests: Vec<u64>,
    retries: Vec<u64>,
    /// The latest moment that a retry was asked for.
    latest: u64,
    /// Retries by then were made when a shorter window was remembered.
    forgotten: u64,
}

impl Model {
    /// Millionths of retries left over by those of the last `remembered` nanoseconds, with the
    /// requests of the last `counted`.
    fn left(&self, policy: RetryBudget, counted: u64, remembered: u64) -> i128 {
        let begun = |length: u64| i128::from(self.latest) - i128::from(length);
        let requests = self.requests.iter().filter(|at| i128::from(**at) > begun(counted)).count();
        let retries = self.retries.iter().filter(|at| i128::from(**at) > begun(remembered));
        let retries = retries.filter(|at| **at >= self.forgotten).count();
        let share = (policy.percent * 1e6).round() as i128;
        let floor = i128::from(policy.min_per_sec) * policy.window.as_nanos() as i128 / 1_000;
        share * requests as i128 + floor - 1_000_000 * retries as i128
    }

    /// Holds an answer of `budget` against what it should be.
    fn check(&mut self, budget: &Budget, policy: RetryBudget, now: u64, lossless: bool) {
        self.latest = self.latest.max(now);
        let window = policy.window.as_nanos() as u64;
        if budget.withdraw(Tick::from_nanos(now)) {
            self.retries.push(self.latest);
            assert!(self.left(policy, window, window) >= 0, "overdrawn at {now}");
        } else if lossless {
            let slot = window / 31 + 2;
            let left = self.left(policy, window - slot, window + slot);
            assert!(left < 1_000_000, "refused at {now} with {left} left");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Request(u16),
    Retry(u16),
    Pass(u64),
    Back(u64),
    Adjust(RetryBudget),
}

fn any_policy() -> impl Strategy<Value = RetryBudget> {
    let window = prop_oneof![
        Just(10_000),
        1_000..60_000_u64,
        prop_oneof![Just(1_000_u64), Just(2_000), Just(60_000)],
    ];
    (0..=100_u32, 0..8_u32, window).prop_map(|(percent, min_per_sec, window)| RetryBudget {
        percent: f64::from(percent) / 100.0,
        min_per_sec,
        window: Duration::from_millis(window),
    })
}

fn any_span() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..2_000_000_000_u64,
        2 => 0..70_000_000_000_u64,
        1 => (0..100_u64).prop_map(|slots| slots << 28),
        1 => 0..1_u64 << 54,
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..150_u16).prop_map(Step::Request),
        4 => (0..40_u16).prop_map(Step::Retry),
        4 => any_span().prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn slots_err_on_the_side_of_fewer_retries(begin in 0..1_u64 << 54, window in any_policy()) {
        let policy = RetryBudget { percent: 1.0, min_per_sec: 0, ..window };
        let window = policy.window.as_nanos() as u64;
        let slot = window / 31 + 2;
        let budget = Budget::new(policy);
        let after = |nanos| budget.standing(Tick::from_nanos(begin + nanos));
        budget.deposit(Tick::from_nanos(begin));
        prop_assert!(budget.withdraw(Tick::from_nanos(begin)));
        prop_assert_eq!(after(window - slot).requests, 1);
        prop_assert_eq!(after(window).requests, 0);
        prop_assert_eq!(after(window - 1).retries, 1);
        prop_assert_eq!(after(window + slot).retries, 0);
    }

    #[test]
    fn grants_what_there_is_and_no_more(policy in any_policy(), steps in vec(any_step(), 1..60)) {
        let (budget, mut model, mut now) = (Budget::new(policy), Model::default(), 0_u64);
        for step in steps {
            match step {
                Step::Request(count) => {
                    deposit(&budget, count.into(), Tick::from_nanos(now));
                    model.requests.extend((0..count).map(|_| now));
                }
                Step::Retry(count) => {
                    (0..count).for_each(|_| model.check(&budget, policy, now, true));
                }
                Step::Pass(length) => now = now.saturating_add(length),
                Step::Back(_) | Step::Adjust(_) => {}
            }
        }
    }

    #[test]
    fn is_never_overdrawn_whatever_the_clock_and_the_configuration_do(
        mut policy in any_policy(),
        steps in vec(prop_oneof![
            4 => any_step(),
            1 => any_span().prop_map(Step::Back),
            1 => any_policy().prop_map(Step::Adjust),
        ], 1..80),
    ) {
        let (budget, mut model, mut now) = (Budget::new(policy), Model::default(), 0_u64);
        for step in steps {
            match step {
                Step::Request(count) => {
                    deposit(&budget, count.into(), Tick::from_nanos(now));
                    model.requests.extend((0..count).map(|_| now));
                }
                Step::Retry(count) => {
                    (0..count).for_each(|_| model.check(&budget, policy, now, false));
                }
                Step::Pass(length) => now = now.saturating_add(length),
                Step::Back(length) => now = now.saturating_sub(length),
                Step::Adjust(next) => {
                    budget.adjust(next);
                    let window = policy.window.as_nanos() as u64;
                    let from = (model.latest + 1).saturating_sub(window);
                    model.forgotten = model.forgotten.max(from);
                    policy = next;
                }
            }
        }
    }

    /// What follows for windows that begin and end anywhere, and for the whole of an outage.
    #[test]
    fn holds_over_every_stretch_of_time(
        policy in any_policy(), spans in vec((0..2_000_000_000_u64, 0..40_u32, 0..40), 1..60),
    ) {
        let budget = Budget::new(policy);
        let mut now = 0;
        let mut log = Vec::new();
        for (length, asked, tried) in spans {
            now += length;
            let present = Tick::from_nanos(now);
            deposit(&budget, asked, present);
            log.push((now, asked, (0..tried).filter(|_| budget.withdraw(present)).count()));
        }
        let window = policy.window.as_nanos() as u64;
        let moments = || log.iter().map(|(at, _, _)| *at);
        // The hardest stretches begin and end with what happened.
        for (from, to) in moments().flat_map(|from| moments().map(move |to| (from, to))) {
            if to < from {
                continue;
            }
            let inside = |at: &u64| (from..=to).contains(at);
            let made: usize = log.iter().filter(|(at, ..)| inside(at)).map(|(.., made)| made).sum();
            let paying = |at: &u64| at + window > from && *at <= to;
            let paid = log.iter().filter(|(at, ..)| paying(at)).map(|(_, asked, _)| asked);
            let share = policy.percent * f64::from(paid.sum::<u32>());
            let seconds = (to - from + window) as f64 / 1e9;
            let allowed = share + f64::from(policy.min_per_sec) * seconds;
            prop_assert!(made as f64 <= allowed + 1e-6, "{made} of {allowed}");
        }
    }
}

const THREADS: usize = 4;

#[test]
fn threads_lose_no_request_and_overdraw_nothing() {
    let budget = Budget::new(RetryBudget { min_per_sec: 0, ..POLICY });
    let barrier = Barrier::new(THREADS);
    let granted: usize = thread::scope(|scope| {
        let work = |thread: u64| {
            barrier.wait();
            let asked = (0..10_000_u64).filter(|turn| {
                // Through several slots, each thread at its own pace.
                let now = at(turn * (thread + 1) / 10);
                budget.deposit(now);
                turn % 3 == 0 && budget.withdraw(now)
            });
            asked.count()
        };
        let threads: Vec<_> =
            (0..THREADS as u64).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let rest = exhaust(&budget, at(4_000));
    assert_eq!(granted + rest, 8_000, "a fifth of 40 000");
    assert_eq!(budget.standing(at(4_000)).requests, 40_000);
}

#[test]
fn threads_overdraw_no_window_while_time_passes() {
    let policy = RetryBudget { percent: 0.2, min_per_sec: 5, window: Duration::from_secs(1) };
    let budget = Budget::new(policy);
    let clock = AtomicU64::new(0);
    let log = thread::scope(|scope| {
        let work = |thread: u64| {
            let mut rng = fastrand::Rng::with_seed(thread);
            let (mut requests, mut retries) = (Vec::new(), Vec::new());
            for _ in 0..3_000 {
                let before = clock.fetch_add(rng.u64(..400_000), Relaxed);
                if rng.u32(..3) == 0 {
                    budget.deposit(Tick::from_nanos(before));
                    requests.push(before);
                } else if budget.withdraw(Tick::from_nanos(before)) {
                    retries.push((before, clock.load(Relaxed)));
                }
            }
            (requests, retries)
        };
        let threads: Vec<_> =
            (0..THREADS as u64).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let (requests, retries): (Vec<_>, Vec<_>) = log.into_iter().unzip();
    let (requests, retries) = (requests.concat(), retries.concat());
    assert!(retries.len() > 200, "{}", retries.len());
    let window = policy.window.as_nanos() as u64;
    for &(before, after) in &retries {
        // What was surely made in the window by then, of what may have been asked in it.
        let made = retries
            .iter()
            .filter(|(begun, ended)| begun + window > after && *ended <= before)
            .count();
        let paid = requests.iter().filter(|at| **at + window > before && **at <= after).count();
        let allowed = policy.percent * paid as f64 + 5.0;
        assert!((made + 1) as f64 <= allowed, "{made} and one of {allowed}");
    }
}
