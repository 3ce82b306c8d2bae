use std::time::Duration;

use crate::{
    LENGTH,
    contention::{Wait, mean},
    outage::{Client, Outage, run},
    tiers::{amplify, rows},
};

const SEED: u64 = 1;

fn recovery(outage: Outage, client: Client, length: Duration, seed: u64) -> Option<Duration> {
    run(outage, client, length, seed).recovery()
}

#[test]
fn jitter_spares_calls_and_time() {
    let [plain, equal, full] =
        [Wait::Exponential, Wait::Equal, Wait::Full].map(|wait| mean(100, wait, SEED));
    assert!(full.calls < 0.45 * plain.calls, "{full:?} {plain:?}");
    assert!(full.seconds < 0.1 * plain.seconds, "{full:?} {plain:?}");
    assert!(full.calls < equal.calls && full.seconds < equal.seconds, "{full:?} {equal:?}");
}

#[test]
fn the_known_figures_of_the_workload_come_out() {
    let near = |found: f64, known: f64| (found - known).abs() < 0.05 * known;
    for (wait, calls, seconds) in [
        (Wait::None, 689.0, 1.1),
        (Wait::Exponential, 631.0, 37.7),
        (Wait::Equal, 346.0, 4.2),
        (Wait::Full, 332.0, 2.8),
        (Wait::Decorrelated, 375.0, 2.2),
    ] {
        let found = mean(50, wait, SEED);
        assert!(near(found.calls, calls) && near(found.seconds, seconds), "{wait:?}: {found:?}");
    }
}

#[test]
fn budgets_bound_what_tiers_multiply() {
    let [without, with, _, little, least] = rows().map(|(_, chain)| chain);
    assert_eq!(amplify(&without, SEED), 27.0);
    let found = amplify(&with, SEED);
    assert!((1.5..1.2_f64.powi(3)).contains(&found), "{found}");
    // With few requests the floor is what there is most of.
    for chain in [little, least] {
        let found = amplify(&chain, SEED);
        assert!((1.73..chain.bound()).contains(&found), "{found} of {}", chain.bound());
    }
}

#[test]
fn without_a_budget_an_outage_never_ends() {
    for outage in [Outage::Dead, Outage::Stalled] {
        for client in [Client::RETRIES, Client::JITTER] {
            let course = run(outage, client, LENGTH, SEED);
            assert!(course.pressure() > 2.5, "{}", course.pressure());
            assert_eq!(course.recovery(), None);
            assert!(course.goodput(30) < 0.01);
        }
        assert!(recovery(outage, Client::NOTHING, LENGTH, SEED).is_some());
    }
}

#[test]
fn with_a_budget_it_is_over_in_three_seconds() {
    for client in [Client::BUDGET, Client::BOTH, Client::WHOLE] {
        for seed in SEED..SEED + 3 {
            let after = recovery(Outage::Dead, client, LENGTH, seed);
            assert!(after.is_some_and(|after| after <= Duration::from_secs(3)), "{after:?}");
        }
    }
    // Whatever is left of the budget when the backend is back.
    for seconds in [2, 5, 9, 11, 12, 13, 20] {
        let after = recovery(Outage::Dead, Client::BOTH, Duration::from_secs(seconds), SEED);
        assert!(after.is_some_and(|after| after <= Duration::from_secs(3)), "{after:?}");
    }
    assert!(run(Outage::Dead, Client::BOTH, LENGTH, SEED).pressure() < 1.21);
}

/// A backend that is back with a queue that nobody waits for any more has to be left alone: two
/// seconds for the queue, and up to two more until the next probe has been answered.
#[test]
fn failing_fast_empties_a_queue() {
    for seed in SEED..SEED + 3 {
        let [budget, whole] = [Client::BOTH, Client::WHOLE]
            .map(|client| recovery(Outage::Stalled, client, LENGTH, seed).unwrap());
        assert!(whole <= Duration::from_secs(4) && whole < budget, "{whole:?} {budget:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let few = |seed| mean(10, Wait::Full, seed);
    assert_eq!(few(SEED), few(SEED));
    assert_ne!(few(SEED), few(SEED + 1));
    let [one, other] =
        [SEED, SEED].map(|seed| run(Outage::Dead, Client::WHOLE, Duration::from_secs(1), seed));
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}
