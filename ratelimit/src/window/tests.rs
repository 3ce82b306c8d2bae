use super::*;

const SECOND: Duration = Duration::from_secs(1);
const NANOS: u64 = 1_000_000_000;

struct Held {
    window: Window,
    counts: Counts,
}

impl Held {
    fn new(quota: u64, window: Duration) -> Self {
        Self { window: Window::new(quota, window).unwrap(), counts: Counts::default() }
    }

    fn ask(&mut self, cost: u64, now: u64) -> Decision {
        let turn = self.window.decide(self.counts, cost, Nanos::new(now));
        self.counts = turn.keep.unwrap_or(self.counts);
        turn.decision
    }

    fn passes(&mut self, cost: u64, now: u64) -> bool {
        self.ask(cost, now).allowed()
    }
}

/// What passed after `since`, looked up in the whole log.
fn passed_after(log: &[(u64, u64)], since: i128) -> u64 {
    log.iter().rev().take_while(|(at, _)| i128::from(*at) > since).map(|(_, cost)| cost).sum()
}

#[test]
fn never_over_and_forgets_in_time() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let bits = rng.u32(1..36);
        let (quota, length) = (rng.u64(1..50), rng.u64(1..=1 << bits));
        let mut held = Held::new(quota, Duration::from_nanos(length));
        // Slices are whole nanoseconds, rounded up.
        let remembered = 8 * length.div_ceil(7);
        let (mut now, mut log) = (0, Vec::new());
        for _ in 0..1_000 {
            now += match rng.u8(0..10) {
                0..4 => 0,
                4..9 => rng.u64(0..=length / 10 + 1),
                _ => rng.u64(0..=2 * length),
            };
            let cost = if rng.bool() { 1 } else { rng.u64(0..=quota + 1) };
            let before = held.counts;
            let decision = held.ask(cost, now);
            let now = i128::from(now);
            let in_window = passed_after(&log, now - i128::from(length));
            let in_longer = passed_after(&log, now - i128::from(remembered));
            if decision.allowed() {
                assert!(in_window + cost <= quota, "seed {seed}");
                log.push((now as u64, cost));
            } else {
                assert!(in_longer + cost > quota, "seed {seed}");
                assert_eq!(held.counts, before, "a denied request charges nothing");
                promise_is_kept(&held, &decision, cost, now as u64);
            }
        }
    }
}

fn promise_is_kept(held: &Held, decision: &Decision, cost: u64, now: u64) {
    let Some(wait) = decision.retry_after() else {
        assert!(cost > u64::from(held.window.quota()));
        return;
    };
    let then = now + wait.as_nanos() as u64;
    let at = |now| held.window.decide(held.counts, cost, Nanos::new(now)).decision;
    assert!(at(then).allowed() && !at(then - 1).allowed());
    let full = now + decision.reset().as_nanos() as u64;
    assert_eq!(at(full).limit, at(full).remaining + if at(full).allowed() { cost } else { 0 });
}

#[test]
fn a_greedy_client_gets_most_of_the_quota() {
    let mut held = Held::new(100, SECOND);
    let passed = (0..100_000).filter(|millis| held.passes(1, millis * 1_000_000)).count();
    assert!((100 * 100 * 7 / 8..=100 * 100).contains(&passed), "{passed}");
}

#[test]
fn twice_the_quota_around_a_boundary_does_not_pass() {
    let mut held = Held::new(10, SECOND);
    assert!(held.passes(0, 0));
    assert!(held.passes(1, 1));
    assert!(held.passes(9, NANOS - 1));
    assert!(!held.passes(2, NANOS + NANOS / 5));
    assert!(held.passes(1, NANOS + NANOS / 5));
}

#[test]
fn out_of_bounds() {
    assert_eq!(Window::new(1, Duration::ZERO), Err(InvalidLimit::Period));
    assert_eq!(Window::new(1, Duration::MAX), Err(InvalidLimit::Period));
    assert_eq!(Window::new(1 << 32, SECOND), Err(InvalidLimit::Quota));
}

#[test]
fn nothing_and_too_much() {
    let mut held = Held::new(0, SECOND);
    assert_eq!(held.ask(0, 5).retry_after(), None);
    assert_eq!(held.ask(1, 5).retry_after(), None);
    let mut held = Held::new(5, SECOND);
    assert_eq!(held.ask(6, 5).retry_after(), None);
    assert_eq!(held.ask(u64::MAX, 5).remaining, 5);
    assert!(held.passes(5, 5));
}

#[test]
fn refunds_go_to_the_slice_that_was_charged() {
    let mut held = Held::new(10, Duration::from_secs(7));
    assert!(held.passes(4, NANOS));
    assert!(held.passes(6, 3 * NANOS + NANOS / 2));
    let refund = |held: &mut Held, cost, at, now| {
        held.counts = held.window.refund(held.counts, cost, Nanos::new(at), Nanos::new(now));
    };
    refund(&mut held, 1, NANOS, 4 * NANOS);
    assert_eq!(held.ask(0, 4 * NANOS).remaining, 1);
    refund(&mut held, 100, NANOS, 4 * NANOS);
    assert_eq!(held.ask(0, 4 * NANOS).remaining, 4, "not more than was charged");
    assert_eq!(held.ask(0, 9 * NANOS).remaining, 4, "the other six are still counted");
    refund(&mut held, 100, NANOS, 9 * NANOS);
    assert_eq!(held.ask(0, 9 * NANOS).remaining, 4, "what is forgotten cannot be given back");
    refund(&mut held, u64::MAX, 3 * NANOS + NANOS / 2, 9 * NANOS);
    assert_eq!(held.ask(0, 9 * NANOS).remaining, 10);
}

#[test]
fn a_later_charge_may_go_over() {
    let mut held = Held::new(10, Duration::from_secs(7));
    held.counts = held.window.charge(held.counts, 25, Nanos::ZERO);
    let decision = held.ask(1, NANOS);
    assert_eq!((decision.remaining, decision.retry_after()), (0, Some(7 * SECOND)));
    held.counts = held.window.charge(held.counts, u64::MAX, Nanos::ZERO);
    held.counts = held.window.charge(held.counts, u64::MAX, Nanos::ZERO);
    assert!(held.passes(10, 8 * NANOS));
}

#[test]
fn a_clock_a_little_behind_stands_still() {
    let mut held = Held::new(10, Duration::from_millis(70));
    assert!(held.passes(10, 5 * NANOS));
    for behind in [1, 50_000_000, 500_000_000, STEP] {
        assert!(!held.passes(1, 5 * NANOS - behind));
    }
    assert!(!held.passes(1, 5 * NANOS + 70_000_000));
    assert!(held.passes(10, 5 * NANOS + 80_000_000));
}

#[test]
fn a_clock_that_steps_back_starts_the_window_anew() {
    let mut held = Held::new(10, Duration::from_secs(7));
    let before = 7_200 * NANOS;
    assert!(held.passes(4, before - 3 * NANOS));
    assert!(held.passes(6, before));
    let now = before - 3_600 * NANOS;
    assert_eq!(held.ask(1, now).retry_after(), Some(Duration::from_secs(8)));
    assert!(!held.passes(1, now + 7 * NANOS));
    assert!(held.passes(10, now + 8 * NANOS));
    assert!(held.passes(10, u64::MAX), "forward: all is forgotten");
    assert!(!held.passes(1, u64::MAX));
}

#[test]
fn extremes_do_not_overflow() {
    let extremes = [0, 1, NANOS, 1 << 32, 1 << 60, 1 << 62, u64::MAX];
    for length in [1, 7, 8, NANOS, 1 << 60] {
        for quota in [0, 1, u64::from(u32::MAX)] {
            let window = Window::new(quota, Duration::from_nanos(length)).unwrap();
            for until in extremes {
                let counts = Counts { until, slices: [u32::MAX; KEPT] };
                for cost in extremes {
                    for now in extremes.map(Nanos::new) {
                        let decision = window.decide(counts, cost, now).decision;
                        assert!(decision.remaining <= quota);
                        window.charge(counts, cost, now);
                        window.refund(counts, cost, Nanos::MAX, now);
                        window.refund(counts, cost, Nanos::ZERO, now);
                    }
                }
            }
        }
    }
}
