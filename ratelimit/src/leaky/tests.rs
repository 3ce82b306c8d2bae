use std::time::Duration;

use super::*;

const NANOS: u64 = 1_000_000_000;

fn leaky(count: u64, per: Duration, queue: u64) -> Leaky {
    Leaky::new(Rate::new(count, per).unwrap(), queue).unwrap()
}

#[test]
fn a_burst_leaves_at_an_even_pace() {
    let leaky = leaky(10, Duration::from_secs(1), 3);
    let mut state = Moment::default();
    let now = Nanos::new(NANOS);
    for waits in 0..4 {
        let turn = leaky.decide(state, 1, now);
        assert_eq!(turn.decision.delay(), waits * Duration::from_millis(100));
        state = turn.keep.unwrap();
    }
    let denied = leaky.decide(state, 1, now);
    assert_eq!(denied.decision.retry_after(), Some(Duration::from_millis(100)));
    assert_eq!((denied.decision.delay(), denied.keep), (Duration::ZERO, None));
}

/// A queue of departures, one by one, in units of 1/`count` nanoseconds.
struct Model {
    count: u128,
    per: u128,
    queue: u128,
    free_at: u128,
}

impl Model {
    /// When a request leaves, rounded up; `None` when it is turned away.
    fn ask(&mut self, cost: u64, now: u64) -> Option<u64> {
        let now = u128::from(now) * self.count;
        let leaves = self.free_at.max(now);
        let free_at = leaves + u128::from(cost) * self.per;
        if free_at > now + (self.queue + 1) * self.per {
            return None;
        }
        self.free_at = free_at;
        Some(leaves.div_ceil(self.count) as u64)
    }
}

#[test]
fn agrees_with_a_queue() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (count, per, queue) = (rng.u64(1..1_000), rng.u64(1..1 << 34), rng.u64(0..20));
        let leaky = leaky(count, Duration::from_nanos(per), queue);
        let (count, per) = (u128::from(count), u128::from(per));
        let mut model = Model { count, per, queue: u128::from(queue), free_at: 0 };
        let interval = (per / count) as u64;
        let (mut now, mut state, mut left) = (0, Moment::default(), Vec::new());
        for _ in 0..1_000 {
            now += rng.u64(0..=2 * interval);
            let cost = if rng.bool() { 1 } else { rng.u64(0..=queue + 2) };
            let turn = leaky.decide(state, cost, Nanos::new(now));
            state = turn.keep.unwrap_or(state);
            let leaves = now + turn.decision.delay().as_nanos() as u64;
            let leaves = turn.decision.allowed().then_some(leaves);
            assert_eq!(leaves, model.ask(cost, now), "seed {seed}");
            if let Some(at) = leaves.filter(|_| cost == 1) {
                let most = u128::from(queue) * per;
                assert!(u128::from(at - now) <= most.div_ceil(count), "seed {seed}");
                left.push(at);
            }
        }
        // Rounded up to whole nanoseconds, so that two neighbours may be off by less than one.
        assert!(left.windows(2).all(|two| two[1] - two[0] >= interval), "seed {seed}");
    }
}

#[test]
fn no_queue_and_no_rate() {
    let strict = leaky(1, Duration::from_secs(1), 0);
    let state = strict.decide(Moment::default(), 1, Nanos::ZERO).keep.unwrap();
    assert!(!strict.decide(state, 1, Nanos::new(NANOS - 1)).decision.allowed());
    assert_eq!(strict.decide(state, 1, Nanos::new(NANOS)).decision.delay(), Duration::ZERO);
    assert_eq!(strict.decide(state, 2, Nanos::new(NANOS)).decision.retry_after(), None);
    let shut = Leaky::new(Rate::ZERO, 5).unwrap();
    assert!(!shut.decide(Moment::default(), 1, Nanos::ZERO).decision.allowed());
    assert!(Leaky::new(Rate::ZERO, u64::MAX).is_err());
}

#[test]
fn a_later_charge_holds_up_the_next() {
    let leaky = leaky(1, Duration::from_secs(1), 4);
    let state = leaky.charge(Moment::default(), 2, Nanos::ZERO);
    assert_eq!(leaky.decide(state, 1, Nanos::ZERO).decision.delay(), Duration::from_secs(2));
    let state = leaky.charge(state, u64::MAX, Nanos::ZERO);
    assert!(!leaky.decide(state, 1, Nanos::ZERO).decision.allowed());
    assert!(leaky.decide(state, 1, Nanos::new(NANOS)).decision.allowed());
}
