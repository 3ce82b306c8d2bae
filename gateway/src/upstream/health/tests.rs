use weir_config::model::Probe;

use super::*;
use crate::clock::Tick;

const CHECK: HealthCheck = HealthCheck {
    probe: Probe::Connect,
    interval: Duration::from_secs(5),
    timeout: Duration::from_secs(1),
    healthy: 2,
    unhealthy: 3,
};

/// Health after each of these results.
fn run(results: &str) -> String {
    let mut health = Health::new();
    let step = |result| {
        health.record(result == '+', &CHECK);
        if health.is_healthy() { 'h' } else { 'u' }
    };
    results.chars().map(step).collect()
}

#[test]
fn it_takes_so_many_in_a_row() {
    assert_eq!(run("---"), "hhu");
    assert_eq!(run("--+--+---"), "hhhhhhhhu");
    assert_eq!(run("---+-++-"), "hhuuuuhh");
    assert_eq!(run("----++---"), "hhuuuhhhu");
}

#[test]
fn only_a_change_is_one() {
    let mut health = Health::new();
    let changes: Vec<bool> =
        [false; 5].into_iter().map(|passed| health.record(passed, &CHECK)).collect();
    assert_eq!(changes, [false, false, true, false, false]);
    assert!(!health.record(true, &CHECK) && health.record(true, &CHECK));
}

#[test]
fn a_threshold_of_one_turns_at_once() {
    let check = HealthCheck { healthy: 1, unhealthy: 1, ..CHECK };
    let mut health = Health::new();
    assert!(health.record(false, &check) && health.record(true, &check));
}

/// Pauses are as long as they should be, give or take a tenth, and not all the same.
fn assert_pause(health: Health, check: &HealthCheck, wanted: Duration) {
    let mut rng = Rng::with_seed(4);
    let pauses: Vec<f64> = (0..200).map(|_| health.pause(check, &mut rng).as_secs_f64()).collect();
    let wanted = wanted.as_secs_f64();
    let (low, high) = pauses.iter().fold((f64::MAX, 0.0_f64), |(a, b), p| (a.min(*p), b.max(*p)));
    assert!(low >= wanted * 0.9 - 1e-6 && high <= wanted * 1.1 + 1e-6, "{low} {high} {wanted}");
    assert!(high - low > wanted * 0.15, "{low} {high}");
}

#[test]
fn doubt_makes_haste() {
    let mut health = Health::new();
    assert_pause(health, &CHECK, CHECK.interval);
    health.record(false, &CHECK);
    assert_pause(health, &CHECK, Duration::from_secs(1));
    health.record(true, &CHECK);
    assert_pause(health, &CHECK, CHECK.interval);
    for _ in 0..3 {
        health.record(false, &CHECK);
    }
    assert_pause(health, &CHECK, Duration::from_secs(1));
    let short = HealthCheck { interval: Duration::from_millis(200), ..CHECK };
    assert_pause(health, &short, LEAST_PAUSE);
    let shorter = HealthCheck { interval: LEAST_PAUSE, ..CHECK };
    assert_pause(health, &shorter, LEAST_PAUSE);
}

/// An endpoint that is down from second 60 to second 120, in virtual time: how soon that is known.
#[test]
fn an_outage_is_seen_within_two_intervals() {
    for seed in 0..50 {
        let mut rng = Rng::with_seed(seed);
        let (mut health, mut now) = (Health::new(), Tick::ZERO);
        let mut changes = Vec::new();
        while now < Tick::ZERO + Duration::from_secs(200) {
            let seconds = now.since(Tick::ZERO).as_secs_f64();
            if health.record(!(60.0..120.0).contains(&seconds), &CHECK) {
                changes.push(seconds);
            }
            now = now + health.pause(&CHECK, &mut rng);
        }
        let [down, up] = changes[..] else { panic!("{changes:?}") };
        assert!((60.0..68.0).contains(&down), "{down}");
        assert!((120.0..123.0).contains(&up), "{up}");
    }
}
