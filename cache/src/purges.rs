//! What was purged lately, so that a response that was under way while its URL or tag was purged is
//! not stored afterwards: it may be from before the change that the purge announced.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::entry::{Entry, Key};

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

/// How many purges of single names are remembered, by their hashes. Only where two of them meet in
/// one place while a fill of a third name there is under way is that refused in vain.
const NAME_SLOTS: usize = 4_096;

/// Bits of a hash that tell the name of the last purge in a place from others.
const MARK_BITS: u32 = 16;

/// So many purges of prefixes and tags are remembered. Fills from before that are refused.
const RECENT_MAX: usize = 256;

/// The memory of purges.
#[derive(Debug)]
pub(crate) struct PurgeLog {
    /// The number of purges so far.
    count: AtomicU64,
    /// The last purges of names, by their hashes.
    names: Box<[NameSlot]>,
    recent: Mutex<Recent>,
}

/// The last purges of names whose hashes have the same place.
#[derive(Debug, Default)]
struct NameSlot {
    /// The number of the last one, and in the low bits the mark of its name.
    last: AtomicU64,
    /// The number of the last one of another name before it.
    others: AtomicU64,
}

impl NameSlot {
    /// Notes a purge. One at a time.
    fn record(&self, count: u64, hash: u64) {
        let last = self.last.load(Ordering::SeqCst);
        if last & mark(u64::MAX) != mark(hash) {
            // First: who sees the new name does not miss the old one.
            self.others.store(last >> MARK_BITS, Ordering::SeqCst);
        }
        self.last.store(count << MARK_BITS | mark(hash), Ordering::SeqCst);
    }

    /// Whether a name with this hash may have been purged after the purge of this number.
    fn meets(&self, hash: u64, count: u64) -> bool {
        let last = self.last.load(Ordering::SeqCst);
        let is_same = last & mark(u64::MAX) == mark(hash);
        (is_same && last >> MARK_BITS > count) || self.others.load(Ordering::SeqCst) > count
    }
}

/// Bits that choose no place.
const fn mark(hash: u64) -> u64 {
    hash >> (u64::BITS - MARK_BITS)
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
            names: (0..NAME_SLOTS).map(|_| NameSlot::default()).collect(),
            recent: Mutex::default(),
        }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.count.load(Ordering::SeqCst))
    }

    /// Notes a purge. Call it before the shards are purged: a fill that looks into the log too
    /// early is then found in its shard. `hash` is that of a name.
    pub(crate) fn record(&self, what: Selector<'_>, hash: impl Fn(&[u8]) -> u64) {
        let mut recent = self.lock();
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let pattern = match what {
            Selector::Name(name) => {
                let hash = hash(name);
                return self.names[name_slot(hash)].record(count, hash);
            }
            Selector::All => Pattern::All,
            Selector::Prefix(prefix) => Pattern::Prefix(prefix.into()),
            Selector::Tag(tag) => Pattern::Tag(tag.into()),
        };
        if recent.purges.len() == RECENT_MAX
            && let Some((count, _)) = recent.purges.pop_front()
        {
            recent.forgotten = recent.forgotten.max(count);
        }
        recent.purges.push_back((count, pattern));
    }

    /// Notes the purge of a name by who has something of it under way since `ticket`, as
    /// [`Self::record`] does; the ticket to store that with. What others have purged since, and may
    /// concern it, still counts.
    pub(crate) fn record_own(&self, name_hash: u64, ticket: Ticket) -> Ticket {
        let recent = self.lock();
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let slot = &self.names[name_slot(name_hash)];
        let last = recent.purges.back().map_or(recent.forgotten, |(count, _)| *count);
        let others = last > ticket.0 || slot.meets(name_hash, ticket.0);
        slot.record(count, name_hash);
        if others { ticket } else { Ticket(count) }
    }

    /// Whoever counts holds it, so that what is noted is in order.
    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `entry`, under way since `ticket`, may have been purged meanwhile.
    pub(crate) fn meets<V>(&self, entry: &Entry<V>, ticket: Ticket, name_hash: u64) -> bool {
        self.meets_what(ticket, name_hash, |what| what.matches(entry))
    }

    /// Whether what is under way to `key` since `ticket` may have been purged meanwhile, whose tags
    /// are these: where they are not known yet, any may be one of them.
    pub(crate) fn meets_key(
        &self,
        (key, name_hash): (&Key, u64),
        tags: Option<&[Box<[u8]>]>,
        ticket: Ticket,
    ) -> bool {
        self.meets_what(ticket, name_hash, |what| match what {
            Selector::All => true,
            Selector::Name(name) => key.name() == name,
            Selector::Prefix(prefix) => key.as_bytes().starts_with(prefix),
            Selector::Tag(tag) => tags.is_none_or(|tags| tags.iter().any(|other| **other == *tag)),
        })
    }

    fn meets_what(
        &self,
        ticket: Ticket,
        name_hash: u64,
        is_meant: impl Fn(Selector<'_>) -> bool,
    ) -> bool {
        if self.ticket() == ticket {
            return false;
        }
        if self.names[name_slot(name_hash)].meets(name_hash, ticket.0) {
            return true;
        }
        let recent = self.lock();
        recent.forgotten > ticket.0
            || recent
                .purges
                .iter()
                .any(|(count, pattern)| *count > ticket.0 && is_meant(pattern.selector()))
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
    fn what_has_no_tags_yet_may_have_any() {
        let (log, key) = (PurgeLog::new(), Key::from(&b"http://a/x\0r"[..]));
        let (before, tags) = (log.ticket(), [b"red"[..].into()]);
        let met = |tags| log.meets_key((&key, hash(b"http://a/x")), tags, before);
        for what in [Selector::Name(b"http://a/y"), Selector::Prefix(b"http://b/")] {
            log.record(what, hash);
        }
        assert!(!met(None));
        log.record(Selector::Tag(b"blue"), hash);
        assert!(met(None) && !met(Some(&tags)) && !met(Some(&[])));
        log.record(Selector::Tag(b"red"), hash);
        assert!(met(Some(&tags)) && !met(Some(&[])));
        log.record(Selector::Prefix(b"http://a/"), hash);
        assert!(met(Some(&[])));
    }

    #[test]
    fn names_in_one_place_are_told_apart() {
        let log = PurgeLog::new();
        let page = entry("x", &[]);
        let (x, y, z) = (7, 7 | 1 << 63, 7 | 1 << 62);
        assert!(name_slot(x) == name_slot(y) && name_slot(x) == name_slot(z));
        let before = log.ticket();
        log.record(Selector::Name(b"y"), |_| y);
        assert!(!log.meets(&page, before, x) && log.meets(&page, before, y));
        log.record(Selector::Name(b"x"), |_| x);
        assert!(log.meets(&page, before, x) && log.meets(&page, before, y));
        assert!(log.meets(&page, before, z), "in vain, for it could have been the one before");
        let after = log.ticket();
        log.record(Selector::Name(b"x"), |_| x);
        assert!(log.meets(&page, after, x) && !log.meets(&page, after, y));
    }

    #[test]
    fn own_purges_do_not_count_and_those_of_others_do() {
        let (page, name) = (entry("http://a/x", &[]), Selector::Name(b"http://a/x"));
        let own = hash(b"http://a/x");
        let met = |log: &PurgeLog, ticket| log.meets(&page, ticket, own);
        for others in [name, Selector::All, Selector::Tag(b"any"), Selector::Prefix(b"http://b/")] {
            let log = PurgeLog::new();
            let ticket = log.ticket();
            log.record(Selector::Name(b"http://a/other"), hash);
            let mine = log.record_own(own, ticket);
            assert!(met(&log, ticket) && !met(&log, mine));
            log.record(others, hash);
            let meant = matches!(others, Selector::Name(_) | Selector::All);
            assert_eq!(met(&log, mine), meant, "{others:?} came later");

            let log = PurgeLog::new();
            log.record(others, hash);
            assert!(met(&log, log.record_own(own, ticket)), "{others:?} came first");
        }
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
