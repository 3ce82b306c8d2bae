//! How late a worker's own timers fire, measured while it has requests, and what it turns away.
//!
//! The beat is a task that sleeps for 100 ms at a time and looks how much longer it was. It goes on
//! only while requests come: a worker that has none is not woken for it.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::Notify;
use weir_config::model::Priority;

use super::{
    Admission, Cause,
    pressure::{Lag, Pressure, Shares},
};
use crate::clock;

/// Time from one beat to the next.
const BEAT: Duration = Duration::from_millis(100);

/// What one worker tells others of its lag.
#[derive(Debug, Default)]
pub(crate) struct Post {
    lag_nanos: AtomicU64,
    shares: AtomicU32,
}

impl Post {
    pub(super) fn lag_nanos(&self) -> u64 {
        self.lag_nanos.load(Relaxed)
    }

    pub(super) fn shares(&self) -> Shares {
        Shares::unpack(self.shares.load(Relaxed))
    }
}

/// One worker's part in admission.
#[derive(Debug)]
pub(crate) struct Pulse {
    admission: Arc<Admission>,
    post: Arc<Post>,
    /// Whether this beat has seen a request and nobody is turned away for lag.
    calm: Cell<bool>,
    /// Whether this beat has seen a request.
    seen: Cell<bool>,
    shares: Cell<Shares>,
    request: Notify,
}

impl Pulse {
    pub(crate) fn new(admission: Arc<Admission>) -> Rc<Self> {
        let post = admission.join();
        Rc::new(Self {
            admission,
            post,
            calm: Cell::new(false),
            seen: Cell::new(false),
            shares: Cell::default(),
            request: Notify::new(),
        })
    }

    /// Whether a request is let in.
    pub(crate) fn admits(
        &self,
        priority: impl FnOnce() -> Priority,
        rng: impl FnOnce() -> u8,
    ) -> bool {
        if self.calm.get() && self.admission.shares.load(Relaxed) == 0 {
            return true;
        }
        self.weigh(priority, rng)
    }

    #[cold]
    fn weigh(&self, priority: impl FnOnce() -> Priority, rng: impl FnOnce() -> u8) -> bool {
        let by_lag = self.shares.get();
        if !self.seen.replace(true) {
            self.request.notify_one();
        }
        self.calm.set(by_lag.is_none());
        let by_memory = self.admission.memory_shares();
        if by_memory.max(by_lag).is_none() {
            return true;
        }
        let priority = priority();
        let (by_memory, by_lag) = (by_memory.of(priority), by_lag.of(priority));
        let dice = u16::from(rng());
        if dice >= by_memory.max(by_lag) {
            return true;
        }
        let cause = if dice < by_memory { Cause::Memory } else { Cause::Lag };
        self.admission.turn_away(cause, priority);
        false
    }

    /// Beats for ever. `limit` is `limits.lag` as of now.
    pub(crate) async fn run(self: Rc<Self>, limit: impl Fn() -> Option<Duration>) {
        let (mut lag, mut pressure) = (Lag::default(), Pressure::of_lag());
        loop {
            self.request.notified().await;
            while self.seen.replace(false) {
                self.calm.set(false);
                let due = clock::now() + BEAT;
                tokio::time::sleep_until(due.instant()).await;
                lag.record(clock::now().since(due));
                let limit = limit().map_or(f64::INFINITY, |limit| limit.as_nanos() as f64);
                self.publish(&lag, pressure.update(lag.nanos() / limit));
            }
            lag.rest();
            self.publish(&lag, pressure.update(0.0));
        }
    }

    fn publish(&self, lag: &Lag, shares: Shares) {
        self.shares.set(shares);
        self.calm.set(false);
        self.post.lag_nanos.store(lag.nanos() as u64, Relaxed);
        self.post.shares.store(shares.pack(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;
    use crate::{
        admission::{Memory, PRIORITIES},
        task,
    };

    fn run<F: Future>(paused: bool, test: F) -> F::Output {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(paused);
        runtime.build_local(Default::default()).unwrap().block_on(test)
    }

    fn pulse() -> (Rc<Pulse>, Arc<Admission>) {
        let admission = Arc::<Admission>::default();
        (Pulse::new(admission.clone()), admission)
    }

    /// How many of 256 requests are let in, each with another throw.
    fn admitted(pulse: &Pulse, priority: Priority) -> usize {
        (0..=255).filter(|dice| pulse.admits(|| priority, || *dice)).count()
    }

    #[test]
    fn memory_turns_away_its_share_and_counts_it() {
        let (pulse, admission) = pulse();
        assert_eq!(admitted(&pulse, Priority::Low), 256);
        let mut pressure = Pressure::of_memory();
        let memory = Some(Memory { resident: 96, bound: 100 });
        admission.set_memory(memory, pressure.update(0.96));
        assert_eq!(PRIORITIES.map(|priority| admitted(&pulse, priority)), [0, 128, 256]);
        let shed = PRIORITIES.map(|priority| admission.shed(Cause::Memory, priority));
        assert_eq!((shed, admission.shed_for(Cause::Lag)), ([256, 128, 0], 0));
        assert!((admission.memory().unwrap().ratio() - 0.96).abs() < 1e-9);
        admission.set_memory(None, Shares::NONE);
        assert_eq!(admitted(&pulse, Priority::Low), 256);
    }

    #[test]
    fn it_beats_only_while_there_are_requests() {
        run(true, async {
            let (pulse, admission) = pulse();
            task::spawn(pulse.clone().run(|| Some(Duration::from_millis(100))));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!pulse.calm.get());
            assert!(pulse.admits(|| Priority::Low, || 0));
            assert!(pulse.calm.get(), "the next one costs two loads");
            tokio::time::sleep(BEAT + Duration::from_millis(5)).await;
            assert!(!pulse.calm.get() && !pulse.seen.get());
            assert!(pulse.admits(|| Priority::Low, || 0));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!pulse.seen.get());
            assert!(admission.lag_nanos() < 2_000_000);
            assert!(admission.lag_shares().is_none());
        });
    }

    #[test]
    fn a_loop_that_is_held_up_turns_low_priority_away() {
        // In real time: what holds a loop up does not let virtual time pass.
        run(false, async {
            let (pulse, admission) = pulse();
            task::spawn(pulse.clone().run(|| Some(Duration::from_millis(10))));
            for _ in 0..12 {
                pulse.admits(|| Priority::High, || 0);
                tokio::time::sleep(Duration::from_millis(70)).await;
                std::thread::sleep(Duration::from_millis(70));
            }
            assert!(admission.lag_nanos() > 10_000_000, "{}", admission.lag_nanos());
            assert!(!pulse.admits(|| Priority::Low, || 0));
            assert!(pulse.admits(|| Priority::High, || 0));
            assert!(admission.shed(Cause::Lag, Priority::Low) > 0);
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert!(pulse.admits(|| Priority::Low, || 0), "it is over");
        });
    }
}
