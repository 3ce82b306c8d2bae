//! The store that gateways share: limits on Redis servers, asked over the network.
//!
//! The one part of this crate with sockets, timers and a log. One call a request decides on all its
//! limits, by the server's clock, in the script of [`remote`].
//!
//! | | by all gateways together | what it may miss |
//! |---|---|---|
//! | token bucket, exact | `burst + rate x length` in any interval | nothing |
//! | token bucket, leased | the same | up to half the burst, for half a second |
//! | leaky bucket | one queue | places of requests that another limit denied |
//! | sliding window | the quota in any window | what is counted for up to 8/7 of it |
//! | [`SharedConcurrency`] | the maximum, while leases are renewed | what died, for a lease |
//! | [`OnFailure::Local`] | the limit, in equal shares | what other gateways do not use |
//!
//! Wherever the clocks of gateways stand: servers go by their own. A server that has lost its
//! memory has forgotten what was charged, so that everybody has a full burst once more; one whose
//! clock is set forward earns that time.
//!
//! **A dead server costs nothing.** Every call ends within [`Options::timeout`]. After some
//! failures in a row a server counts as down for all workers, and requests do not ask it until one
//! of them, at growing intervals, finds it up again. What is not decided there each limit decides
//! by its [`OnFailure`].
//!
//! **A denied key costs nothing.** Where a bucket stood when it denied is remembered, and until it
//! has earned what a request costs, the request is denied here.
//!
//! **Leases.** A limit with [`Mode::Leased`] is charged ahead, in chunks, and requests spend them
//! here, whichever worker they come to. Never is more admitted than when each request is decided on
//! by the server; up to `burst / 2N` may lie unused at each of N gateways for about half a second,
//! and a key that was denied is denied for a tenth of a second at least (half the time in which the
//! burst is earned, if that is less). One call stands for many requests where many are made; a
//! bucket that is nearly full lends for a short time only, since it would have been full otherwise.
//! Beside limits of the other mode all are charged or none as ever: leases are spent first, and put
//! back if another limit denies. [`Shared::give_back_idle`] is to be called every so often, and
//! [`Shared::give_back_all`] at the end.
//!
//! **Algorithms.** A sliding window is kept as eight counts, and is never passed whichever gateways
//! its requests come through; what is given back to it is forgotten on the strict side. A leaky
//! bucket is one queue for all gateways: each holds its requests back for as long as it was told. A
//! place in it cannot be given back, so where limits lie in several places and one denies, it is
//! left empty. Both are always asked once a request.
//!
//! **Under way.** [`SharedConcurrency`] counts requests under way, in leases that outlive no
//! gateway for long.
//!
//! **Atomicity.** Each key has one place: a server, or a slot of a Redis Cluster. All limits of a
//! request whose keys have the same place are charged or none, with no moment in between; that is
//! all of them on one server, and those that were put together by [`Key::beside`]. Keys of several
//! places are asked about at once, and if one of them denies the others are given back what they
//! charged. For that moment they may deny somebody else: never is more admitted than the limits
//! allow.
//!
//! **Cluster.** With [`Topology::Cluster`] its nodes are asked who owns which slot when the first
//! request comes, and again, at most five times a second, when one of them fails or sends us
//! elsewhere; that is followed once, at once. While a master is gone its slots are those of a dead
//! server, until another has taken over and one look has told us. Replication lags: what the last
//! moments of a dead master charged may be forgotten, and is admitted once more.
//!
//! [`Key::beside`]: crate::Key::beside
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//! use weir_ratelimit::{
//!     Algorithm, Bucket, Limit, Local, Nanos, Rate, Secret,
//!     redis::{OnFailure, Options, Servers, Shared, SharedLimit},
//! };
//!
//! # async fn example(now: Nanos) -> Result<(), Box<dyn std::error::Error>> {
//! // Once: the same secret in every gateway.
//! let secret = Secret::derive("a long text from the configuration");
//! let bucket = Bucket::new(Rate::new(100, Duration::from_secs(1))?, 200)?;
//! let limit = Limit::new(&secret, "api", "per-ip", Algorithm::TokenBucket(bucket));
//! let Some(limit) = SharedLimit::new(limit, OnFailure::Local)? else { return Ok(()) };
//! let servers = Arc::new(Servers::new(Options::default())?);
//! let fallback = Arc::new(Local::new(1_000_000));
//!
//! // Per worker.
//! let shared = Shared::new(servers, fallback, fastrand::Rng::with_seed(1));
//!
//! // Per request.
//! let key = limit.limit().hasher().part(&[192, 0, 2, 7]).finish();
//! let outcome = shared.check(&[limit.ask(key, None)], 1, now).await;
//! assert!(outcome.verdict.allowed());
//! # Ok(())
//! # }
//! ```

use std::{cell::RefCell, fmt, sync::Arc};

use futures_util::future::join_all;
use smallvec::SmallVec;

use crate::{
    algorithm::Algorithm,
    decision::{Decision, Verdict},
    local::{self, Local},
    moment::Nanos,
    remote::{self, Known},
};

mod breaker;
mod cluster;
mod concurrency;
mod counters;
mod fault;
mod health;
mod leases;
mod lend;
mod limit;
mod link;
mod map;
mod memory;
mod name;
mod part;
mod runner;
mod script;
mod servers;
mod settle;
mod wait;

pub use concurrency::{Refused, Room, SharedConcurrency, SharedPermit};
pub use counters::Counters;
pub use fault::Fault;
pub use limit::{Correction, Mode, OnFailure, SharedAsk, SharedLimit};
pub use link::Trouble;
pub use runner::Runner;
pub use script::Script;
pub use servers::{InvalidServer, Options, Servers, Topology};

use leases::{Lent, Want};
use memory::Memory;
use name::Numbers;
use part::{Part, Parts, tell, unasked};
use script::Call;
use wait::Wait;

/// Sent again if need be: a charge too many errs on the strict side.
static CHECK: Script = Script::new(remote::CHECK).repeatable();
static ONE: Script = Script::new(remote::ONE).repeatable();

/// What a server says of one limit or two.
type Reply = SmallVec<[i64; 12]>;

/// The whole numbers that are all of `reply`.
fn integers(reply: &redis::Value) -> Option<Reply> {
    let redis::Value::Array(items) = reply else { return None };
    let integer = |item: &redis::Value| match item {
        redis::Value::Int(number) => Some(*number),
        _ => None,
    };
    items.iter().map(integer).collect()
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The servers, or tokens that they have lent.
    Server,
    /// The memory of what they denied.
    Memory,
    /// At least one limit's [`OnFailure`].
    Fallback,
}

/// A decision of the shared store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What the limits say.
    pub verdict: Verdict,
    /// Who decided.
    pub source: Source,
}

/// The store, as one worker sees it: its connections, and what it remembers.
///
/// Not to be shared by threads, nor used outside of one tokio runtime. Who stops waiting for an
/// answer may have been charged all the same.
pub struct Shared {
    runner: Runner,
    denied: RefCell<Memory>,
    fallback: Arc<Local>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("runner", &self.runner).finish_non_exhaustive()
    }
}

impl Shared {
    /// The store on `servers`, for one worker. Limits with [`OnFailure::Local`] are counted in
    /// `fallback` as well, so that they go on where they were when a server dies; all workers
    /// should have the same. Nothing is sent yet. `rng` spreads out who asks a dead server when.
    pub fn new(servers: Arc<Servers>, fallback: Arc<Local>, rng: fastrand::Rng) -> Self {
        let runner = Runner::new(servers, rng);
        Self { runner, denied: RefCell::default(), fallback }
    }

    /// What runs the scripts: other stores can run theirs on the same connections.
    pub const fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Decides on a request under several limits: all pass and are charged, or none is. No two of
    /// `asks` may have the same key. `members` is how many gateways are alive, this one among them.
    ///
    /// Takes at most [`Options::timeout`], whatever is asked in turn.
    pub async fn check(&self, asks: &[SharedAsk<'_>], members: u32, now: Nanos) -> Outcome {
        let mut parts: Parts<'_> = asks.iter().copied().map(Part::new).collect();
        if self.recall(&mut parts, now) {
            self.runner.servers().counters.remember();
            let verdict = tell(&parts, &[], false, now);
            return Outcome { verdict, source: Source::Memory };
        }
        // What most requests do not need is kept out of what each of them has to carry along.
        let leased = parts.iter().any(Part::is_leased);
        let (mut wait, mut now) = (Wait::new(self.runner.servers().timeout()), now);
        if leased {
            now = Box::pin(self.lend(&mut parts, members, wait, now)).await;
            wait = wait.rest();
        }
        if parts.iter().all(|part| part.passes(now)) {
            self.ask_servers(&mut parts, wait, now).await;
        } else {
            // Nothing is to be charged any more.
            Box::pin(self.look(&mut parts, wait, now)).await;
        }
        let told = parts.iter().all(|part| part.known.is_some());
        let mut passes = parts.iter().all(|part| part.passes(now));
        let substitutes =
            if told { SmallVec::new() } else { self.substitute(&parts, &mut passes, members, now) };
        if passes {
            self.mirror(&parts, members, now);
        } else {
            Box::pin(self.give_back(&mut parts, wait, now)).await;
        }
        let verdict = tell(&parts, &substitutes, passes, now);
        Outcome { verdict, source: if told { Source::Server } else { Source::Fallback } }
    }

    /// Whether a request is denied by what is remembered of its keys, or can never pass.
    fn recall(&self, parts: &mut [Part<'_>], now: Nanos) -> bool {
        for part in parts.iter_mut() {
            let Some(terms) = part.ask.limit.terms() else { continue };
            let want = Want { key: part.ask.key, terms, cost: part.ask.cost, members: 1 };
            let (full_at, until) = self.runner.servers().leases.look(want, now);
            part.known = Some(Known::Moment(full_at));
            // What it holds is for the lease to say; what can never pass is known here.
            let never = part.ask.cost > part.ask.limit.remote().most();
            part.lent = match until {
                Some(until) => Some(Lent::Denied { full_at, until }),
                None if never => None,
                None => Some(Lent::Spent { full_at }),
            };
        }
        self.remember(parts, now);
        let denies = parts.iter().any(|part| !part.passes(now));
        if !denies {
            parts.iter_mut().for_each(|part| (part.known, part.lent) = (None, None));
        }
        denies
    }

    /// Tells parts that nobody spoke for what is remembered of them.
    fn remember(&self, parts: &mut [Part<'_>], now: Nanos) {
        let denied = self.denied.borrow();
        let unknown = parts.iter_mut().filter(|part| !part.is_leased());
        let recall = |part: &mut Part<'_>| {
            part.known = Some(denied.find(part.ask.key, part.ask.limit.remote(), now));
        };
        unknown.for_each(recall);
    }

    /// Asks the servers of all parts at once.
    async fn ask_servers(&self, parts: &mut Parts<'_>, wait: Wait, now: Nanos) {
        let exact = parts.iter().enumerate().filter(|(_, part)| !part.is_leased());
        let groups = self.runner.places(exact.map(|(i, part)| (i, &part.name)));
        if let [(place, members)] = &groups[..] {
            let reply = self.ask(*place, parts, members, wait, now).await;
            self.note(parts, members, reply, now);
            return;
        }
        let asked =
            groups.iter().map(|(place, members)| self.ask(*place, parts, members, wait, now));
        let replies = Box::pin(join_all(asked)).await;
        for ((_, members), reply) in groups.iter().zip(replies) {
            self.note(parts, members, reply, now);
        }
    }

    /// Asks one place about those of `parts` that it keeps.
    async fn ask(
        &self,
        place: usize,
        parts: &[Part<'_>],
        members: &[usize],
        wait: Wait,
        now: Nanos,
    ) -> Option<Reply> {
        let keys: SmallVec<[&[u8]; 4]> = members.iter().map(|i| parts[*i].name.bytes()).collect();
        let asks: SmallVec<[remote::Ask<'_>; 4]> =
            members.iter().map(|i| parts[*i].remote()).collect();
        let alone = if let [ask] = &asks[..] { ask.alone() } else { None };
        let (script, numbers) = match &alone {
            Some(numbers) => (&ONE, Numbers::new(numbers.iter().copied())),
            None => (&CHECK, Numbers::new(asks.iter().flat_map(remote::Ask::numbers))),
        };
        let arguments = numbers.bytes();
        let call = Call::new(script, &keys, &arguments);
        let sound = |reply: redis::Value| {
            let reply = match (&reply, &asks[..]) {
                (redis::Value::Int(said), [ask]) => Reply::from_slice(&ask.widen(*said)),
                _ => integers(&reply)?,
            };
            remote::is_reply(&asks, &reply).then_some(reply)
        };
        self.runner.run_at(place, &call, wait, sound, now).await.ok()
    }

    /// Writes down what a server said of `members`, and remembers what it denied.
    fn note(&self, parts: &mut [Part<'_>], members: &[usize], reply: Option<Reply>, now: Nanos) {
        let Some(numbers) = reply else { return };
        // It was found sound: there is as much as is read.
        let Some((passes, mut rest)) = numbers.split_first() else { return };
        for i in members {
            let part = &mut parts[*i];
            // Counted from when it was asked, not when it answered: if anything too early.
            let Some(known) = part.ask.limit.remote().read(&mut rest, now) else { return };
            part.known = Some(known);
            part.charged = *passes == 1 && part.fits(now);
            if *passes == 0 {
                let most = self.runner.servers().options.remembered;
                self.denied.borrow_mut().insert(part.ask.key, known, most, now);
            }
        }
    }

    /// What the limits say that no server spoke for; `passes` is whether the others let the request
    /// pass, and then whether all do. Only then something is charged.
    fn substitute(
        &self,
        parts: &[Part<'_>],
        passes: &mut bool,
        members: u32,
        now: Nanos,
    ) -> SmallVec<[Decision; 4]> {
        let unknown = || parts.iter().filter(|part| part.known.is_none());
        let denies = |part: &Part<'_>| part.ask.limit.on_failure() == OnFailure::Deny;
        *passes &= !unknown().any(|part| denies(part) && !part.ask.dry_run);
        let local = || unknown().filter(|part| part.ask.limit.on_failure() == OnFailure::Local);
        let shares: SmallVec<[Algorithm; 4]> =
            local().map(|part| part.ask.limit.share(members)).collect();
        let asks: SmallVec<[local::Ask<'_>; 4]> = local()
            .zip(&shares)
            .map(|(part, algorithm)| {
                // Cost 0 looks without touching.
                let cost = if *passes { part.ask.cost } else { 0 };
                local::Ask { algorithm, key: part.ask.key, cost, dry_run: part.ask.dry_run }
            })
            .collect();
        let verdict = self.fallback.check(&asks, now);
        *passes &= verdict.allowed();
        let mut local = verdict.rulings().iter();
        unknown()
            .filter_map(|part| match part.ask.limit.on_failure() {
                OnFailure::Local => local.next().map(|ruling| ruling.decision),
                OnFailure::Allow => Some(unasked(part, true)),
                OnFailure::Deny => Some(unasked(part, false)),
            })
            .collect()
    }

    /// Charges here too what the servers charged, for the day they are gone.
    fn mirror(&self, parts: &[Part<'_>], members: u32, now: Nanos) {
        for part in parts.iter().filter(|part| part.charged && part.ask.cost > 0) {
            if part.ask.limit.on_failure() == OnFailure::Local {
                let share = part.ask.limit.share(members);
                self.fallback.charge(&share, part.ask.key, part.ask.cost, now);
            }
        }
    }
}
