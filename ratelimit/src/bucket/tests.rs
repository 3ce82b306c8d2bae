use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const NANOS: u64 = 1_000_000_000;

fn bucket(count: u64, per: Duration, burst: u64) -> Bucket {
    Bucket::new(Rate::new(count, per).unwrap(), burst).unwrap()
}

/// A key under a bucket.
struct Held {
    bucket: Bucket,
    state: Moment,
}

impl Held {
    fn new(bucket: Bucket) -> Self {
        Self { bucket, state: Moment::default() }
    }

    fn ask(&mut self, cost: u64, now: u64) -> Decision {
        let turn = self.bucket.decide(self.state, cost, Nanos::new(now));
        self.state = turn.keep.unwrap_or(self.state);
        turn.decision
    }

    fn passes(&mut self, cost: u64, now: u64) -> bool {
        self.ask(cost, now).allowed()
    }
}

/// The textbook: a level that rises with time, in units so small that nothing is rounded.
struct Model {
    count: u128,
    per: u128,
    burst: u128,
    level: u128,
    last: u64,
}

impl Model {
    fn new(count: u64, per: Duration, burst: u64) -> Self {
        let (count, per, burst) = (u128::from(count), per.as_nanos(), u128::from(burst));
        Self { count, per, burst, level: burst * per, last: 0 }
    }

    fn refill(&mut self, now: u64) {
        let earned = u128::from(now - self.last) * self.count;
        self.level = (self.level + earned).min(self.burst * self.per);
        self.last = now;
    }

    fn ask(&mut self, cost: u64, now: u64) -> bool {
        self.refill(now);
        let price = u128::from(cost) * self.per;
        let passes = price <= self.level && u128::from(cost) <= self.burst;
        if passes {
            self.level -= price;
        }
        passes
    }

    fn tokens(&self) -> u64 {
        (self.level / self.per) as u64
    }
}

/// The most by which a trace of (moment, cost) is over `burst + rate x length`, over all intervals
/// with both ends in it, in units of 1/`per`.
fn worst_violation(passed: &[(u64, u64)], count: u64, per: Duration, burst: u64) -> i128 {
    let (count, per, burst) = (i128::from(count), per.as_nanos() as i128, i128::from(burst));
    let (mut sum, mut lowest, mut worst) = (0, i128::MAX, i128::MIN);
    for &(at, cost) in passed {
        lowest = lowest.min(sum * per - count * i128::from(at));
        sum += i128::from(cost);
        worst = worst.max(sum * per - count * i128::from(at) - lowest - burst * per);
    }
    worst
}

#[test]
fn agrees_with_the_textbook() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut up_to_bits = |most: u32| {
            let bits = rng.u32(1..most);
            rng.u64(1..=1 << bits)
        };
        let (count, burst) = (up_to_bits(20), up_to_bits(12));
        let per = Duration::from_nanos(up_to_bits(40));
        let interval = per.as_nanos() as u64 / count;
        let mut held = Held::new(bucket(count, per, burst));
        let mut model = Model::new(count, per, burst);
        let (mut now, mut passed) = (0, Vec::new());
        for _ in 0..2_000 {
            now += match rng.u8(0..10) {
                0..3 => 0,
                3..9 => rng.u64(0..=2 * interval),
                _ => rng.u64(0..=interval * burst * 2),
            };
            let cost = if rng.bool() { 1 } else { rng.u64(0..=burst + 1) };
            let before = held.state;
            let decision = held.ask(cost, now);
            let expected = model.ask(cost, now);
            assert_eq!(decision.allowed(), expected, "seed {seed}");
            assert_eq!(decision.remaining, model.tokens(), "seed {seed}");
            if expected {
                passed.push((now, cost));
            } else {
                assert_eq!(held.state, before, "a denied request charges nothing");
                promise_is_kept(&held, &decision, cost, now);
            }
        }
        assert!(worst_violation(&passed, count, per, burst) <= 0, "seed {seed}");
    }
}

/// The same request passes when promised, and not a nanosecond earlier.
fn promise_is_kept(held: &Held, decision: &Decision, cost: u64, now: u64) {
    let Some(wait) = decision.retry_after() else {
        assert!(cost > held.bucket.burst());
        return;
    };
    let then = now + wait.as_nanos() as u64;
    let at = |now| held.bucket.decide(held.state, cost, Nanos::new(now)).decision.allowed();
    assert!(at(then) && !at(then - 1));
    let full = now + decision.reset().as_nanos() as u64;
    let all = |now| held.bucket.decide(held.state, 0, Nanos::new(now)).decision.remaining;
    assert_eq!(all(full), held.bucket.burst());
}

#[test]
fn a_greedy_client_gets_the_envelope_to_the_last_unit() {
    for (count, per, burst) in
        [(3, SECOND, 1), (7, SECOND, 5), (1_000, SECOND, 50), (10, 7 * SECOND, 3)]
    {
        let mut held = Held::new(bucket(count, per, burst));
        let mut passed = Vec::new();
        let mut now = 5;
        while passed.len() < 2_000 {
            match held.ask(1, now).retry_after().unwrap() {
                Duration::ZERO => passed.push((now, 1)),
                wait => now += wait.as_nanos() as u64,
            }
        }
        assert_eq!(worst_violation(&passed, count, per, burst), 0);
    }
}

#[test]
fn three_a_second_is_three_million_in_a_million_seconds() {
    // A bucket of one would lose what it earns between a third and the next whole nanosecond.
    let mut held = Held::new(bucket(3, SECOND, 2));
    let (mut now, mut passed) = (0, 0_u64);
    let end = 1_000_000 * NANOS;
    loop {
        match held.ask(1, now).retry_after().unwrap() {
            Duration::ZERO => passed += 1,
            wait => now += wait.as_nanos() as u64,
        }
        if now > end {
            break;
        }
    }
    assert_eq!(passed, 3_000_000 + 2, "and the burst at the beginning");
}

#[test]
fn nothing_passes_at_rate_zero() {
    let mut held = Held::new(Bucket::new(Rate::ZERO, 1_000).unwrap());
    for (cost, now) in [(0, 0), (1, NANOS), (u64::MAX, u64::MAX)] {
        let decision = held.ask(cost, now);
        assert!(!decision.allowed());
        assert_eq!((decision.remaining, decision.limit), (0, 0));
        assert_eq!(decision.retry_after(), None);
    }
    assert_eq!(held.state, Moment::default(), "nothing is kept");
}

#[test]
fn what_is_dearer_than_the_burst_never_passes() {
    let mut held = Held::new(bucket(10, SECOND, 5));
    assert!(held.passes(3, 0));
    let decision = held.ask(6, 0);
    assert_eq!((decision.retry_after(), decision.remaining), (None, 2));
    assert!(!held.passes(u64::MAX, 0));
    assert!(held.passes(2, 0), "and charges nothing");
}

#[test]
fn a_burst_of_nothing_admits_nothing() {
    let mut held = Held::new(bucket(10, SECOND, 0));
    assert!(!held.passes(1, NANOS));
    assert!(held.passes(0, NANOS));
}

#[test]
fn looking_costs_nothing() {
    let mut held = Held::new(bucket(10, SECOND, 2));
    assert_eq!(held.ask(0, 7).remaining, 2);
    assert_eq!(held.state, Moment::default());
}

#[test]
fn a_huge_burst_is_exact_or_refused() {
    let rate = Rate::new(1_000_000_000, SECOND).unwrap();
    let burst = 1 << 61;
    let mut held = Held::new(Bucket::new(rate, burst).unwrap());
    assert_eq!(held.ask(1, 0).remaining, burst - 1);
    assert!(held.passes(burst - 1, 0));
    assert!(!held.passes(1, 0));
    assert!(held.passes(1, 1), "one a nanosecond");
    assert_eq!(Bucket::new(rate, u64::MAX), Err(InvalidLimit::Burst));
    assert!(Bucket::new(Rate::new(1, Rate::PER_MAX).unwrap(), 3).is_err());
}

#[test]
fn a_refund_fills_no_further_than_full() {
    let mut held = Held::new(bucket(10, SECOND, 5));
    assert!(held.passes(2, NANOS));
    held.state = held.bucket.refund(held.state, 1, Nanos::new(NANOS));
    assert_eq!(held.ask(0, NANOS).remaining, 4);
    for cost in [1, 5, 1 << 40, u64::MAX] {
        held.state = held.bucket.refund(held.state, cost, Nanos::new(NANOS));
        assert_eq!(held.ask(0, NANOS).remaining, 5);
    }
    assert!(held.passes(5, NANOS) && !held.passes(1, NANOS));
}

#[test]
fn a_later_charge_stops_at_empty_or_goes_into_debt() {
    let plain = bucket(10, SECOND, 5);
    let now = Nanos::new(NANOS);
    let state = plain.charge(Moment::default(), 1_000, now);
    let after = |bucket: Bucket, state| bucket.decide(state, 1, now).decision.retry_after();
    assert_eq!(after(plain, state), Some(SECOND / 10));

    let lender = plain.with_debt(20).unwrap();
    let state = lender.charge(Moment::default(), 15, now);
    assert_eq!(after(lender, state), Some(11 * SECOND / 10), "ten owed, and one to spend");
    assert!(!lender.decide(state, 0, now).decision.allowed(), "nothing passes in debt");
    let state = lender.charge(state, u64::MAX, now);
    assert_eq!(after(lender, state), Some(21 * SECOND / 10), "no more than all of the debt");
    let state = lender.refund(state, 21, now);
    assert_eq!(after(lender, state), Some(Duration::ZERO));
}

#[test]
fn a_clock_a_little_behind_stands_still() {
    let mut held = Held::new(bucket(1_000, SECOND, 100));
    let now = 10 * NANOS;
    assert!(held.passes(100, now));
    for behind in [1, 1_000, STEP] {
        let decision = held.ask(1, now - behind);
        assert!(!decision.allowed());
        assert_eq!(decision.remaining, 0);
    }
    assert_eq!(held.ask(0, now).remaining, 0, "late threads give nothing away");
    assert_eq!(held.ask(0, now + NANOS / 1_000).remaining, 1);
}

#[test]
fn a_clock_that_steps_back_empties_and_goes_on() {
    for back in [STEP + 1, 3_600 * NANOS, u64::MAX] {
        let mut held = Held::new(bucket(10, SECOND, 5));
        let before = 7_200 * NANOS;
        assert!(held.passes(5, before));
        let now = before.saturating_sub(back);
        assert_eq!(held.ask(1, now).retry_after(), Some(SECOND / 10));
        assert!(held.passes(1, now + NANOS / 10));
        assert!(!held.passes(1, now + NANOS / 10));
        assert!(held.passes(5, now + NANOS), "and is full when it should be");
    }
}

#[test]
fn a_clock_that_steps_forward_fills_and_no_more() {
    let mut held = Held::new(bucket(10, SECOND, 5));
    assert!(held.passes(5, 0));
    assert!(held.passes(5, u64::MAX));
    assert!(!held.passes(1, u64::MAX));
}

#[test]
fn extremes_do_not_overflow() {
    let extremes = [0, 1, 2, NANOS, 1 << 60, 1 << 61, 1 << 62, 1 << 63, u64::MAX - 1, u64::MAX];
    for count in [1, 3, 999_999_937, Rate::COUNT_MAX - 1, Rate::COUNT_MAX] {
        for per in [Duration::from_nanos(1), SECOND, Rate::PER_MAX] {
            let rate = Rate::new(count, per).unwrap();
            for bucket in extremes.iter().filter_map(|burst| Bucket::new(rate, *burst).ok()) {
                for bucket in extremes.iter().filter_map(|debt| bucket.with_debt(*debt).ok()) {
                    any_state(&bucket, &extremes);
                }
            }
        }
    }
}

fn any_state(bucket: &Bucket, extremes: &[u64]) {
    for nanos in extremes {
        for part in [0, u64::MAX] {
            let state = Moment { nanos: *nanos, part };
            for cost in extremes {
                for now in extremes {
                    let now = Nanos::new(*now);
                    let decision = bucket.decide(state, *cost, now).decision;
                    assert!(decision.remaining <= bucket.burst());
                    let refunded = bucket.refund(state, *cost, now);
                    let charged = bucket.charge(state, *cost, now);
                    assert!(refunded <= charged);
                }
            }
        }
    }
}

#[test]
fn a_key_lives_through_another_rate() {
    let before = bucket(999_999_937, SECOND, 1 << 30);
    let now = Nanos::new(5 * NANOS);
    let state = before.decide(Moment::default(), 1 << 30, now).keep.unwrap();
    let after = bucket(3, SECOND, 6);
    let decision = after.decide(state, 1, now).decision;
    assert!(!decision.allowed() || decision.remaining < 6);
    assert!(after.decide(state, 6, Nanos::new(9 * NANOS)).decision.allowed());
}

#[test]
fn shares_are_never_more_than_the_whole() {
    let mut rng = fastrand::Rng::with_seed(9);
    for _ in 0..10_000 {
        let whole = bucket(rng.u64(0..1_000), rng.u32(1..100) * SECOND, rng.u64(0..1_000));
        let whole = whole.with_debt(rng.u64(0..100)).unwrap();
        let members = rng.u32(1..20);
        let share = whole.share(members);
        let burst = share.burst();
        assert!(burst * u64::from(members) <= whole.burst() || burst == 1, "{whole:?} {share:?}");
        assert_eq!(burst == 0, whole.burst() == 0);
        let hour = 3_600 * SECOND;
        let together = share.rate().earned_in(hour) * u64::from(members);
        let earned = whole.rate().earned_in(hour);
        assert!(together <= earned && together + u64::from(members) >= earned);
        assert_eq!(whole.share(1), whole);
    }
    let century = bucket(1, 30 * 365 * 24 * 3_600 * SECOND, 1).share(10);
    assert!(!Held::new(century).passes(1, NANOS), "too little to be one's share");
}
