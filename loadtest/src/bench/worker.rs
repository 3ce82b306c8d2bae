//! A worker: one thread, its connections, its share of the requests.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Builder,
    sync::Mutex,
    task::{AbortHandle, JoinHandle},
};

use super::{
    args::Plan,
    counter::Counters,
    h1, h2, h3,
    pacer::{Pacer, Start},
    tally::{Answered, Tally, milliseconds},
};
use crate::{clock, http::Version, signals::Signals, task};

/// How often a worker hands over what it counted, and looks for requests that take too long.
const HOUSEKEEPING: Duration = Duration::from_millis(100);
/// Pause after a connection that could not be made.
const PAUSE: Duration = Duration::from_millis(20);

/// What the tasks of a worker share.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) plan: Arc<Plan>,
    pub(super) pacer: Pacer,
    tally: RefCell<Tally>,
}

/// A place for one request at a time.
#[derive(Debug)]
pub(super) struct Slot {
    worker: Rc<Worker>,
    address: SocketAddr,
    /// When the request that occupies it was sent.
    since: Cell<Option<Instant>>,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    scheduled: Option<Instant>,
    sent: Instant,
}

/// Runs a worker until its requests are done.
///
/// # Errors
/// The system does not give what a runtime needs.
pub(super) fn run(
    plan: &Arc<Plan>,
    index: usize,
    begun: Instant,
    counters: &Counters,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(Default::default())?;
    let worker = Rc::new(Worker {
        plan: plan.clone(),
        pacer: Pacer::new(plan, index, begun),
        tally: RefCell::default(),
    });
    runtime.block_on(worker.work(index, counters))
}

impl Worker {
    async fn work(self: Rc<Self>, index: usize, counters: &Counters) -> io::Result<()> {
        let mut slots = Vec::new();
        for number in (index..self.plan.connections).step_by(self.plan.threads) {
            slots.extend(self.connection(number));
        }
        let ring = {
            let worker = self.clone();
            task::spawn("schedule", async move {
                let late = |late| worker.tally.borrow_mut().lateness.add(milliseconds(late));
                worker.pacer.ring(late).await
            })
        };
        let mut signals = Signals::new();
        let mut beat = tokio::time::interval(HOUSEKEEPING);
        let mut listening = true;
        while slots.iter().any(Place::is_busy) {
            tokio::select! {
                _ = beat.tick() => {}
                () = signals.next(), if listening => {
                    listening = false;
                    counters.stop();
                }
            }
            let now = clock::now();
            if now >= self.pacer.end() || counters.is_stopped() {
                self.pacer.stop();
            }
            slots.iter_mut().for_each(|place| place.look(now));
            counters.take(&mut self.tally.borrow_mut());
        }
        self.pacer.stop();
        {
            let mut tally = self.tally.borrow_mut();
            let missed = || "not begun: too many waited".to_owned();
            (0..self.pacer.missed()).for_each(|_| tally.fail(missed()));
            counters.take(&mut tally);
        }
        ring.await.unwrap_or(Ok(()))
    }

    /// The places of one connection, with their tasks.
    fn connection(self: &Rc<Self>, number: usize) -> Vec<Place> {
        let addresses = &self.plan.addresses;
        let address = addresses[number % addresses.len()];
        let slots = if self.plan.version == Version::H1 { 1 } else { self.plan.parallel };
        let session = Rc::default();
        let slot = |_| {
            let slot = Slot { worker: self.clone(), address, since: Cell::new(None) };
            Place::new(Rc::new(slot), Rc::clone(&session))
        };
        (0..slots).map(slot).collect()
    }
}

/// Who occupies a slot.
struct Place {
    slot: Rc<Slot>,
    session: Rc<Session>,
    task: JoinHandle<()>,
    abort: AbortHandle,
}

/// What the slots of one connection share, where the protocol has streams.
#[derive(Default)]
pub(super) struct Session {
    pub(super) h2: Mutex<h2::Shared>,
    pub(super) h3: Mutex<h3::Shared>,
}

impl Place {
    fn new(slot: Rc<Slot>, session: Rc<Session>) -> Self {
        let task = start(slot.clone(), session.clone());
        let abort = task.abort_handle();
        Self { slot, session, task, abort }
    }

    fn is_busy(&self) -> bool {
        !self.task.is_finished()
    }

    /// Gives up a request that takes too long.
    fn look(&mut self, now: Instant) {
        let Some(since) = self.slot.since.get() else { return };
        let worker = &self.slot.worker;
        if now.saturating_duration_since(since) < worker.plan.timeout {
            return;
        }
        self.abort.abort();
        self.slot.since.set(None);
        worker.tally.borrow_mut().fail("no answer in time".to_owned());
        *self = Self::new(self.slot.clone(), self.session.clone());
    }
}

fn start(slot: Rc<Slot>, session: Rc<Session>) -> JoinHandle<()> {
    task::spawn("slot", async move {
        match slot.worker.plan.version {
            Version::H1 => h1::run(&slot, None).await,
            Version::H2 => h2::run(&slot, &session).await,
            Version::H3 => h3::run(&slot, &session).await,
            Version::Agreed => h2::run_agreed(&slot, &session).await,
        }
    })
}

impl Slot {
    /// What is asked.
    pub(super) fn plan(&self) -> &Plan {
        &self.worker.plan
    }

    /// Where.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next request; none when there are no more. `now` is when the last one ended.
    pub(super) async fn next(&self, now: Option<Instant>) -> Option<Turn> {
        let Start { scheduled } = self.worker.pacer.next().await?;
        let sent = now.filter(|_| scheduled.is_none()).unwrap_or_else(clock::now);
        self.since.set(Some(sent));
        Some(Turn { scheduled, sent })
    }

    /// It was answered. Returns the present.
    pub(super) fn answered(&self, turn: Turn, answered: Answered) -> Instant {
        let now = clock::now();
        self.since.set(None);
        let mut tally = self.worker.tally.borrow_mut();
        tally.answer(answered, now - turn.sent);
        if let Some(scheduled) = turn.scheduled {
            tally.response.add(milliseconds(now - scheduled));
        }
        now
    }

    /// It failed. Waits before the next try when not even a connection could be made.
    pub(super) async fn failed(&self, error: String, is_connecting: bool) {
        self.since.set(None);
        self.worker.tally.borrow_mut().fail(error);
        if is_connecting && !self.worker.pacer.is_over() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
