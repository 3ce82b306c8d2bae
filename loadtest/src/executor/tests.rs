use std::time::Duration;

use super::{Arrivals, Plan, Requirements, Step, Vus, requirements};
use crate::options::{Executor, Pool, Saturation, Scenario, Stage};

const POOL: Pool = Pool { pre_allocated_vus: 1, max_vus: 1, on_saturation: Saturation::Drop };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn scenario(executor: Executor) -> Scenario {
    let (name, exec) = ("a".to_owned(), "default".to_owned());
    let (start_time, graceful_stop) = (ms(1000), ms(300));
    Scenario { name, executor, start_time, graceful_stop, exec, env: vec![], tags: vec![] }
}

fn vus(executor: Executor) -> Vus {
    match Plan::new(&scenario(executor)) {
        Plan::Vus(vus) => vus,
        Plan::Arrivals(_) => panic!("an arrival-rate executor"),
    }
}

fn arrivals(executor: Executor) -> Arrivals {
    match Plan::new(&scenario(executor)) {
        Plan::Arrivals(arrivals) => arrivals,
        Plan::Vus(_) => panic!("no arrival-rate executor"),
    }
}

fn stages(stages: &[(u64, u64)]) -> Vec<Stage> {
    stages.iter().map(|(d, target)| Stage { duration: ms(*d), target: *target }).collect()
}

fn ramping(start_rate: u64, time_unit: u64, list: &[(u64, u64)]) -> Arrivals {
    let (time_unit, stages) = (ms(time_unit), stages(list));
    arrivals(Executor::RampingArrivalRate { start_rate, time_unit, stages, pool: POOL })
}

fn begin(iteration: u64, deadline: u64) -> Step {
    Step::Begin { iteration, deadline: ms(deadline) }
}

fn wait(until: u64) -> Step {
    Step::Wait { until: ms(until) }
}

#[test]
fn a_constant_rate_is_kept_to_the_nanosecond() {
    let (time_unit, duration) = (ms(1000), ms(2000));
    let it = arrivals(Executor::ConstantArrivalRate { rate: 7, time_unit, duration, pool: POOL });
    // k6 begins 15 as well: the first at 0, the last at the end.
    assert_eq!((it.len(), it.end(), it.deadline()), (15, ms(3000), ms(3300)));
    for n in 0..15 {
        assert_eq!(
            it.start(n).unwrap().as_nanos(),
            1_000_000_000 + u128::from(n) * 1_000_000_000 / 7
        );
    }
    assert_eq!(it.start(15), None);
    assert_eq!((it.rate(ms(1500)), it.rate(ms(999)), it.rate(ms(3001))), (7.0, 0.0, 0.0));
    let (time_unit, duration) = (ms(60_000), ms(24 * 3_600_000));
    let it = arrivals(Executor::ConstantArrivalRate { rate: 777, time_unit, duration, pool: POOL });
    assert_eq!(it.len(), 777 * 60 * 24 + 1);
    assert_eq!(it.start(777 * 60), Some(ms(3_600_000 + 1000)), "no drift");
}

#[test]
fn a_ramp_begins_an_iteration_when_the_integral_reaches_it() {
    // The times that k6 1.1 was seen to begin them at, to its milliseconds.
    let it = ramping(0, 1000, &[(2000, 10), (500, 10), (1000, 0)]);
    let seen = [
        632, 894, 1095, 1265, 1414, 1549, 1673, 1789, 1897, 2000, 2100, 2200, 2300, 2400, 2500,
        2606, 2725, 2868, 3053, 3500,
    ];
    assert_eq!(it.len(), seen.len() as u64);
    for (n, at) in (0..).zip(seen) {
        let start = it.start(n).unwrap() - ms(1000);
        assert!(start.abs_diff(ms(at)) <= ms(1), "{n}: {start:?}, not {at} ms");
    }
    assert_eq!(it.start(20), None);
    assert_eq!(it.start(19), Some(ms(4500)), "the last just at the end");
    assert!((it.rate(ms(2000)) - 5.0).abs() < 1e-9);
    assert!((it.rate(ms(4000)) - 5.0).abs() < 1e-9);
}

#[test]
fn the_integral_is_exact_over_many_stages() {
    // Between the corners the integral at a start must be its number plus one.
    let list: Vec<(u64, u64)> = (0..50).map(|i| (1000 + i * 37, (i * 7919) % 1000)).collect();
    let it = ramping(500, 700, &list);
    let integral = |at: f64| {
        let (mut sum, mut passed, mut from) = (0.0, 0.0, 500.0);
        for (d, to) in &list {
            let (d, to) = (*d as f64, *to as f64);
            let x = (at - passed).clamp(0.0, d);
            sum += (from * x + (to - from) * x * x / (2.0 * d)) / 700.0;
            (passed, from) = (passed + d, to);
        }
        sum
    };
    let mut last = Duration::ZERO;
    for n in 0..it.len() {
        let start = it.start(n).unwrap();
        assert!(start >= last, "{n}");
        last = start;
        let at = (start - ms(1000)).as_nanos() as f64 / 1e6;
        assert!((integral(at) - (n + 1) as f64).abs() < 1e-4, "{n}: {}", integral(at));
    }
}

#[test]
fn steps_and_silence_are_ramps_too() {
    // A stage without length is a step; at rate 0 nothing begins.
    let it = ramping(10, 1000, &[(1000, 10), (0, 0), (5000, 0), (0, 20), (1000, 20)]);
    assert_eq!(it.len(), 30);
    assert_eq!(it.start(9), Some(ms(2000)));
    assert_eq!(it.start(10), Some(ms(7050)));
    assert!(ramping(0, 1000, &[(1000, 0)]).is_empty());
    assert!(
        ramping(u64::from(u32::MAX), 1, &[(u64::from(u32::MAX), 1 << 40)]).start(1 << 50).is_some()
    );
}

#[test]
fn constant_vus_begin_until_the_end() {
    let it = vus(Executor::ConstantVus { vus: 2, duration: ms(2000) });
    assert_eq!(it.next(0, 0, ms(999)), wait(1000));
    assert_eq!(it.next(0, 0, ms(1000)), begin(0, 3300));
    assert_eq!(it.next(1, 0, ms(1000)), begin(1, 3300));
    assert_eq!(it.next(2, 0, ms(1000)), Step::Stop);
    assert_eq!(it.next(0, 1, ms(2999)), begin(2, 3300));
    assert_eq!(it.next(0, 2, ms(3000)), Step::Stop);
    assert_eq!((it.vus(ms(999)), it.vus(ms(1000)), it.vus(ms(3000))), (0, 2, 0));
    assert_eq!((it.unbegun(), it.iterations()), (0, None));
}

#[test]
fn shared_iterations_go_to_whoever_asks() {
    let max_duration = ms(5000);
    let it = vus(Executor::SharedIterations { vus: 2, iterations: 3, max_duration });
    assert_eq!(it.next(1, 0, ms(1000)), begin(0, 6300));
    assert_eq!(it.next(0, 0, ms(1000)), begin(1, 6300));
    assert_eq!(it.unbegun(), 1);
    assert_eq!(it.next(0, 1, ms(1000)), begin(2, 6300));
    assert_eq!(it.next(0, 2, ms(1000)), Step::Stop);
    assert_eq!(it.next(1, 1, ms(1000)), Step::Stop);
    assert_eq!((it.begun(), it.unbegun(), it.iterations()), (3, 0, Some(3)));
    let it = vus(Executor::SharedIterations { vus: 2, iterations: 3, max_duration });
    assert_eq!(it.next(0, 0, ms(5999)), begin(0, 6300));
    assert_eq!(it.next(0, 1, ms(6000)), Step::Stop, "maxDuration is over");
    assert_eq!(it.unbegun(), 2);
}

#[test]
fn per_vu_iterations_are_counted_by_vu() {
    let max_duration = ms(5000);
    let it = vus(Executor::PerVuIterations { vus: 2, iterations: 2, max_duration });
    assert_eq!(it.next(0, 0, ms(1000)), begin(0, 6300));
    assert_eq!(it.next(0, 1, ms(1000)), begin(1, 6300));
    assert_eq!(it.next(0, 2, ms(1000)), Step::Stop);
    assert_eq!(it.next(1, 0, ms(5999)), begin(2, 6300));
    assert_eq!(it.next(1, 1, ms(6000)), Step::Stop);
    assert_eq!((it.unbegun(), it.iterations()), (1, Some(4)));
}

fn ramp(start_vus: u32, list: &[(u64, u64)], graceful_ramp_down: u64) -> Vus {
    let (stages, graceful_ramp_down) = (stages(list), ms(graceful_ramp_down));
    vus(Executor::RampingVus { start_vus, stages, graceful_ramp_down })
}

#[test]
fn the_number_of_vus_changes_by_one_at_even_distances() {
    // As k6 1.1 was seen to: 0.5, 1, 1.5 and 2 s up; 3, 3.5, 4 and 4.5 s down.
    let it = ramp(0, &[(2000, 4), (500, 4), (2000, 0)], 100);
    assert_eq!(it.vus_most(), 4);
    for (vu, up, down) in [(0, 500, 4500), (1, 1000, 4000), (2, 1500, 3500), (3, 2000, 3000)] {
        assert_eq!(it.next(vu, 0, ms(1000)), wait(1000 + up));
        assert!(matches!(it.next(vu, 0, ms(1000 + up)), Step::Begin { .. }), "{vu}");
        let Step::Begin { deadline, .. } = it.next(vu, 0, ms(1000 + down - 1)) else { panic!() };
        assert_eq!(deadline, ms(1000 + down + 100));
        assert_eq!(it.next(vu, 0, ms(1000 + down)), Step::Stop);
    }
    let at = |at: u64| it.vus(ms(1000 + at));
    assert_eq!(
        [at(0), at(499), at(500), at(2000), at(2999), at(3000), at(4499)],
        [0, 0, 1, 4, 4, 3, 1]
    );
}

#[test]
fn a_vu_that_is_wanted_again_goes_on() {
    let list = [(0, 0), (1000, 0), (0, 1), (1000, 1)];
    let short = ramp(1, &[&[(1000, 1)][..], &list].concat(), 100);
    assert_eq!(short.next(0, 0, ms(1500)), begin(0, 2100), "cut off after gracefulRampDown");
    assert_eq!(short.next(0, 1, ms(2100)), wait(3000));
    assert_eq!(short.next(0, 1, ms(3500)), begin(1, 4300), "then gracefulStop");
    let long = ramp(1, &[&[(1000, 1)][..], &list].concat(), 1000);
    assert_eq!(long.next(0, 0, ms(1500)), begin(0, 4300), "the ramp came back in time");
    // No grace is longer than that of the whole scenario.
    let it = ramp(2, &[(1000, 2), (1000, 0)], 60_000);
    assert_eq!(it.next(0, 0, ms(2000)), begin(0, 3300));
}

#[test]
fn a_ramp_in_steps_has_no_gaps() {
    let it = ramp(1, &[(0, 3), (1000, 3), (0, 1), (1000, 1)], 0);
    assert_eq!(it.next(2, 0, ms(1000)), begin(0, 2000));
    assert_eq!(it.next(2, 1, ms(2000)), Step::Stop);
    assert_eq!(it.next(0, 0, ms(1000)), begin(1, 3300));
    assert_eq!((it.vus(ms(1000)), it.vus(ms(2000))), (3, 1));
}

#[test]
fn scenarios_that_follow_one_another_share_their_vus() {
    let constant = |start: u64, vus, duration: u64| {
        let (executor, graceful_stop) =
            (Executor::ConstantVus { vus, duration: ms(duration) }, ms(300));
        Plan::new(&Scenario { start_time: ms(start), graceful_stop, ..scenario(executor) })
    };
    // The first may run until 1300.
    let plans = [constant(0, 3, 1000), constant(1300, 4, 1000), constant(1200, 2, 5000)];
    let needs = requirements(&plans);
    assert_eq!(needs, Requirements { vus_most: 6, duration: ms(6500) });
    assert_eq!(requirements(&plans[..2]).vus_most, 4);
    assert_eq!(requirements(&[]), Requirements { vus_most: 0, duration: ms(0) });
}
