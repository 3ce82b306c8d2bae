use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000;

#[test]
fn known_values() {
    let known = [
        (1.282, 1.0),
        (2.326, 2.0),
        (3.090, 3.0),
        (4.265, 5.0),
        (5.612, 8.0),
        (6.361, 10.0),
        (7.034, 12.0),
        (8.222, 16.0),
    ];
    for (z, expected) in known {
        assert!((phi(z) - expected).abs() < 2e-3, "{z}: {} not {expected}", phi(z));
    }
    assert!((phi(0.0) - 2.0_f64.log10()).abs() < 1e-12);
    assert!((phi(1000.0) / 2.1715e5 - 1.0).abs() < 1e-3);
    assert!(phi(-10.0) > 0.0 && phi(-10.0) < 1e-20);
}

#[test]
fn both_formulas_agree_where_they_meet() {
    let step = 1e-9;
    assert!((phi(TAIL_Z - step) - phi(TAIL_Z + step)).abs() < 1e-7);
    assert!((phi(-5.0 - step) - phi(-5.0 + step)).abs() < 1e-12);
}

proptest! {
    #[test]
    fn finite_and_monotone(a in -1e6..1e6_f64, b in -1e6..1e6_f64) {
        let (low, high) = (phi(a.min(b)), phi(a.max(b)));
        prop_assert!(low.is_finite() && high.is_finite() && low >= 0.0);
        prop_assert!(low <= high);
    }

    #[test]
    fn deviations_is_the_inverse(threshold in 0.5..300.0_f64) {
        let z = deviations(threshold);
        prop_assert!((phi(z) - threshold).abs() < 1e-6, "{} {}", z, phi(z));
    }

    #[test]
    fn a_deadline_is_when_phi_gets_there(
        intervals in prop::collection::vec(900_000..1_200_000_u64, 0..300),
        threshold in 1.0..16.0_f64,
    ) {
        let mut arrivals = Arrivals::new(SECOND, 0);
        let mut now = 0;
        for interval in intervals {
            now += interval;
            arrivals.heard(now);
        }
        let deadline = arrivals.deadline_us(deviations(threshold), SECOND / 2);
        prop_assert!((arrivals.phi(SECOND / 2, deadline) - threshold).abs() < 1e-3);
    }
}

#[test]
fn outages_and_own_stalls_are_no_samples() {
    let mut arrivals = Arrivals::new(SECOND, 0);
    for at in 1..=20 {
        arrivals.heard(at * SECOND);
    }
    let usual = arrivals.spread_us();
    arrivals.heard(40 * SECOND);
    assert_eq!(arrivals.spread_us(), usual, "more than ten times the expected");
    arrivals.excuse(3 * SECOND);
    assert!(arrivals.phi(0, 43 * SECOND) < 0.5, "the stall was ours");
    arrivals.heard(44 * SECOND);
    assert_eq!(arrivals.spread_us(), usual, "an interval that spans a stall");
}

#[test]
fn the_window_forgets() {
    let mut arrivals = Arrivals::new(SECOND, 0);
    let mut now = 0;
    for interval in
        std::iter::repeat_n(3 * SECOND, 50).chain(std::iter::repeat_n(SECOND, 2 * WINDOW))
    {
        now += interval;
        arrivals.heard(now);
    }
    let (mean, deviation) = arrivals.spread_us();
    assert!((mean - 1e6).abs() < 1.0 && (deviation - 1e5).abs() < 1.0, "{mean} {deviation}");
}

#[test]
fn weights_fall_from_one_to_the_floor() {
    assert!((weight(0.3, 0.1) - 1.0).abs() < 1e-12);
    assert!((weight(4.5, 0.1) - 0.5).abs() < 1e-12);
    assert!((weight(300.0, 0.1) - 0.1).abs() < 1e-12);
}
