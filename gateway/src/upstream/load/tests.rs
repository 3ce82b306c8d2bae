use std::thread;

use super::*;

fn at(millis: u64) -> Tick {
    Tick::from_nanos(millis * 1_000_000)
}

fn sample(load: &Arc<EndpointLoad>, from: u64, to: u64, outcome: Outcome) {
    EndpointLoad::begin(Arc::clone(load), at(from)).record(outcome, at(to));
}

#[test]
fn in_flight_ends_once_whatever_happens() {
    let load = Arc::new(EndpointLoad::new(at(0)));
    let mut recorded = EndpointLoad::begin(Arc::clone(&load), at(0));
    let dropped = EndpointLoad::begin(Arc::clone(&load), at(0));
    assert_eq!(load.in_flight(), 2);
    recorded.record(Outcome::Success, at(5));
    recorded.record(Outcome::Failure, at(50));
    assert_eq!(load.in_flight(), 2, "the body still streams");
    drop(recorded);
    drop(dropped);
    assert_eq!(load.in_flight(), 0);
    assert_eq!((load.requests(), load.failures()), (2, 0));
    assert_eq!(load.latency().count(), 1);
}

#[test]
fn threads_leave_exact_counts() {
    let load = Arc::new(EndpointLoad::new(at(0)));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..10_000 {
                    sample(&load, i, i + 1, Outcome::Failure);
                }
            });
        }
    });
    assert_eq!(load.in_flight(), 0);
    assert_eq!((load.requests(), load.failures()), (40_000, 40_000));
    assert_eq!(load.latency().count(), 40_000);
}

#[test]
fn estimate_jumps_to_a_peak_and_decays() {
    let load = Arc::new(EndpointLoad::new(at(0)));
    assert_eq!(load.ewma_nanos(at(0)), 30e6);
    sample(&load, 0, 1_000, Outcome::Success);
    assert_eq!(load.ewma_nanos(at(1_000)), 1e9);
    let decayed = load.ewma_nanos(at(11_000));
    assert!((decayed / 1e9 - (-1_f64).exp()).abs() < 1e-6, "{decayed}");
    // A fast answer after ten seconds weighs 1 - 1/e.
    sample(&load, 10_990, 11_000, Outcome::Success);
    let mixed = load.ewma_nanos(at(11_000));
    let expected = 1e9 * (-1_f64).exp() + 10e6 * (1.0 - (-1_f64).exp());
    assert!((mixed - expected).abs() < 1e3, "{mixed}");
    assert_eq!(load.ewma_nanos(at(100_000_000)), 1_000.0);
}

#[test]
fn a_fast_failure_is_dear() {
    let load = Arc::new(EndpointLoad::new(at(0)));
    sample(&load, 0, 1, Outcome::Failure);
    assert_eq!(load.ewma_nanos(at(1)), 5e9);
    assert!(load.latency().quantile(0.99).unwrap() < Duration::from_millis(2));
}

#[test]
fn short_and_long_decay_meet() {
    let border = EWMA_DECAY.as_nanos() as u64 / 1000;
    let (below, above) = (remaining(border - 1), remaining(border + 1));
    assert!(below >= above && below - above < 1e-8);
}

#[test]
fn failures_in_a_row_are_those_since_the_last_success() {
    let load = Arc::new(EndpointLoad::new(Tick::ZERO));
    let end = |outcome| EndpointLoad::begin(load.clone(), Tick::ZERO).record(outcome, Tick::ZERO);
    let runs = [Outcome::Failure, Outcome::Failure, Outcome::Success, Outcome::Failure].map(end);
    assert_eq!(runs, [1, 2, 0, 1]);
    load.forgive();
    assert_eq!(end(Outcome::Failure), 1);
    let mut one = EndpointLoad::begin(load.clone(), Tick::ZERO);
    assert_eq!((one.record(Outcome::Failure, Tick::ZERO), load.failures()), (2, 5));
    assert_eq!(one.record(Outcome::Failure, Tick::ZERO), 0, "only the first call counts");
    drop(one);
    drop(EndpointLoad::begin(load, Tick::ZERO));
}

#[test]
fn a_share_is_thrown_for_each_endpoint_apart() {
    let load = EndpointLoad::new(Tick::ZERO);
    let part = |index: usize| (0..10_000_u32).filter(|&dice| load.takes_part(index, dice)).count();
    assert_eq!(part(0), 10_000);
    load.set_share(0);
    assert_eq!(part(0), 0);
    load.set_share(WHOLE_SHARE / 4);
    for index in 0..20 {
        assert!((2300..2700).contains(&part(index)), "{index}: {}", part(index));
    }
    let both = (0..10_000).filter(|&dice| load.takes_part(3, dice) && load.takes_part(4, dice));
    let both = both.count();
    assert!((500..750).contains(&both), "{both}, a sixteenth is 625");
}

#[test]
fn failures_count_as_load_and_fade() {
    let load = Arc::new(EndpointLoad::new(at(0)));
    assert_eq!(load.burden(at(0)), 0);
    sample(&load, 0, 1, Outcome::Failure);
    assert_eq!(load.burden(at(1)), 0, "one failure among few is no pattern");
    for round in 2..20 {
        sample(&load, round, round + 1, Outcome::Failure);
    }
    let failing = load.burden(at(20));
    assert!((50..64).contains(&failing), "{failing}");
    let held = EndpointLoad::begin(Arc::clone(&load), at(20));
    assert!(load.burden(at(20)) > failing + 40, "{}", load.burden(at(20)));
    drop(held);
    assert_eq!(load.burden(at(40_000)), 0);
    for round in 0..40 {
        sample(&load, 20 + round, 21 + round, Outcome::Success);
    }
    assert_eq!(load.burden(at(61)), 0, "it answers again");
}

#[test]
fn the_prospect_is_of_as_many_in_flight() {
    let load = Arc::new(EndpointLoad::new(at(0)));
    assert_eq!(load.prospect(at(0)), (0, 0.0), "who never answered is to be tried");
    let mut first = EndpointLoad::begin(Arc::clone(&load), at(0));
    let mut second = EndpointLoad::begin(Arc::clone(&load), at(0));
    assert_eq!(load.prospect(at(0)), (2, 0.0));
    first.record(Outcome::Success, at(10));
    second.record(Outcome::Success, at(30));
    drop(first);
    assert_eq!(load.prospect(at(30)), (1, 15e6));
    drop(second);
    let (burden, latency) = load.prospect(at(30));
    assert!(burden == 0 && (4.9e6..=5e6).contains(&latency), "{latency}");
    // Nothing for long: the fading estimate.
    assert!(load.prospect(at(30_000)).1 < 3e6);
    for round in 0..8 {
        sample(&load, 30_000 + round, 30_001 + round, Outcome::Failure);
    }
    assert!(load.prospect(at(30_010)).1 > 4e9, "quick failures are no quick answers");
}

#[test]
fn what_an_endpoint_tells_counts_for_a_second() {
    let load = Arc::new(EndpointLoad::new(at(0)));
    EndpointLoad::begin(load.clone(), at(0)).record(Outcome::Success, at(10));
    let own: Vec<_> = (0..3).map(|_| EndpointLoad::begin(load.clone(), at(20))).collect();
    let told = |in_flight, latency| Told { in_flight, latency };
    load.hear(told(10, Some(Duration::from_millis(50))), at(20));
    assert_eq!(load.prospect(at(20)), (10, 50e6), "seven are those of others");
    drop(own);
    assert_eq!(load.prospect(at(900)).0, 7, "our own we know better");
    assert_eq!(load.prospect(at(1100)).0, 0);
    load.hear(told(0, None), at(1200));
    assert_eq!(load.prospect(at(1200)).0, 0);
    assert_ne!(load.prospect(at(1200)).1, 50e6);
}
