//! The judge of a limit: whether any interval holds more than it may, by what reached the origin.

use std::time::Duration;

/// When a request was sent, and when it was at the origin: it was admitted in between.
pub(super) type Passage = (Duration, Duration);

/// The most by which any interval holds more than `burst + rate x length`, of what surely fell into
/// it; below zero if none does.
pub(super) fn worst(passages: &[Passage], burst: f64, rate: f64) -> f64 {
    let mut worst = f64::NEG_INFINITY;
    let mut by_arrival = passages.to_vec();
    by_arrival.sort_by_key(|(_, arrived)| *arrived);
    for (from, _) in passages {
        let inside = by_arrival.iter().filter(|(sent, _)| sent >= from);
        for (count, (_, until)) in (1_u32..).zip(inside) {
            let allowed = burst + rate * (*until - *from).as_secs_f64();
            worst = worst.max(f64::from(count) - allowed);
        }
    }
    worst
}

/// How many passages surely lie within `from..until`.
pub(super) fn within(passages: &[Passage], from: Duration, until: Duration) -> usize {
    passages.iter().filter(|(sent, arrived)| *sent >= from && *arrived <= until).count()
}

#[test]
fn a_worst_interval_is_found() {
    let at = |millis| Duration::from_millis(millis);
    let passages = [(at(0), at(1)), (at(100), at(101)), (at(102), at(103)), (at(500), at(900))];
    // Two within 3 ms, where one and 0.03 were due.
    assert!((worst(&passages, 1.0, 10.0) - 0.97).abs() < 1e-6);
    assert!(worst(&passages, 2.0, 10.0) < 0.0);
    assert_eq!(within(&passages, at(50), at(700)), 2);
}
