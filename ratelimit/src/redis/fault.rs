//! What goes wrong with a server, sorted by what it says of the next request.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a server gave no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No connection, or it broke, or leads to something that is no Redis.
    Down,
    /// No answer in time, or busy with something else.
    Slow,
    /// It may not write: a replica, or its disk is full.
    ReadOnly,
    /// It has no memory left to write.
    Memory,
    /// A key holds something that is not ours.
    WrongType,
    /// It knows us not, or allows us not.
    Refused,
    /// Anything else, replies that make no sense among it.
    Other,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Down,
        Self::Slow,
        Self::ReadOnly,
        Self::Memory,
        Self::WrongType,
        Self::Refused,
        Self::Other,
    ];

    /// Its name, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Slow => "slow",
            Self::ReadOnly => "read_only",
            Self::Memory => "out_of_memory",
            Self::WrongType => "wrong_type",
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }

    /// Whether the next request is likely to meet it too. One key's trouble is not the server's.
    pub(super) const fn is_lasting(self) -> bool {
        match self {
            Self::Down | Self::Slow | Self::ReadOnly | Self::Memory | Self::Refused => true,
            Self::WrongType | Self::Other => false,
        }
    }

    /// Whether the server said that it cannot write, though it may read.
    pub(super) const fn is_unwritable(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Memory)
    }
}

impl From<&RedisError> for Fault {
    fn from(error: &RedisError) -> Self {
        // A script's error carries the code of the command in it that failed.
        let by_code = match error.code() {
            Some("READONLY" | "MISCONF" | "NOREPLICAS") => Some(Self::ReadOnly),
            Some("OOM") => Some(Self::Memory),
            Some("WRONGTYPE") => Some(Self::WrongType),
            Some("BUSY") => Some(Self::Slow),
            // Two keys of a slot that is on its way: the trouble of this request.
            Some("TRYAGAIN") => Some(Self::Other),
            Some("LOADING" | "MASTERDOWN" | "CLUSTERDOWN") => Some(Self::Down),
            Some("NOAUTH" | "NOPERM" | "WRONGPASS") => Some(Self::Refused),
            _ => None,
        };
        by_code.unwrap_or_else(|| match error.kind() {
            _ if error.is_timeout() => Self::Slow,
            // What speaks another language is no Redis, to nobody.
            ErrorKind::Io | ErrorKind::Parse => Self::Down,
            ErrorKind::AuthenticationFailed => Self::Refused,
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Refused,
            _ => Self::Other,
        })
    }
}
