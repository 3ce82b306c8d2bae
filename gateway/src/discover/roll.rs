//! What the membership comes to for everybody else: how many gateways there are, who came and
//! went, and what to show of it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

use weir_discovery::{
    announce::{Announcement, Kind},
    swim::{Record, State},
    udp::{Handle, View},
};

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was not known before.
    Joined,
    /// It is suspected to be dead, and may refute.
    Suspected,
    /// It answers again, or has started anew.
    Returned,
    /// It did not refute in time.
    Died,
    /// It said that it goes.
    Left,
}

impl Change {
    /// All of them, in the order of [`Roll::changes`].
    pub(crate) const ALL: [Self; 5] =
        [Self::Joined, Self::Suspected, Self::Returned, Self::Died, Self::Left];

    /// The word for it in metrics and the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Suspected => "suspected",
            Self::Returned => "returned",
            Self::Died => "dead",
            Self::Left => "left",
        }
    }
}

/// The membership as others of this process see it.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    /// Gateways that live, this one among them; 0 while nobody knows.
    gateways: Arc<AtomicU32>,
    changes: [AtomicU64; Change::ALL.len()],
    standing: Mutex<Option<Arc<Standing>>>,
}

/// The part that this gateway takes.
#[derive(Debug)]
pub(crate) struct Standing {
    /// What it is called.
    pub(crate) name: String,
    /// What the membership is called.
    pub(crate) label: String,
    /// When it started, in milliseconds since 1970.
    pub(crate) generation_ms: u64,
    /// Whether all that is said is sealed.
    pub(crate) sealed: bool,
    /// What it believes.
    pub(crate) handle: Handle,
    superseded: AtomicBool,
}

impl Standing {
    /// A part that begins.
    pub(crate) const fn new(
        name: String,
        label: String,
        generation_ms: u64,
        sealed: bool,
        handle: Handle,
    ) -> Self {
        let superseded = AtomicBool::new(false);
        Self { name, label, generation_ms, sealed, handle, superseded }
    }

    /// Whether it is over because another live process has the name.
    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.load(Relaxed)
    }
}

impl Roll {
    /// How many gateways live, this one among them, for the limiter: 0 while nobody knows.
    pub(crate) const fn gateways(&self) -> &Arc<AtomicU32> {
        &self.gateways
    }

    /// How often members were seen to change, in the order of [`Change::ALL`].
    pub(crate) fn changes(&self) -> [u64; Change::ALL.len()] {
        std::array::from_fn(|at| self.changes[at].load(Relaxed))
    }

    /// The part that this gateway takes, or took until another process had its name.
    pub(crate) fn standing(&self) -> Option<Arc<Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A part begins.
    pub(super) fn begin(&self, standing: Arc<Standing>) {
        self.stand(Some(standing));
    }

    /// There is none any more.
    pub(crate) fn end(&self) {
        self.stand(None);
    }

    fn stand(&self, standing: Option<Arc<Standing>>) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
        self.gateways.store(0, Relaxed);
    }

    /// Another process has the name: whom it sees is not known here any more.
    pub(super) fn superseded(&self) {
        if let Some(standing) = self.standing() {
            standing.superseded.store(true, Relaxed);
        }
        self.gateways.store(0, Relaxed);
    }

    /// So many gateways live, as `standing` has it: nothing, if that is over.
    pub(super) fn count(&self, standing: &Arc<Standing>, gateways: u32) {
        let now = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = now.as_ref().is_some_and(|now| Arc::ptr_eq(now, standing));
        if current && !standing.is_superseded() {
            self.gateways.store(gateways, Relaxed);
        }
    }

    pub(super) fn note(&self, change: Change) {
        self.changes[change as usize].fetch_add(1, Relaxed);
    }
}

/// What was seen last of each member, by name.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<Known>);

#[derive(Debug)]
struct Known {
    record: Arc<Record>,
    state: State,
    kind: Option<Kind>,
}

impl Seen {
    /// Takes a view in, and tells what changed of whom but `own`.
    pub(super) fn take(&mut self, view: &View, own: &str, mut tell: impl FnMut(Change, &Record)) {
        let mut next = Vec::with_capacity(view.members.len());
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        for member in &view.members {
            let record = &member.record;
            // Both are by name; those in between were forgotten.
            while before.next_if(|known| known.record.name < record.name).is_some() {}
            let known = before.next_if(|known| known.record.name == record.name);
            if let Some(change) = change(known.as_ref(), record, member.state)
                && *record.name != *own
            {
                tell(change, record);
            }
            let same = known.filter(|known| Arc::ptr_eq(&known.record, record));
            let kind = same.map_or_else(|| kind(record), |known| known.kind);
            next.push(Known { record: Arc::clone(record), state: member.state, kind });
        }
        self.0 = next;
    }

    /// The gateways that live.
    pub(super) fn gateways(&self) -> u32 {
        let live = |known: &&Known| known.state.is_live() && known.kind == Some(Kind::Gateway);
        u32::try_from(self.0.iter().filter(live).count()).unwrap_or(u32::MAX)
    }
}

/// What a member is, if it says so.
fn kind(record: &Record) -> Option<Kind> {
    Announcement::decode(&record.meta).map(|announcement| announcement.kind)
}

fn change(known: Option<&Known>, record: &Record, state: State) -> Option<Change> {
    let Some(known) = known else {
        // Whoever was dead before this gateway came is no news.
        return state.is_live().then_some(Change::Joined);
    };
    let anew = known.record.generation != record.generation;
    match state {
        State::Alive => (anew || known.state != State::Alive).then_some(Change::Returned),
        _ if state == known.state => None,
        State::Suspect => Some(Change::Suspected),
        State::Dead => Some(Change::Died),
        State::Left => Some(Change::Left),
    }
}

#[cfg(test)]
mod tests;
