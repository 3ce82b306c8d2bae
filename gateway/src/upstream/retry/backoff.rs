//! How long to wait before another attempt.

use std::time::Duration;

use fastrand::Rng;
use weir_config::model::Backoff;

/// A random time from nothing to `base x 2^retry`, never above `max`; `retry` is 0 for the second
/// attempt.
///
/// This is "full jitter": whoever failed at the same moment comes back spread over the whole time,
/// where a wait with a fixed part would bring all of them back at once.
pub fn full_jitter(backoff: Backoff, retry: u32, rng: &mut Rng) -> Duration {
    Duration::from_nanos(rng.u64(..=longest(backoff, retry)))
}

/// The longest wait, in nanoseconds; what is longer than 584 years counts as that.
fn longest(backoff: Backoff, retry: u32) -> u64 {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    // 64 bits moved by at most 64 places stay inside of 128.
    let grown = u128::from(nanos(backoff.base)) << retry.min(64);
    u64::try_from(grown).unwrap_or(u64::MAX).min(nanos(backoff.max))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_oneof, proptest};

    use super::*;

    const BACKOFF: Backoff =
        Backoff { base: Duration::from_millis(25), max: Duration::from_millis(250) };

    #[test]
    fn doubles_up_to_its_bound() {
        let millis = [0, 1, 2, 3, 4, 63, 64, 65, u32::MAX]
            .map(|retry| Duration::from_nanos(longest(BACKOFF, retry)).as_millis());
        assert_eq!(millis, [25, 50, 100, 200, 250, 250, 250, 250, 250]);
    }

    #[test]
    fn fills_the_whole_range() {
        let mut rng = Rng::with_seed(1);
        let waits: Vec<_> = (0..10_000).map(|_| full_jitter(BACKOFF, 1, &mut rng)).collect();
        let tenths = |n: u32| Duration::from_millis(5) * n;
        for tenth in 0..10 {
            let inside = tenths(tenth)..tenths(tenth + 1);
            let count = waits.iter().filter(|wait| inside.contains(*wait)).count();
            assert!((900..1_100).contains(&count), "{count} in tenth {tenth}");
        }
    }

    #[test]
    fn waits_nothing_without_a_base() {
        let none = Backoff { base: Duration::ZERO, ..BACKOFF };
        for retry in [0, 1, 64, u32::MAX] {
            assert_eq!(full_jitter(none, retry, &mut Rng::with_seed(1)), Duration::ZERO);
        }
    }

    fn any_time() -> impl Strategy<Value = Duration> {
        prop_oneof![
            (0..10_000_u64).prop_map(Duration::from_millis),
            any::<u64>().prop_map(Duration::from_nanos),
            (any::<u64>(), 0..1_000_000_000_u32)
                .prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
            Just(Duration::MAX),
        ]
    }

    proptest! {
        #[test]
        fn never_overflows_and_never_exceeds(
            base in any_time(), max in any_time(), retry: u32, few in 0..12_u32, seed: u64,
        ) {
            let backoff = Backoff { base, max };
            let mut rng = Rng::with_seed(seed);
            prop_assert!(full_jitter(backoff, retry, &mut rng) <= max);
            let wait = full_jitter(backoff, few, &mut rng);
            prop_assert!(wait <= max && wait <= base.saturating_mul(1 << few));
        }

        #[test]
        fn longer_and_longer(base in any_time(), max in any_time(), retry in 0..u32::MAX) {
            let backoff = Backoff { base, max };
            prop_assert!(longest(backoff, retry) <= longest(backoff, retry + 1));
        }
    }
}
