//! Keys on Redis servers, for all gateways that share them.
//!
//! Each change is one script, the twin of one of [`Slot`](super::state::Slot)'s functions, on one
//! key, by the server's clock. So a request costs one round trip before it runs and one after.
//!
//! **An answer that is lost.** A script that got no answer in time may have been run, or be run
//! later: what was sent cannot be taken back. All of them may be sent twice. A claim carries a name
//! that is used once; one that is lost is not granted, since nobody heard so, and is withdrawn by
//! that name in the background. If even that is lost, or overtaken, its lease ends and the key is
//! unknown, which is what this process knows of it.
//!
//! **What the server must do.** Keep what it has been told: if it forgets a key, by eviction, by a
//! restart without a log, by a failover to a replica that had not heard of it, then the request of
//! that key runs again.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use ::redis::Value;
use bytes::Bytes;
use tokio::time::sleep;
use weir_ratelimit::{
    Nanos,
    redis::{Fault, Runner, Script, Trouble},
};

use super::{
    fingerprint::Fingerprint,
    key::RecordKey,
    record::{ENCODED_MAX, Recording},
    state::{Claimed, Fence, Owner, Terms},
    store::{Deleted, Seen, Standing, StoreDown},
};
use crate::{
    clock::{self, Tick},
    task,
};

/// A script with what all of them begin with.
macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(include_str!("lua/slot.lua"), include_str!($file))).repeatable()
    };
}

static CLAIM: Script = script!("lua/claim.lua");
static RENEW: Script = script!("lua/renew.lua");
static COMPLETE: Script = script!("lua/complete.lua");
static RELEASE: Script = script!("lua/release.lua");
static WITHDRAW: Script = script!("lua/withdraw.lua");
static FORSAKE: Script = script!("lua/forsake.lua");
static LOOK: Script = script!("lua/look.lua");
static DELETE: Script = script!("lua/delete.lua");

/// What our keys begin with; the number is that of their layout.
const PREFIX: &[u8] = b"weir:ik1:";
/// The longest time that is sent: sums of it with the calendar stay exact in a script.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Claims that wait to be withdrawn, at most; those beyond end when their leases do.
const LOST_MAX: usize = 1_024;
/// Between two tries to withdraw, and how often it is tried.
const LOST_PAUSE: Duration = Duration::from_millis(200);
const LOST_TRIES: u32 = 300;
/// Between two looks at a key that somebody waits for.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_millis(250);

/// The store, as one worker has it.
pub struct RedisStore {
    runner: Rc<Runner>,
    patience: Duration,
    /// With the number of the claim, a name that nobody else has.
    name: u64,
    claims: Cell<u64>,
    lost: RefCell<VecDeque<Lost>>,
    /// Whether a task withdraws them.
    withdraws: Cell<bool>,
}

/// A claim that nobody heard of.
#[derive(Debug, Clone, Copy)]
struct Lost {
    key: RecordKey,
    owner: Owner,
    ttl: Duration,
    tries: u32,
    /// Whether the server had not heard of it either: it may still be on its way.
    missed: bool,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("runner", &self.runner).finish_non_exhaustive()
    }
}

impl From<&Trouble> for StoreDown {
    fn from(trouble: &Trouble) -> Self {
        match trouble.fault {
            Fault::Down => Self::Down,
            Fault::Slow => Self::Slow,
            Fault::ReadOnly => Self::ReadOnly,
            Fault::Memory => Self::Full,
            Fault::WrongType => Self::Foreign,
            Fault::Refused => Self::Refused,
            Fault::Other => Self::Other,
        }
    }
}

impl StoreDown {
    /// Whether the server said itself that it did nothing.
    const fn is_certain(self) -> bool {
        matches!(self, Self::Full | Self::ReadOnly | Self::Foreign | Self::Refused)
    }
}

/// Puts a claim down as lost, unless its answer comes.
struct Asked<'a> {
    store: &'a RedisStore,
    lost: Option<Lost>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(lost) = self.lost.take() {
            self.store.lose(lost);
        }
    }
}

impl RedisStore {
    /// The store on the servers of `runner`, each asked for at most `patience`. `name` must be
    /// random: two workers with the same would take each other's claims for their own.
    pub const fn new(runner: Rc<Runner>, patience: Duration, name: u64) -> Self {
        Self {
            runner,
            patience,
            name,
            claims: Cell::new(0),
            lost: RefCell::new(VecDeque::new()),
            withdraws: Cell::new(false),
        }
    }

    /// See [`Store::claim`](super::store::Store::claim). What is claimed by one who stops waiting is
    /// withdrawn, when this worker claims something else at the latest.
    ///
    /// # Errors
    /// No answer that says who has the key.
    pub async fn claim(
        self: &Rc<Self>,
        key: &RecordKey,
        print: &Fingerprint,
        terms: &Terms,
        now: Tick,
    ) -> Result<Claimed, StoreDown> {
        self.withdraw_lost();
        let count = self.claims.get();
        self.claims.set(count.wrapping_add(1));
        let owner = Owner::new((u128::from(self.name) << 64) | u128::from(count));
        let lost = Lost { key: *key, owner, ttl: terms.ttl, tries: 0, missed: false };
        let mut asked = Asked { store: self, lost: Some(lost) };
        let (name, lease, whole) = (owner.bytes(), micros(terms.lease), whole(terms));
        let redrive = if terms.redrive { "1" } else { "0" };
        let longest = ENCODED_MAX.to_string();
        let arguments = [
            &print.bytes()[..],
            &name,
            lease.as_bytes(),
            whole.as_bytes(),
            redrive.as_bytes(),
            longest.as_bytes(),
        ];
        let claimed = match self.run(&CLAIM, key, &arguments, now).await {
            Ok(reply) => claimed(reply, owner),
            Err(down) => Err(down),
        };
        let known = claimed.as_ref().map_or_else(|down| down.is_certain(), |_| true);
        // A request that runs without its claim may have run: to withdraw it would be to deny that.
        if known || terms.runs_unclaimed {
            asked.lost = None;
        }
        drop(asked);
        self.withdraw_lost();
        claimed
    }

    /// See [`Store::renew`](super::store::Store::renew).
    ///
    /// # Errors
    /// No answer.
    pub async fn renew(
        &self,
        key: &RecordKey,
        fence: Fence,
        terms: &Terms,
        now: Tick,
    ) -> Result<bool, StoreDown> {
        let (number, name) = (fence.number().to_string(), fence.owner().bytes());
        let (lease, whole) = (micros(terms.lease), whole(terms));
        let arguments = [number.as_bytes(), &name, lease.as_bytes(), whole.as_bytes()];
        yes(self.run(&RENEW, key, &arguments, now).await?)
    }

    /// See [`Store::complete`](super::store::Store::complete).
    ///
    /// # Errors
    /// No answer.
    pub async fn complete(
        &self,
        key: &RecordKey,
        fence: Fence,
        recording: &Recording,
        terms: &Terms,
        now: Tick,
    ) -> Result<bool, StoreDown> {
        let (number, name) = (fence.number().to_string(), fence.owner().bytes());
        let (ttl, recording) = (millis(terms.ttl), recording.encode());
        let arguments = [number.as_bytes(), &name, ttl.as_bytes(), &recording];
        yes(self.run(&COMPLETE, key, &arguments, now).await?)
    }

    /// See [`Store::release`](super::store::Store::release).
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
        self.give_up(&RELEASE, key, fence, terms, now).await
    }

    /// See [`Store::forsake`](super::store::Store::forsake).
    ///
    /// # Errors
    /// No answer.
    pub async fn forsake(
        &self,
        key: &RecordKey,
        fence: Fence,
        terms: &Terms,
        now: Tick,
    ) -> Result<bool, StoreDown> {
        self.give_up(&FORSAKE, key, fence, terms, now).await
    }

    async fn give_up(
        &self,
        script: &'static Script,
        key: &RecordKey,
        fence: Fence,
        terms: &Terms,
        now: Tick,
    ) -> Result<bool, StoreDown> {
        let (number, name) = (fence.number().to_string(), fence.owner().bytes());
        let ttl = millis(terms.ttl);
        let arguments = [number.as_bytes(), &name, ttl.as_bytes()];
        yes(self.run(script, key, &arguments, now).await?)
    }

    /// See [`Store::settled`](super::store::Store::settled). Servers tell nobody what changes: it
    /// is looked for, less and less often.
    pub async fn settled(&self, key: &RecordKey, until: Tick, now: Tick) {
        let (mut now, mut pause) = (now, LOOK_MIN);
        while now < until {
            sleep(pause.min(until.since(now))).await;
            now = clock::now();
            pause = LOOK_MAX.min(pause * 2);
            // What is not known may yet be.
            let seen = self.look(key, now).await;
            let in_flight = |seen: &Seen| matches!(seen.standing, Standing::InFlight { .. });
            if seen.is_ok_and(|seen| !seen.is_some_and(|seen| in_flight(&seen))) {
                return;
            }
        }
    }

    /// See [`Store::look`](super::store::Store::look).
    ///
    /// # Errors
    /// No answer.
    pub async fn look(&self, key: &RecordKey, now: Tick) -> Result<Option<Seen>, StoreDown> {
        match self.run(&LOOK, key, &[], now).await? {
            Value::Array(parts) if parts.is_empty() => Ok(None),
            Value::Array(parts) => seen(&parts).map(Some).ok_or(StoreDown::Other),
            _ => Err(StoreDown::Other),
        }
    }

    /// See [`Store::delete`](super::store::Store::delete).
    ///
    /// # Errors
    /// No answer.
    pub async fn delete(&self, key: &RecordKey, now: Tick) -> Result<Deleted, StoreDown> {
        match self.run(&DELETE, key, &[], now).await? {
            Value::Int(0) => Ok(Deleted::Absent),
            Value::Int(1) => Ok(Deleted::Forgotten),
            Value::Int(2) => Ok(Deleted::InFlight),
            _ => Err(StoreDown::Other),
        }
    }

    async fn run(
        &self,
        script: &'static Script,
        key: &RecordKey,
        arguments: &[&[u8]],
        now: Tick,
    ) -> Result<Value, StoreDown> {
        let mut name = [0; PREFIX.len() + 64];
        name[..PREFIX.len()].copy_from_slice(PREFIX);
        name[PREFIX.len()..].copy_from_slice(key.to_string().as_bytes());
        let now = Nanos::new(now.nanos());
        let reply = self.runner.run(script, &[&name], arguments, self.patience, now).await;
        reply.map_err(|trouble| {
            tracing::debug!(%key, %trouble, "no answer from the store of idempotency keys");
            StoreDown::from(&trouble)
        })
    }

    fn lose(&self, lost: Lost) {
        let mut queue = self.lost.borrow_mut();
        if queue.len() < LOST_MAX {
            queue.push_back(lost);
        }
    }

    /// Sees to it that lost claims are withdrawn.
    fn withdraw_lost(self: &Rc<Self>) {
        if !self.lost.borrow().is_empty() && !self.withdraws.replace(true) {
            task::spawn(withdraw(Rc::downgrade(self)));
        }
    }

    /// Tries to withdraw a claim; what is left to do is to try again.
    async fn try_withdraw(&self, mut lost: Lost) -> Option<Lost> {
        let (name, ttl) = (lost.owner.bytes(), millis(lost.ttl));
        let arguments = [&name[..], ttl.as_bytes()];
        lost.tries += 1;
        match self.run(&WITHDRAW, &lost.key, &arguments, clock::now()).await.and_then(yes) {
            Ok(true) => return None,
            Ok(false) if lost.missed => return None,
            Ok(false) => lost.missed = true,
            Err(_) => {}
        }
        (lost.tries < LOST_TRIES).then_some(lost)
    }
}

/// Withdraws what is lost until nothing is.
async fn withdraw(store: Weak<RedisStore>) {
    loop {
        sleep(LOST_PAUSE).await;
        let Some(store) = store.upgrade() else { return };
        let queue = std::mem::take(&mut *store.lost.borrow_mut());
        for lost in queue {
            if let Some(lost) = store.try_withdraw(lost).await {
                store.lose(lost);
            }
        }
        if store.lost.borrow().is_empty() {
            store.withdraws.set(false);
            return;
        }
    }
}

fn claimed(reply: Value, owner: Owner) -> Result<Claimed, StoreDown> {
    let Value::Array(mut parts) = reply else { return Err(StoreDown::Other) };
    match parts.as_mut_slice() {
        [Value::Int(1), Value::Int(number)] => {
            let number = u64::try_from(*number).map_err(|_| StoreDown::Other)?;
            Ok(Claimed::Granted(Fence::new(number, owner)))
        }
        [Value::Int(2), Value::Int(left)] => {
            Ok(Claimed::InFlight { left: Duration::from_micros(left.unsigned_abs()) })
        }
        [Value::Int(3)] => Ok(Claimed::Mismatch),
        [Value::Int(4), Value::BulkString(recording)] => {
            let recording = Recording::decode(&Bytes::from(std::mem::take(recording)));
            recording
                .map(|recording| Claimed::Done(Arc::new(recording)))
                .map_err(|_| StoreDown::Foreign)
        }
        [Value::Int(5)] => Ok(Claimed::Unknown),
        _ => Err(StoreDown::Other),
    }
}

fn seen(parts: &[Value]) -> Option<Seen> {
    let [
        Value::BulkString(phase),
        Value::Int(fence),
        Value::Int(left),
        Value::Int(expires),
        Value::BulkString(head),
    ] = parts
    else {
        return None;
    };
    let standing = match phase.as_slice() {
        b"i" => Standing::InFlight { left: Duration::from_micros(left.unsigned_abs()) },
        b"u" => Standing::Unknown,
        b"d" => {
            let (status, replayable) = Recording::peek(head)?;
            Standing::Done { status, replayable }
        }
        _ => return None,
    };
    let expires_in = Duration::from_millis(u64::try_from(*expires).unwrap_or(0));
    Some(Seen { standing, fence: fence.unsigned_abs(), expires_in })
}

fn yes(reply: Value) -> Result<bool, StoreDown> {
    match reply {
        Value::Int(0) => Ok(false),
        Value::Int(1) => Ok(true),
        _ => Err(StoreDown::Other),
    }
}

/// In whole microseconds, as text.
fn micros(length: Duration) -> String {
    length.min(LONGEST).as_micros().to_string()
}

/// In whole milliseconds, as text: at least one, for a key that expires at once is not written.
fn millis(length: Duration) -> String {
    length.min(LONGEST).as_micros().div_ceil(1_000).max(1).to_string()
}

/// A lease, and what is kept of it if it ends unknown.
fn whole(terms: &Terms) -> String {
    millis(terms.lease.min(LONGEST).saturating_add(terms.ttl.min(LONGEST)))
}

#[cfg(test)]
mod tests;
