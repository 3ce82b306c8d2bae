//! Too much at once: who is turned away before anything is done for the request.
//!
//! Two measures say that it is too much: the memory of the process, which the control thread reads
//! ([`watch`]), and the lag of a worker's event loop, which the worker measures itself ([`pulse`]).
//! Each becomes shares of requests to turn away, by the priority of their route ([`pressure`]).
//! While all is well a request costs two loads and a compare.
//!
//! A route's own bound on what it does at once is a [`bulkhead`].

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use http::HeaderMap;
use weir_config::model::{Priority, RoutePriority};

pub mod bulkhead;
pub mod memory;
pub mod pressure;
pub(crate) mod pulse;
pub(crate) mod watch;

use pressure::Shares;
use pulse::Post;

/// Why a request was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The process takes too much memory.
    Memory,
    /// The worker's event loop lags.
    Lag,
}

impl Cause {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Memory, Self::Lag];

    /// Name in metrics and on the admin API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Lag => "lag",
        }
    }
}

/// All priorities, the first to be turned away first.
pub const PRIORITIES: [Priority; 3] = [Priority::Low, Priority::Normal, Priority::High];

/// Name of a priority in the file, in metrics and on the admin API.
pub const fn priority_name(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
    }
}

/// How urgent a request is: what its route says, or less if a header of the client's says so.
pub fn priority_of(route: &RoutePriority, headers: &HeaderMap) -> Priority {
    let Some(name) = &route.header else { return route.level };
    let asked = headers.get_all(name).iter().filter_map(|value| {
        PRIORITIES.into_iter().find(|one| {
            value.as_bytes().trim_ascii().eq_ignore_ascii_case(priority_name(*one).as_bytes())
        })
    });
    asked.fold(route.level, Priority::min)
}

/// Memory of the process, against its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident bytes.
    pub resident: u64,
    /// Bytes that it may use.
    pub bound: u64,
}

impl Memory {
    /// How much of the bound is used: 1 is all.
    pub fn ratio(self) -> f64 {
        self.resident as f64 / self.bound as f64
    }
}

/// What all workers and the control thread know together.
#[derive(Debug, Default)]
pub struct Admission {
    /// [`Shares`] for want of memory.
    shares: AtomicU32,
    resident: AtomicU64,
    /// 0 when there is no bound, or nothing was read yet.
    bound: AtomicU64,
    /// Requests turned away, by cause and priority.
    shed: [[AtomicU64; 3]; 2],
    posts: Mutex<Vec<Weak<Post>>>,
}

impl Admission {
    /// What is turned away for want of memory.
    pub fn memory_shares(&self) -> Shares {
        Shares::unpack(self.shares.load(Relaxed))
    }

    /// What of it is turned away by the worker that lags most.
    pub fn lag_shares(&self) -> Shares {
        self.posts().iter().fold(Shares::NONE, |most, post| most.max(post.shares()))
    }

    /// The memory, when it is bounded.
    pub fn memory(&self) -> Option<Memory> {
        let bound = self.bound.load(Relaxed);
        (bound > 0).then(|| Memory { resident: self.resident.load(Relaxed), bound })
    }

    /// The lag of the worker that lags most, in nanoseconds.
    pub fn lag_nanos(&self) -> u64 {
        self.posts().iter().map(|post| post.lag_nanos()).max().unwrap_or(0)
    }

    /// Requests turned away so far.
    pub fn shed(&self, cause: Cause, priority: Priority) -> u64 {
        self.shed[cause as usize][priority as usize].load(Relaxed)
    }

    /// All requests turned away for one cause.
    pub fn shed_for(&self, cause: Cause) -> u64 {
        PRIORITIES.iter().map(|priority| self.shed(cause, *priority)).sum()
    }

    fn turn_away(&self, cause: Cause, priority: Priority) {
        self.shed[cause as usize][priority as usize].fetch_add(1, Relaxed);
    }

    /// How the memory was found.
    fn set_memory(&self, memory: Option<Memory>, shares: Shares) {
        self.resident.store(memory.map_or(0, |memory| memory.resident), Relaxed);
        self.bound.store(memory.map_or(0, |memory| memory.bound), Relaxed);
        self.shares.store(shares.pack(), Relaxed);
    }

    /// A place for one more worker to tell of its lag.
    fn join(&self) -> Arc<Post> {
        let post = Arc::<Post>::default();
        let mut posts = self.lock();
        posts.retain(|post| post.strong_count() > 0);
        posts.push(Arc::downgrade(&post));
        post
    }

    fn posts(&self) -> Vec<Arc<Post>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Post>>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_header_only_lowers() {
        let name = HeaderName::from_static("x-priority");
        let cases: [(Priority, &[&str], Priority); 8] = [
            (Priority::Normal, &[], Priority::Normal),
            (Priority::Normal, &["low"], Priority::Low),
            (Priority::Normal, &[" LOW "], Priority::Low),
            (Priority::Normal, &["high"], Priority::Normal),
            (Priority::Low, &["high"], Priority::Low),
            (Priority::High, &["normal"], Priority::Normal),
            (Priority::High, &["urgent", "\u{ff}"], Priority::High),
            (Priority::High, &["high", "low", "normal"], Priority::Low),
        ];
        for (level, values, wanted) in cases {
            let route = RoutePriority { level, header: Some(name.clone()) };
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            assert_eq!(priority_of(&route, &headers), wanted, "{level:?} {values:?}");
            let deaf = RoutePriority { level, header: None };
            assert_eq!(priority_of(&deaf, &headers), level);
        }
    }
}
