//! What members say to each other.

use std::net::SocketAddr;

use super::member::{BUCKETS, Id, Record};

/// What every packet begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Who sends it.
    pub from: Id,
    /// When the sender's process started.
    pub generation: u64,
    /// The sender's view in a number.
    pub digest: u64,
    /// What an answer repeats.
    pub sequence: u32,
    /// What is asked or answered.
    pub kind: Kind,
}

/// What a packet asks or answers. News may follow in any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Are you there? Only the one named answers: its address may be another's by now.
    Ping(Id),
    /// It is there: the sender itself, or the one it was asked to probe.
    Ack(Id),
    /// Ask this one, there, for me.
    PingReq(Id, SocketAddr),
    /// I asked it as you wanted, and it has not answered yet.
    Nack,
    /// Only news.
    Gossip,
}

/// A piece of news about a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update<'a> {
    /// It lives, and this is what it says of itself.
    Alive(Profile<'a>, u32),
    /// It does not answer these, all in good health.
    Suspect(Stamp, Witnesses),
    /// It did not refute in time.
    Dead(Stamp),
    /// It said that it goes.
    Left(Stamp),
}

/// What a member says of itself, as it stands in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile<'a> {
    /// See [`Record::name`].
    pub name: &'a str,
    /// See [`Record::generation`].
    pub generation: u64,
    /// See [`Record::addr`].
    pub addr: SocketAddr,
    /// See [`Record::meta`].
    pub meta: &'a [u8],
}

impl Profile<'_> {
    pub(super) fn matches(&self, record: &Record) -> bool {
        self.generation == record.generation
            && self.addr == record.addr
            && *self.meta == *record.meta
            && *self.name == *record.name
    }
}

impl Record {
    pub(super) fn profile(&self) -> Profile<'_> {
        Profile { name: &self.name, generation: self.generation, addr: self.addr, meta: &self.meta }
    }
}

/// Whom, and in which life, a piece of news is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Whom.
    pub id: Id,
    /// Since its process started then.
    pub generation: u64,
    /// Since it last said something new of itself.
    pub incarnation: u32,
}

/// Most witnesses that a suspicion needs or names.
pub(super) const WITNESSES_MAX: usize = 4;

/// A member as a witness: enough of its number to tell two or three apart. Where two of them are
/// taken for one, the suspicion lasts longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark(pub u32);

impl From<Id> for Mark {
    fn from(id: Id) -> Self {
        Self(id.0 as u32)
    }
}

/// A few members, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Witnesses {
    marks: [Mark; WITNESSES_MAX],
    count: u8,
}

impl Witnesses {
    /// Those named, in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = Mark> + '_ {
        self.marks[..self.len()].iter().copied()
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether none is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds one; whether it is new and there was room.
    pub fn insert(&mut self, member: impl Into<Mark>) -> bool {
        let mark = member.into();
        if self.len() == WITNESSES_MAX || self.iter().any(|known| known == mark) {
            return false;
        }
        self.marks[self.len()] = mark;
        self.count += 1;
        true
    }
}

/// What goes over a stream, before the news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speech {
    /// Here is my view in parts; tell me what differs in yours. My own record follows.
    Compare(Box<[u64; BUCKETS]>),
    /// These parts differ (a bit each); all that I believe in them follows.
    Differ(u64),
    /// All that you had otherwise follows.
    Push,
    /// Thank you.
    Done,
    /// Are you there?
    Ping(Id),
    /// I am, in this life.
    Pong(Stamp),
}
