//! What goes wrong, and when.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    backend::{Backend, Capacity, Mood},
    client::{self, PATIENCE, Sample},
    peers::Peer,
};
use crate::bench::server::free_port;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Story {
    /// One of ten answers 500 at once.
    Fails,
    /// One of ten takes requests and never answers.
    Hangs,
    /// One of ten is killed and later started again.
    Killed,
    /// All are killed for a while.
    Down,
    /// All are stopped for a while, and then find their queues.
    Frozen,
}

/// How long all backends are gone.
pub(super) const OUTAGE: Duration = Duration::from_secs(10);
/// When something goes wrong that was not wrong from the start.
pub(super) const BEFORE: Duration = Duration::from_secs(5);
/// How long is looked at what follows.
const AFTER: Duration = Duration::from_secs(15);

impl Story {
    pub(super) const ALL: [Self; 5] =
        [Self::Fails, Self::Hangs, Self::Killed, Self::Down, Self::Frozen];

    /// The story called `name`.
    pub(super) fn of(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|story| story.name() == name);
        let names = Self::ALL.map(Self::name).join(" ");
        found.ok_or_else(|| format!("no story `{name}`; there are {names}"))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Fails => "fails",
            Self::Hangs => "hangs",
            Self::Killed => "killed",
            Self::Down => "down",
            Self::Frozen => "frozen",
        }
    }

    /// In a line.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Fails => "One of ten backends answers 500 at once, 1,000 requests/s",
            Self::Hangs => "One of ten backends never answers, 1,000 requests/s",
            Self::Killed => "One of ten backends is killed and comes back, 2,000 requests/s",
            Self::Down => "All backends are killed for 10 s, 80 % of capacity",
            Self::Frozen => "All backends are frozen for 10 s, 80 % of capacity",
        }
    }

    /// Whether all backends are gone for [`OUTAGE`].
    pub(super) const fn is_outage(self) -> bool {
        matches!(self, Self::Down | Self::Frozen)
    }

    const fn rate(self) -> u32 {
        match self {
            Self::Fails | Self::Hangs => 1_000,
            Self::Killed => 2_000,
            // 80 % of what four backends can do, six requests at a time, 20 ms each.
            Self::Down | Self::Frozen => 960,
        }
    }

    fn backends(self) -> Result<Vec<Backend>, String> {
        let (count, capacity) = match self.is_outage() {
            true => (4, Capacity { at_once: 6, work: Duration::from_millis(20) }),
            false => (10, Capacity { at_once: 1_000, work: Duration::from_millis(5) }),
        };
        let mood = |nth| match (nth, self) {
            (0, Self::Fails) => Mood::Fails,
            (0, Self::Hangs) => Mood::Hangs,
            _ => Mood::Well,
        };
        (0..count).map(|nth| Backend::new(free_port()?, mood(nth), capacity)).collect()
    }

    /// Tells the story to `peer`; `length` is that of the stories without an outage.
    pub(super) fn run(
        self,
        peer: &Peer,
        length: Duration,
        folder: &Path,
    ) -> Result<Vec<Sample>, String> {
        let mut backends = self.backends()?;
        for backend in &mut backends {
            backend.start(folder)?;
        }
        let running = peer.start(&backends, folder)?;
        let length = if self.is_outage() { BEFORE + OUTAGE + AFTER } else { length };
        // In an outage clients turn away early and come again: their requests are new ones here.
        let patience = if self.is_outage() { Duration::from_secs(2) } else { PATIENCE };
        let (port, rate) = (running.port, self.rate());
        let start = Instant::now();
        let load = thread::spawn(move || client::send(port, rate, length, patience));
        let at = |when: Duration| {
            thread::sleep((start + when).saturating_duration_since(Instant::now()))
        };
        match self {
            Self::Fails | Self::Hangs => {}
            Self::Killed => {
                at(length / 3);
                backends[0].kill()?;
                at(length * 2 / 3);
                backends[0].start(folder)?;
            }
            Self::Down => {
                at(BEFORE);
                backends.iter_mut().try_for_each(Backend::kill)?;
                at(BEFORE + OUTAGE);
                backends.iter_mut().try_for_each(|backend| backend.start(folder))?;
            }
            Self::Frozen => {
                at(BEFORE);
                backends.iter().try_for_each(|backend| backend.signal("STOP"))?;
                at(BEFORE + OUTAGE);
                backends.iter().try_for_each(|backend| backend.signal("CONT"))?;
            }
        }
        load.join().map_err(|_| "the client panicked")?
    }
}
