//! What was purged lately, so that a response that was under way while its URL or tag was purged is
//! not stored afterwards: it may be from before the change that the purge announced.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::entry::Entry;

/// Which entries to purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector<'a> {
    /// Every one.
    All,
    /// Those whose key is this name, or starts with it and a NUL byte.
    Name(&'a [u8]),
    /// Those whose key starts with these bytes.
    Prefix(&'a [u8]),
    /// Those that carry this tag.
    Tag(&'a [u8]),
}

impl Selector<'_> {
    /// Whether `entry` is meant.
    pub(crate) fn matches<V>(&self, entry: &Entry<V>) -> bool {
        match *self {
            Self::All => true,
            Self::Name(name) => entry.key().name() == name,
            Self::Prefix(prefix) => entry.key().as_bytes().starts_with(prefix),
            Self::Tag(tag) => entry.tags().any(|other| other == tag),
        }
    }
}

/// What becomes of the entries that are purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge {
    /// They are removed.
    Hard,
    /// They stay as stale content: good for stale-while-revalidate, stale-if-error and validation.
    Soft,
}

/// How many entries a purge met, and their weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Entries.
    pub entries: u64,
    /// The sum of their weights.
    pub weight: u64,
}

/// Since when a value is under way. Take one before asking for what will be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// The ticket of who has purged so many times since: those purges do not count against what is
    /// stored with it, unless somebody else's came first.
    #[must_use]
    pub const fn after(self, purges: u64) -> Self {
        Self(self.0 + purges)
    }
}

/// Names are told apart by so many bits of their hash: a fill is refused in vain once in so many
/// purges of single names that happen while it is under way.
const NAME_SLOTS: usize = 4_096;

/// So many purges of prefixes and tags are remembered. Fills from before that are refused.
const RECENT_MAX: usize = 256;

/// The memory of purges.
#[derive(Debug)]
pub(crate) struct PurgeLog {
    /// The number of purges so far.
    count: AtomicU64,
    /// The last purge of a name, by its hash.
    names: Box<[AtomicU64]>,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    purges: VecDeque<(u64, Pattern)>,
    /// The last purge that was forgotten.
    forgotten: u64,
}

#[derive(Debug)]
enum Pattern {
    All,
    Prefix(Box<[u8]>),
    Tag(Box<[u8]>),
}

impl Pattern {
    fn selector(&self) -> Selector<'_> {
        match self {
            Self::All => Selector::All,
            Self::Prefix(prefix) => Selector::Prefix(prefix),
            Self::Tag(tag) => Selector::Tag(tag),
        }
    }
}

impl PurgeLog {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            names: (0..NAME_SLOTS).map(|_| AtomicU64::new(0)).collect(),
            recent: Mutex::default(),
        }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.count.load(Ordering::SeqCst))
    }

    /// Notes a purge. Call it before the shards are purged: a fill that looks into the log too
    /// early is then found in its shard. `hash` is that of a name.
    pub(crate) fn record(&self, what: Selector<'_>, hash: impl Fn(&[u8]) -> u64) {
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let pattern = match what {
            Selector::Name(name) => {
                self.names[name_slot(hash(name))].fetch_max(count, Ordering::SeqCst);
                return;
            }
            Selector::All => Pattern::All,
            Selector::Prefix(prefix) => Pattern::Prefix(prefix.into()),
            Selector::Tag(tag) => Pattern::Tag(tag.into()),
        };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.purges.len() == RECENT_MAX
            && let Some((count, _)) = recent.purges.pop_front()
        {
            recent.forgotten = recent.forgotten.max(count);
        }
        recent.purges.push_back((count, pattern));
    }

    /// Whether `entry`, under way since `ticket`, may have been purged meanwhile.
    pub(crate) fn meets<V>(&self, entry: &Entry<V>, ticket: Ticket, name_hash: u64) -> bool {
        if self.ticket() == ticket {
            return false;
        }
        if self.names[name_slot(name_hash)].load(Ordering::SeqCst) > ticket.0 {
            return true;
        }
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.forgotten > ticket.0
            || recent
                .purges
                .iter()
                .any(|(count, pattern)| *count > ticket.0 && pattern.selector().matches(entry))
    }
}

const fn name_slot(hash: u64) -> usize {
    hash as usize % NAME_SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entry::{Fill, Key},
        time::Time,
    };

    fn entry(key: &str, tags: &[&str]) -> Entry<()> {
        let tags = tags.iter().map(|tag| tag.as_bytes().into()).collect();
        let fill = Fill { value: (), weight: 1, expires: Time::NEVER, tags };
        Entry::new(Key::from(key.as_bytes()), fill, 1)
    }

    fn hash(name: &[u8]) -> u64 {
        name.iter().map(|byte| u64::from(*byte)).sum()
    }

    #[test]
    fn meets_what_was_under_way_and_is_meant() {
        let log = PurgeLog::new();
        let page = entry("http://a/x\0QUERY", &["red", "blue"]);
        let purges = [
            (Selector::Name(b"http://a/x"), true),
            (Selector::Name(b"http://a/"), false),
            (Selector::Prefix(b"http://a/"), true),
            (Selector::Prefix(b"http://b/"), false),
            (Selector::Tag(b"blue"), true),
            (Selector::Tag(b"bl"), false),
            (Selector::All, true),
        ];
        for (what, expected) in purges {
            let before = log.ticket();
            log.record(what, hash);
            let met = |ticket| log.meets(&page, ticket, hash(b"http://a/x"));
            assert_eq!(met(before), expected, "{what:?}");
            assert!(!met(log.ticket()), "{what:?}");
        }
    }

    #[test]
    fn own_purges_do_not_count_and_those_of_others_do() {
        let (page, name) = (entry("http://a/x", &[]), Selector::Name(b"http://a/x"));
        let met = |log: &PurgeLog, ticket| log.meets(&page, ticket, hash(b"http://a/x"));
        let log = PurgeLog::new();
        let ticket = log.ticket();
        log.record(name, hash);
        assert!(met(&log, ticket) && !met(&log, ticket.after(1)));
        log.record(name, hash);
        assert!(met(&log, ticket.after(1)));
        let log = PurgeLog::new();
        log.record(Selector::All, hash);
        log.record(name, hash);
        assert!(met(&log, ticket.after(1)), "the other one was first");
    }

    #[test]
    fn refuses_what_it_cannot_know() {
        let log = PurgeLog::new();
        let before = log.ticket();
        for _ in 0..=RECENT_MAX {
            log.record(Selector::Tag(b"other"), hash);
        }
        let page = entry("http://a/x", &[]);
        assert!(log.meets(&page, before, hash(b"http://a/x")));
        assert!(log.recent.lock().unwrap().purges.len() <= RECENT_MAX);
    }
}
