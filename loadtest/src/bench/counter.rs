//! What all threads counted, and the line that tells of it while they run.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use super::{args::Plan, tally::Tally};
use crate::clock;

/// How often the thread that shows looks whether all is over.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// Filled by workers now and then, read by the first thread.
#[derive(Debug, Default)]
pub(super) struct Counters {
    total: Mutex<Tally>,
    stopped: AtomicBool,
}

impl Counters {
    /// Takes in what a worker counted since the last time, and empties it.
    pub(super) fn take(&self, tally: &mut Tally) {
        let tally = std::mem::take(tally);
        self.total.lock().unwrap_or_else(PoisonError::into_inner).merge(&tally);
    }

    /// All so far.
    pub(super) fn total(&self) -> Tally {
        self.total.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing new is to begin.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Whether nothing new is to begin.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// Shows what was counted until `is_over`. Whether a signal ended it.
    pub(super) fn watch(
        &self,
        plan: &Plan,
        begun: Instant,
        every: Duration,
        is_over: impl Fn() -> bool,
    ) -> bool {
        let terminal = std::io::stderr().is_terminal();
        let (mut due, mut shown) = (begun + every, 0);
        while !is_over() {
            thread::sleep(LOOKS_EVERY);
            let now = clock::now();
            if now < due || !terminal {
                continue;
            }
            due += every;
            let total = self.total();
            let done = total.answered();
            let rate = (done - shown) as f64 / every.as_secs_f64();
            shown = done;
            eprint!(
                "\r\x1b[K{:>4.0} s  {rate:>9.0}/s  p50 {:.3} ms  p99 {:.3} ms  {} failed  {}",
                (now - begun).as_secs_f64(),
                total.service.percentile(50.0),
                total.service.percentile(99.0),
                total.failed(),
                plan.target.url(),
            );
            // A terminal that is gone shows nothing; the report goes elsewhere.
            let _ = std::io::stderr().flush();
        }
        if terminal {
            eprint!("\r\x1b[K");
        }
        self.is_stopped()
    }
}
