//! Where keys are kept: in this process, or on servers that gateways share.

use std::{rc::Rc, sync::Arc, time::Duration};

use http::StatusCode;

use super::{
    fingerprint::Fingerprint,
    key::RecordKey,
    memory::Memory,
    record::{Outcome, Recording},
    redis::RedisStore,
    state::{Claimed, Fence, Phase, Slot, Terms},
};
use crate::clock::Tick;

/// A store, as one worker has it.
#[derive(Debug, Clone)]
pub enum Store {
    /// For this process alone.
    Memory(Arc<Memory>),
    /// For all gateways that use the same servers.
    Redis(Rc<RedisStore>),
}

/// Why a store gave no answer. What was asked for may have been done all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StoreDown {
    /// No room, and nothing that may be forgotten.
    #[error("the store of idempotency keys is full")]
    Full,
    /// No connection, or it broke.
    #[error("the store of idempotency keys is down")]
    Down,
    /// No answer in time.
    #[error("the store of idempotency keys is slow")]
    Slow,
    /// It may not write.
    #[error("the store of idempotency keys is read-only")]
    ReadOnly,
    /// The key holds something that is not ours, or what is not known here.
    #[error("the store of idempotency keys holds something else under the key")]
    Foreign,
    /// It knows us not, or allows us not.
    #[error("the store of idempotency keys refuses us")]
    Refused,
    /// Anything else.
    #[error("the store of idempotency keys gives no answer that makes sense")]
    Other,
}

/// What an operator sees of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Where it is.
    pub standing: Standing,
    /// Number of its latest claim.
    pub fence: u64,
    /// Until it is forgotten.
    pub expires_in: Duration,
}

/// Where a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Somebody runs its request.
    InFlight {
        /// Until the lease is over, unless it is renewed.
        left: Duration,
    },
    /// It may have run.
    Unknown,
    /// It ran, with this status; the body may be kept or not.
    Done {
        /// Of the response.
        status: StatusCode,
        /// Whether it can be said again.
        replayable: bool,
    },
}

/// What came of deleting a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is forgotten: its request may run again.
    Forgotten,
    /// There was none.
    Absent,
    /// Its request is under way, so it is kept.
    InFlight,
}

/// What a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Keys.
    pub keys: u64,
    /// Keys that it holds at the most.
    pub keys_max: u64,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that it holds at the most.
    pub bytes_max: u64,
}

impl Seen {
    pub(super) fn of(slot: &Slot<Arc<Recording>>, now: Tick) -> Self {
        let standing = match slot.phase(now) {
            Phase::InFlight { until } => Standing::InFlight { left: until.since(now) },
            Phase::Unknown => Standing::Unknown,
            Phase::Done(recording) => Standing::Done {
                status: recording.status(),
                replayable: matches!(recording.body(), Outcome::Whole(_)),
            },
        };
        let expires_in = slot.expires().since(now);
        Self { standing, fence: slot.fence().number(), expires_in }
    }
}

impl StoreDown {
    /// Its name, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Down => "down",
            Self::Slow => "slow",
            Self::ReadOnly => "read_only",
            Self::Foreign => "foreign",
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }
}

/// Each change takes effect wholly or not at all, and alone; see [`Slot`] for what it means. An
/// error leaves open whether it did.
impl Store {
    /// Asks for the right to run a request.
    ///
    /// # Errors
    /// No answer. Unless `terms` say that the request runs all the same it must not, and the store
    /// takes back what it may have granted, so that the next request need not find it unknown.
    pub async fn claim(
        &self,
        key: &RecordKey,
        print: &Fingerprint,
        terms: &Terms,
        now: Tick,
    ) -> Result<Claimed, StoreDown> {
        match self {
            Self::Memory(memory) => memory.claim(key, print, terms, now),
            Self::Redis(redis) => redis.claim(key, print, terms, now).await,
        }
    }

    /// The holder is still at it; false if it is the holder no more.
    ///
    /// # Errors
    /// No answer: the lease may or may not be longer. Ask again.
    pub async fn renew(
        &self,
        key: &RecordKey,
        fence: Fence,
        terms: &Terms,
        now: Tick,
    ) -> Result<bool, StoreDown> {
        match self {
            Self::Memory(memory) => Ok(memory.renew(key, fence, terms, now)),
            Self::Redis(redis) => redis.renew(key, fence, terms, now).await,
        }
    }

    /// It ran, and this came of it; false if the lease was over: the outcome stays unknown.
    ///
    /// Where there is no room for the body a tombstone is kept.
    ///
    /// # Errors
    /// No answer. Saying it again does no harm.
    pub async fn complete(
        &self,
        key: &RecordKey,
        fence: Fence,
        recording: Arc<Recording>,
        terms: &Terms,
        now: Tick,
    ) -> Result<bool, StoreDown> {
        match self {
            Self::Memory(memory) => Ok(memory.complete(key, fence, recording, terms, now)),
            Self::Redis(redis) => redis.complete(key, fence, &recording, terms, now).await,
        }
    }

    /// Nothing was sent: the next request with this key runs. False if it is not the holder.
    ///
    /// # Errors
    /// No answer.
    pub async fn release(
        &self,
        key: &RecordKey,
        fence: Fence,
        terms: &Terms,
        now: Tick,
    ) -> Result<bool, StoreDown> {
        match self {
            Self::Memory(memory) => Ok(memory.release(key, fence, terms, now)),
            Self::Redis(redis) => redis.release(key, fence, terms, now).await,
        }
    }

    /// It was sent, and nobody will ever say what came of it: unknown from now on, rather than
    /// when the lease is over.
    ///
    /// # Errors
    /// No answer. Saying it again does no harm.
    pub async fn forsake(
        &self,
        key: &RecordKey,
        fence: Fence,
        terms: &Terms,
        now: Tick,
    ) -> Result<bool, StoreDown> {
        match self {
            Self::Memory(memory) => Ok(memory.forsake(key, fence, terms, now)),
            Self::Redis(redis) => redis.forsake(key, fence, terms, now).await,
        }
    }

    /// Waits until a key that was in flight may be so no more, or until `until`. Claim again then.
    pub async fn settled(&self, key: &RecordKey, until: Tick, now: Tick) {
        match self {
            Self::Memory(memory) => memory.settled(key, until, now).await,
            Self::Redis(redis) => redis.settled(key, until, now).await,
        }
    }

    /// What is known of a key; `None` is nothing.
    ///
    /// # Errors
    /// No answer.
    pub async fn look(&self, key: &RecordKey, now: Tick) -> Result<Option<Seen>, StoreDown> {
        match self {
            Self::Memory(memory) => Ok(memory.look(key, now)),
            Self::Redis(redis) => redis.look(key, now).await,
        }
    }

    /// Forgets a key, on an operator's word: its request may run a second time.
    ///
    /// # Errors
    /// No answer.
    pub async fn delete(&self, key: &RecordKey, now: Tick) -> Result<Deleted, StoreDown> {
        match self {
            Self::Memory(memory) => Ok(memory.delete(key, now)),
            Self::Redis(redis) => redis.delete(key, now).await,
        }
    }

    /// What is in it; `None` where only the servers know.
    pub fn count(&self) -> Option<Count> {
        match self {
            Self::Memory(memory) => Some(memory.count()),
            Self::Redis(_) => None,
        }
    }
}
