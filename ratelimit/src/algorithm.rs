//! The three ways to limit, behind one name.

use std::time::Duration;

use crate::{bucket::Bucket, leaky::Leaky, window::Window};

/// How a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Bursts pass at once, then the rate holds.
    TokenBucket(Bucket),
    /// Bursts are spread out: requests wait for their turn.
    LeakyBucket(Leaky),
    /// No window ever sees more than the quota.
    SlidingWindow(Window),
}

/// What the `RateLimit-Policy` field says of a limit: constant, whole seconds
/// (draft-ietf-httpapi-ratelimit-headers-11, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The `q` parameter.
    pub quota: u64,
    /// The `w` parameter, at least 1.
    pub window_seconds: u64,
}

impl Algorithm {
    /// The policy to advertise.
    ///
    /// For buckets the window is the time in which the burst is earned, in whole seconds rounded
    /// up, and the quota what is earned in it: `100/s` with a burst of 200 is 200 in 2 seconds,
    /// with a burst of 20 it is 100 in 1 second. A window that is no number of seconds is scaled
    /// too.
    pub fn policy(&self) -> Policy {
        let bucket = match self {
            Self::TokenBucket(bucket) => bucket,
            Self::LeakyBucket(leaky) => leaky.bucket(),
            Self::SlidingWindow(window) => {
                let seconds = seconds(window.window());
                let whole = u128::from(window.quota()) * u128::from(seconds) * 1_000_000_000;
                let quota = whole / window.window().as_nanos().max(1);
                let quota = u64::try_from(quota).unwrap_or(u64::MAX);
                return Policy { quota, window_seconds: seconds };
            }
        };
        let window_seconds = seconds(Duration::from_nanos(bucket.depth_nanos()));
        let quota = bucket.rate().earned_in(Duration::from_secs(window_seconds));
        Policy { quota, window_seconds }
    }

    /// The part of it that one of `members` has, if they share it without talking.
    pub(crate) fn share(&self, members: u32) -> Self {
        match self {
            Self::TokenBucket(bucket) => Self::TokenBucket(bucket.share(members)),
            Self::LeakyBucket(leaky) => {
                Self::LeakyBucket(Leaky::with_room(leaky.bucket().share(members)))
            }
            Self::SlidingWindow(window) => Self::SlidingWindow(window.share(members)),
        }
    }

    /// What tells the keys of one algorithm from those of another: their states do not mix. Counts
    /// in slices of another length are of no use either.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::TokenBucket(_) => "token_bucket".into(),
            Self::LeakyBucket(_) => "leaky_bucket".into(),
            Self::SlidingWindow(window) => format!("sliding_window {:?}", window.window()),
        }
    }
}

fn seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Rate;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn policies() {
        let bucket = |count, per, burst| {
            let rate = Rate::new(count, per).unwrap();
            let policy = Algorithm::TokenBucket(Bucket::new(rate, burst).unwrap()).policy();
            (policy.quota, policy.window_seconds)
        };
        assert_eq!(bucket(100, SECOND, 200), (200, 2));
        assert_eq!(bucket(100, SECOND, 20), (100, 1));
        assert_eq!(bucket(100, SECOND, 150), (200, 2));
        assert_eq!(bucket(5, 60 * SECOND, 5), (5, 60));
        assert_eq!(bucket(0, SECOND, 5), (0, 1));
        let leaky = Leaky::new(Rate::new(10, SECOND).unwrap(), 9).unwrap();
        let policy = Algorithm::LeakyBucket(leaky).policy();
        assert_eq!((policy.quota, policy.window_seconds), (10, 1));
        let window = |quota, length| {
            let policy = Algorithm::SlidingWindow(Window::new(quota, length).unwrap()).policy();
            (policy.quota, policy.window_seconds)
        };
        assert_eq!(window(1_000, 60 * SECOND), (1_000, 60));
        assert_eq!(window(50, SECOND / 10), (500, 1));
        assert_eq!(window(u32::MAX.into(), Duration::from_nanos(1)).1, 1);
    }
}
