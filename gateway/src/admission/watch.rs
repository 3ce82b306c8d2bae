//! The control thread's part: looks at the memory, and says in the log when turning away begins and
//! ends.

use std::{path::Path, sync::Arc, time::Duration};

use weir_config::model::MemoryLimit;

use super::{
    Admission, Cause, Memory,
    memory::{self, Resident},
    pressure::{Pressure, Shares},
};
use crate::snapshot::live::Live;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(250);
/// Looks after which the machine's own bound is read again: somebody may move it.
const BOUND_EVERY: u32 = 40;
/// Looks without anybody turned away after which it is over.
const QUIET: u32 = 20;

/// Looks for ever.
pub(crate) async fn watch(live: Arc<Live>) {
    let mut watch = Watch::new(live.admission.clone());
    loop {
        watch.look(live.snapshot().limits.memory, Path::new("/"));
        tokio::time::sleep(LOOK).await;
    }
}

#[derive(Debug)]
struct Watch {
    admission: Arc<Admission>,
    pressure: Pressure,
    resident: Option<Resident>,
    /// What the machine allows, and for how many looks that is believed.
    bound: (Option<u64>, u32),
    memory: Episode,
    lag: Episode,
}

impl Watch {
    fn new(admission: Arc<Admission>) -> Self {
        Self {
            admission,
            pressure: Pressure::of_memory(),
            resident: None,
            bound: (None, 0),
            memory: Episode::default(),
            lag: Episode::default(),
        }
    }

    fn look(&mut self, limit: MemoryLimit, root: &Path) {
        let bound = match limit {
            MemoryLimit::Off => None,
            MemoryLimit::Bytes(bytes) => Some(bytes.max(1)),
            MemoryLimit::Auto => self.machine(root),
        };
        let memory = bound.and_then(|bound| {
            let resident = match &self.resident {
                Some(open) => open.bytes()?,
                None => self.resident.insert(Resident::open(root)?).bytes()?,
            };
            Some(Memory { resident, bound })
        });
        let shares = self.pressure.update(memory.map_or(0.0, Memory::ratio));
        self.admission.set_memory(memory, shares);
        self.report(memory, shares);
    }

    fn machine(&mut self, root: &Path) -> Option<u64> {
        if self.bound.1 == 0 {
            self.bound = (memory::bound(root), BOUND_EVERY);
        }
        self.bound.1 -= 1;
        self.bound.0
    }

    fn report(&mut self, memory: Option<Memory>, shares: Shares) {
        let (resident, bound) = memory.map_or((0, 0), |memory| (memory.resident, memory.bound));
        match self.memory.look(self.admission.shed_for(Cause::Memory), !shares.is_none()) {
            Some(Turn::Began) => tracing::warn!(
                resident,
                bound,
                "memory is short: requests are turned away, those of low priority first"
            ),
            Some(Turn::Ended(shed)) => {
                tracing::info!(resident, bound, shed, "memory is enough again");
            }
            None => {}
        }
        let pressed = !self.admission.lag_shares().is_none();
        match self.lag.look(self.admission.shed_for(Cause::Lag), pressed) {
            Some(Turn::Began) => {
                let lag = Duration::from_nanos(self.admission.lag_nanos());
                tracing::warn!(
                    ?lag,
                    "workers are late: requests are turned away, those of low priority first"
                );
            }
            Some(Turn::Ended(shed)) => tracing::info!(shed, "workers are on time again"),
            None => {}
        }
    }
}

/// A time in which requests are turned away for one cause.
#[derive(Debug, Default)]
struct Episode {
    /// Requests turned away by the last look.
    shed: u64,
    /// What that was when it began.
    before: Option<u64>,
    quiet: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Began,
    /// With so many requests turned away.
    Ended(u64),
}

impl Episode {
    /// `shed` requests were turned away so far; whether `pressed` to go on.
    fn look(&mut self, shed: u64, pressed: bool) -> Option<Turn> {
        let last = std::mem::replace(&mut self.shed, shed);
        self.quiet = if shed > last || pressed { 0 } else { self.quiet + 1 };
        match self.before {
            None if shed > last => {
                self.before = Some(last);
                Some(Turn::Began)
            }
            Some(before) if self.quiet >= QUIET => {
                self.before = None;
                Some(Turn::Ended(shed - before))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;
    use weir_config::model::Priority;

    use super::*;

    #[test]
    fn an_episode_has_one_beginning_and_one_end() {
        let mut episode = Episode::default();
        assert_eq!(episode.look(0, true), None, "nobody was turned away yet");
        assert_eq!(episode.look(5, true), Some(Turn::Began));
        for shed in 6..100 {
            assert_eq!(episode.look(shed, shed % 2 == 0), None);
        }
        for _ in 1..QUIET {
            assert_eq!(episode.look(99, false), None);
        }
        assert_eq!(episode.look(99, false), Some(Turn::Ended(99)));
        assert_eq!(episode.look(99, false), None);
        assert_eq!(episode.look(100, false), Some(Turn::Began));
    }

    #[test]
    fn memory_is_held_against_whichever_bound_there_is() {
        let root = TempDir::new().unwrap();
        let proc = root.path().join("proc/self");
        fs::create_dir_all(&proc).unwrap();
        fs::write(root.path().join("proc/meminfo"), "MemTotal: 1000 kB\n").unwrap();
        let resident =
            |kib: u32| fs::write(proc.join("status"), format!("VmRSS: {kib} kB\n")).unwrap();
        let admission = Arc::<Admission>::default();
        let mut watch = Watch::new(admission.clone());
        let mut look = |kib, limit| {
            resident(kib);
            watch.look(limit, root.path());
            let shares = admission.memory_shares();
            (admission.memory().map(|memory| memory.bound >> 10), shares.of(Priority::Low))
        };
        assert_eq!(look(500, MemoryLimit::Auto), (Some(1000), 0));
        assert_eq!(look(920, MemoryLimit::Auto), (Some(1000), 256));
        assert_eq!(look(920, MemoryLimit::Bytes(2 << 20)), (Some(2048), 0));
        assert_eq!(look(920, MemoryLimit::Bytes(0)), (Some(0), 256));
        assert_eq!(look(920, MemoryLimit::Off), (None, 0));
    }
}
