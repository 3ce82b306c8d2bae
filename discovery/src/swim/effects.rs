//! What comes into the machine and what goes out of it, as data.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::member::{Record, State};

/// A moment: so long after an origin of the caller's choice. It must never step back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// So many microseconds after the origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; none if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A length of time in the unit that the machine reckons in.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

/// What happened outside.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The moment that was asked for has come.
    Timeout,
    /// A packet arrived, authenticated and decrypted.
    Packet(SocketAddr, &'a [u8]),
    /// Someone opened a stream and said this. The answer bears the same ticket.
    Request(u64, &'a [u8]),
    /// The stream of this call brought an answer.
    Response(u64, &'a [u8]),
    /// The stream of this call could not be opened, broke, or took over ten seconds.
    Failed(u64),
}

/// Something to be said over a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speak {
    /// Open a stream to there, say this, and hand the answer in as [`Input::Response`] of `call`,
    /// or [`Input::Failed`]. One of the two must come.
    Call {
        /// Where to.
        to: SocketAddr,
        /// What the answer will be called by.
        call: u64,
        /// What to say.
        body: Vec<u8>,
    },
    /// Say this on the stream that [`Input::Request`] came by, and close it.
    Answer {
        /// Of which request.
        ticket: u64,
        /// What to say.
        body: Vec<u8>,
    },
}

/// Something worth knowing happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A member is believed to be in another state, another life or another place than before.
    Member(Change),
    /// This process stood still for so long. Nobody is blamed for it.
    Stalled(Duration),
    /// This member hears, or is heard, too badly to be one: it has left until it does better.
    Aside,
    /// It is a member again.
    Back,
    /// Another live process goes by the same name: this machine is silent from here on.
    Superseded,
}

/// How the belief in a member changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it says of itself.
    pub record: Arc<Record>,
    /// Since it last said something new.
    pub incarnation: u32,
    /// What is believed now.
    pub state: State,
    /// What was believed before; `None` when it was not known.
    pub was: Option<State>,
}

/// What is to be done. Kept by the caller and cleared between inputs, so that nothing is allocated.
#[derive(Debug, Default)]
pub struct Effects {
    bytes: Vec<u8>,
    packets: Vec<(SocketAddr, usize)>,
    /// Streams to use, in order.
    pub streams: Vec<Speak>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

impl Effects {
    /// Forgets all of it.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
        self.streams.clear();
        self.events.clear();
    }

    /// The packets to send, in order.
    pub fn packets(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.packets.iter().enumerate().map(|(at, (to, end))| {
            let start = at.checked_sub(1).map_or(0, |before| self.packets[before].1);
            (*to, &self.bytes[start..*end])
        })
    }

    /// Adds a packet of what `write` appends, and says how long it is.
    pub(super) fn packet(&mut self, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.packets.push((to, self.bytes.len()));
    }
}
