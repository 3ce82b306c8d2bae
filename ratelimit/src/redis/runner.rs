//! Scripts on the servers, for one worker: what asks them for limits, and what other stores that
//! live on the same servers are built on.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::Arc,
    time::Duration,
};

use redis::Value;

use super::{
    breaker::Admission,
    fault::Fault,
    link::{Link, Trouble},
    part::later,
    script::{Call, Script},
    servers::{Server, Servers},
};
use crate::moment::Nanos;

/// The connections of one worker to the servers, and how scripts are run on them.
///
/// Not to be shared by threads, nor used outside of one tokio runtime. All runners on the same
/// [`Servers`] learn from each other which of them are down. Have one for each use on a worker, or
/// one for all: each has its own connections.
pub struct Runner {
    servers: Arc<Servers>,
    links: Box<[Links]>,
    rng: RefCell<fastrand::Rng>,
}

/// The connections to one server, taken in turn.
struct Links {
    links: Box<[Link]>,
    next: Cell<usize>,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("servers", &self.servers).finish_non_exhaustive()
    }
}

/// Gives a probe up if its request goes away.
struct Probe<'a>(&'a Server, bool);

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.health.abandon();
        }
    }
}

impl Runner {
    /// Runs scripts on `servers`. Nothing is sent yet. `rng` spreads out who asks a dead server
    /// when.
    pub fn new(servers: Arc<Servers>, rng: fastrand::Rng) -> Self {
        let links = servers.list.iter().map(|server| {
            let connections = servers.options.connections.max(1);
            let links = (0..connections).map(|_| Link::new(Arc::clone(server))).collect();
            Links { links, next: Cell::new(0) }
        });
        let links = links.collect();
        Self { servers, links, rng: RefCell::new(rng) }
    }

    /// The servers.
    pub const fn servers(&self) -> &Arc<Servers> {
        &self.servers
    }

    /// Runs `script` on the server that keeps `keys`, and waits at most `patience` for its reply.
    ///
    /// All keys of a call lie where the first one does: at the server that its hash tag (what
    /// stands in its first braces, else all of the key) belongs to. Only keys with one tag are sure
    /// to be together; keys that differ in it are for calls of their own.
    ///
    /// At once, without asking, when the server counts as down. Who stops waiting, or waited in
    /// vain, does not know whether the script was run or will be.
    ///
    /// # Errors
    /// When no reply came. A script's own error (`redis.error_reply`, or what a command in it
    /// raised) is one as well.
    pub async fn run(
        &self,
        script: &'static Script,
        keys: &[&[u8]],
        args: &[&[u8]],
        patience: Duration,
        now: Nanos,
    ) -> Result<Value, Trouble> {
        let place = self.place(keys.first().copied().unwrap_or_default());
        let call = Call { script, keys, arguments: args };
        self.run_at(place, &call, patience, Some, now).await
    }

    /// Where `key` lies: keys of one place can be in one call.
    pub(super) fn place(&self, key: &[u8]) -> usize {
        self.servers.of(key)
    }

    /// Runs a script where its keys lie; `accept` takes what its reply says, if it is one.
    pub(super) async fn run_at<T>(
        &self,
        place: usize,
        call: &Call<'_>,
        patience: Duration,
        accept: impl Fn(Value) -> Option<T>,
        now: Nanos,
    ) -> Result<T, Trouble> {
        let Links { links, next } = &self.links[place];
        let server = &*self.servers.list[place];
        let mut probe = match server.health.admit(now) {
            Admission::Skip => {
                self.servers.counters.skip();
                return Err(Trouble::new(Fault::Down, "it counts as down"));
            }
            Admission::Probe => Probe(server, true),
            Admission::Ask => Probe(server, false),
        };
        next.set((next.get() + 1) % links.len());
        let began = ticks();
        let outcome = match tokio::time::timeout(patience, links[next.get()].run(call)).await {
            Ok(Ok(reply)) => {
                accept(reply).ok_or_else(|| Trouble::new(Fault::Other, "an unknown reply"))
            }
            Ok(Err(trouble)) => Err(trouble),
            Err(_) => Err(Trouble::new(Fault::Slow, "no answer in time")),
        };
        let probing = std::mem::take(&mut probe.1);
        match &outcome {
            Ok(_) => server.succeed(),
            Err(trouble) => {
                let now = later(now, ticks().saturating_duration_since(began));
                server.fail(trouble, probing, now, &mut self.rng.borrow_mut());
            }
        }
        outcome
    }
}

/// Tokio's clock, for how long a call took; what requests are decided by is an argument.
#[allow(clippy::disallowed_methods, reason = "the one place of this crate that reads a clock")]
fn ticks() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
