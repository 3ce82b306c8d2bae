//! An outage of a backend at 80 % of its capacity, and what its clients make of it: whether the
//! retries that it caused keep it from coming back ("metastable failure", Bronson and others, 2021).
//!
//! The backend works through a queue, one request after the other, and does not notice that nobody
//! waits for the answer any more: so does most that speaks HTTP/1.1.

use std::{collections::VecDeque, time::Duration};

use fastrand::Rng;
use weir_config::model::{Backoff, RetryBudget};
use weir_gateway::{
    clock::Tick,
    upstream::retry::{backoff::full_jitter, budget::Budget},
};

use crate::agenda::{Agenda, interval};

mod fuse;

use fuse::{Fuse, Leave};

/// Requests a second that the backend can answer, and that come.
const CAPACITY: f64 = 1_000.0;
const LOAD: f64 = 800.0;
/// Requests that wait at the backend; further ones are refused.
const QUEUE: usize = 2_048;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Tries at a request, the first included.
const TRIES: u32 = 3;

/// When the backend goes down, and how long it is looked at when it is back.
const DOWN_AT: Tick = Tick::from_nanos(10_000_000_000);
const AFTER: Duration = Duration::from_secs(60);

const BACKOFF: Backoff =
    Backoff { base: Duration::from_millis(25), max: Duration::from_millis(250) };
const BUDGET: RetryBudget =
    RetryBudget { percent: 0.2, min_per_sec: 3, window: Duration::from_secs(10) };

/// Goodput is looked at by such lengths of time.
const SLICE: Duration = Duration::from_millis(100);
const SLICES_PER_SECOND: usize = 10;

/// What is the matter with the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    /// What is sent to it is lost, and so is what it had. Nobody says so: clients wait in vain.
    Dead,
    /// It does nothing; what is sent to it waits, and is worked through when it is back.
    Stalled,
}

impl Outage {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Stalled => "stalled",
        }
    }
}

/// What clients do about failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    retries: bool,
    jitter: bool,
    budget: bool,
    fails_fast: bool,
}

impl Client {
    pub(crate) const NOTHING: Self =
        Self { retries: false, jitter: false, budget: false, fails_fast: false };
    pub(crate) const RETRIES: Self = Self { retries: true, ..Self::NOTHING };
    pub(crate) const JITTER: Self = Self { jitter: true, ..Self::RETRIES };
    pub(crate) const BUDGET: Self = Self { budget: true, ..Self::RETRIES };
    pub(crate) const BOTH: Self = Self { budget: true, ..Self::JITTER };
    pub(crate) const FAST: Self = Self { fails_fast: true, ..Self::JITTER };
    pub(crate) const WHOLE: Self = Self { fails_fast: true, ..Self::BOTH };
    pub(crate) const ALL: [Self; 7] = [
        Self::NOTHING,
        Self::RETRIES,
        Self::JITTER,
        Self::BUDGET,
        Self::BOTH,
        Self::FAST,
        Self::WHOLE,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match (self.retries, self.jitter, self.budget, self.fails_fast) {
            (false, ..) => "no retries",
            (_, false, false, _) => "three tries",
            (_, true, false, false) => "three tries, jitter",
            (_, false, true, _) => "three tries, budget",
            (_, true, true, false) => "three tries, jitter, budget",
            (_, true, false, true) => "three tries, jitter, failing fast",
            (_, true, true, true) => "three tries, jitter, budget, failing fast",
        }
    }
}

/// How it went: requests by when they came.
#[derive(Debug)]
pub(crate) struct Course {
    /// Requests of each slice of time, and those of them that were answered.
    slices: Vec<(u32, u32)>,
    /// Calls that went to the backend while it was down.
    calls: u32,
    /// When it was back.
    up_at: Tick,
}

impl Course {
    /// Share of the requests answered that came in this second after the outage.
    pub(crate) fn goodput(&self, second: u64) -> f64 {
        let from = slice(self.up_at + Duration::from_secs(second));
        share(&self.slices[from..from + SLICES_PER_SECOND])
    }

    /// Calls to the backend while it was down, for each request.
    pub(crate) fn pressure(&self) -> f64 {
        let outage = slice(DOWN_AT)..slice(self.up_at);
        let requests: u32 = self.slices[outage].iter().map(|(requests, _)| requests).sum();
        f64::from(self.calls) / f64::from(requests)
    }

    /// How long after the outage until 95 % of the requests are answered, and will be.
    pub(crate) fn recovery(&self) -> Option<Duration> {
        let after = &self.slices[slice(self.up_at)..];
        let ill = |slice: &(u32, u32)| share(&[*slice]) < 0.95;
        let first = after.iter().rposition(ill).map_or(0, |last| last + 1);
        (first < after.len()).then(|| SLICE * first as u32)
    }
}

fn share(slices: &[(u32, u32)]) -> f64 {
    let sum = slices.iter().fold((0, 0), |sum, slice| (sum.0 + slice.0, sum.1 + slice.1));
    f64::from(sum.1) / f64::from(sum.0)
}

fn slice(at: Tick) -> usize {
    (at.since(Tick::ZERO).as_millis() / SLICE.as_millis()) as usize
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Fall,
    Rise,
    Arrive,
    Ask(usize),
    /// The backend is done with the first of its queue, if it has not died since.
    Done {
        life: u32,
    },
    Expire {
        request: usize,
        tries: u32,
    },
}

#[derive(Debug)]
struct Request {
    came: Tick,
    tries: u32,
    /// Whether the client waits for the answer to the latest of them.
    waits: bool,
    leave: Leave,
    answered: bool,
}

impl Request {
    const fn waits_for(&self, tries: u32) -> bool {
        self.waits && self.tries == tries
    }
}

struct Run {
    outage: Outage,
    client: Client,
    now: Tick,
    agenda: Agenda<Event>,
    requests: Vec<Request>,
    /// Requests at the backend, with the try that each is. The first is worked on.
    queue: VecDeque<(usize, u32)>,
    up: bool,
    /// Times that the backend went down or up.
    life: u32,
    budget: Budget,
    fuse: Fuse,
    course: Course,
    /// The world's chances, and the gateway's.
    world: Rng,
    rng: Rng,
}

/// Simulates an `outage` that lasts for `length` with clients that do like `client`.
pub(crate) fn run(outage: Outage, client: Client, length: Duration, seed: u64) -> Course {
    let up_at = DOWN_AT + length;
    let slices = vec![(0, 0); slice(up_at + AFTER)];
    let mut run = Run {
        outage,
        client,
        now: Tick::ZERO,
        agenda: Agenda::new(),
        requests: Vec::new(),
        queue: VecDeque::new(),
        up: true,
        life: 0,
        budget: Budget::new(BUDGET),
        fuse: Fuse::new(),
        course: Course { slices, calls: 0, up_at },
        world: Rng::with_seed(seed),
        rng: Rng::with_seed(!seed),
    };
    run.agenda.plan(DOWN_AT, Event::Fall);
    run.agenda.plan(up_at, Event::Rise);
    run.agenda.plan(Tick::ZERO, Event::Arrive);
    while let Some((now, event)) = run.agenda.next() {
        run.now = now;
        run.handle(event);
    }
    for request in &run.requests {
        let slice = &mut run.course.slices[slice(request.came)];
        slice.0 += 1;
        slice.1 += u32::from(request.answered);
    }
    run.course
}

impl Run {
    fn handle(&mut self, event: Event) {
        match event {
            Event::Fall => self.turn(false),
            Event::Rise => self.turn(true),
            Event::Arrive => self.arrive(),
            Event::Ask(request) => self.ask(request),
            Event::Done { life } if life == self.life => self.finish(),
            Event::Done { .. } => {}
            Event::Expire { request, tries } => {
                if self.requests[request].waits_for(tries) {
                    self.fail(request);
                }
            }
        }
    }

    fn turn(&mut self, up: bool) {
        self.up = up;
        self.life += 1;
        if self.outage == Outage::Dead {
            self.queue.clear();
        }
        self.work();
    }

    /// Begins with the first of the queue.
    fn work(&mut self) {
        if self.up && !self.queue.is_empty() {
            let done = self.now + interval(CAPACITY, &mut self.world);
            self.agenda.plan(done, Event::Done { life: self.life });
        }
    }

    fn finish(&mut self) {
        if let Some((request, tries)) = self.queue.pop_front() {
            let waiting = &mut self.requests[request];
            if waiting.waits_for(tries) {
                (waiting.waits, waiting.answered) = (false, true);
                self.fuse.record(waiting.leave, true, self.now);
            }
        }
        self.work();
    }

    fn arrive(&mut self) {
        let next = self.now + interval(LOAD, &mut self.world);
        if next < self.course.up_at + AFTER {
            self.agenda.plan(next, Event::Arrive);
        }
        self.budget.deposit(self.now);
        let (came, leave) = (self.now, Leave::default());
        self.requests.push(Request { came, tries: 0, waits: false, leave, answered: false });
        self.ask(self.requests.len() - 1);
    }

    /// A try at a request.
    fn ask(&mut self, index: usize) {
        let request = &mut self.requests[index];
        if self.client.fails_fast {
            match self.fuse.admit(self.now) {
                Some(leave) => request.leave = leave,
                None => return,
            }
        }
        request.tries += 1;
        request.waits = true;
        let tries = request.tries;
        self.course.calls += u32::from(!self.up);
        let lost = !self.up && self.outage == Outage::Dead;
        if !lost && self.queue.len() >= QUEUE {
            self.fail(index);
            return;
        }
        self.agenda.plan(self.now + PATIENCE, Event::Expire { request: index, tries });
        if !lost {
            self.queue.push_back((index, tries));
            if self.queue.len() == 1 {
                self.work();
            }
        }
    }

    /// A try has failed: another, or none.
    fn fail(&mut self, index: usize) {
        let request = &mut self.requests[index];
        request.waits = false;
        let tries = request.tries;
        self.fuse.record(request.leave, false, self.now);
        let may = self.client.retries
            && tries < TRIES
            && (!self.client.budget || self.budget.withdraw(self.now));
        if may {
            let wait = match self.client.jitter {
                true => full_jitter(BACKOFF, tries - 1, &mut self.rng),
                false => Duration::ZERO,
            };
            self.agenda.plan(self.now + wait, Event::Ask(index));
        }
    }
}
