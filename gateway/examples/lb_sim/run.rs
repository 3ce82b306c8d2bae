//! One run: a scenario under one policy, event after event in virtual time.
//!
//! What happens outside of the gateway is drawn from a generator of its own, in an order that no
//! choice of the gateway changes: every policy meets the same requests and the same machines.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use weir_config::model::Balance;
use weir_gateway::{
    clock::Tick,
    upstream::{
        load::{EndpointLoad, InFlight, Outcome},
        pick::Picker,
    },
};

use crate::{
    scenario::{JOINS, Kind, Scenario, exponential},
    server::Server,
};

/// A request that has no answer by then has failed.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// How long it takes to fail at once.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What happens next. Of things at the same moment the first here comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Change(usize),
    Join,
    Done { server: usize, version: u64 },
    Fail(usize),
    Arrive,
}

struct Request {
    server: usize,
    in_flight: InFlight,
}

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// Times to an answer in nanoseconds; a time-out is one of [`TIMEOUT`].
    latencies: Vec<u64>,
    pub(crate) requests: usize,
    pub(crate) errors: usize,
    /// Requests for each server.
    pub(crate) spread: Vec<usize>,
}

impl Outcomes {
    /// The latency that a share `q` of the answers do not exceed.
    pub(crate) fn quantile(&self, q: f64) -> Duration {
        let rank = (self.latencies.len() as f64 * q).ceil() as usize;
        Duration::from_nanos(self.latencies.get(rank.max(1) - 1).copied().unwrap_or_default())
    }
}

fn unknown() -> Arc<EndpointLoad> {
    Arc::new(EndpointLoad::new(Tick::ZERO))
}

struct Run<'a> {
    scenario: &'a Scenario,
    balance: Balance,
    now: Tick,
    events: BinaryHeap<Reverse<(Tick, Event)>>,
    servers: Vec<Server>,
    /// What each gateway knows of the endpoints.
    loads: Vec<Vec<Arc<EndpointLoad>>>,
    /// One gateway's after the other's.
    pickers: Vec<Picker>,
    /// By number, in order of arrival; none once answered.
    requests: Vec<Option<Request>>,
    /// When each request times out: all have the same patience, hence in order.
    deadlines: VecDeque<(Tick, usize)>,
    outcomes: Outcomes,
    /// The world's chances, and the gateway's.
    world: Rng,
    rng: Rng,
}

/// Simulates `scenario` under `balance`.
pub(crate) fn run(scenario: &Scenario, balance: Balance, seed: u64) -> Outcomes {
    let servers = scenario.servers;
    let mut run = Run {
        scenario,
        balance,
        now: Tick::ZERO,
        events: BinaryHeap::new(),
        servers: (0..servers).map(|_| Server::new(1.0, 1.0)).collect(),
        loads: (0..scenario.gateways).map(|_| (0..servers).map(|_| unknown()).collect()).collect(),
        pickers: Vec::new(),
        requests: Vec::new(),
        deadlines: VecDeque::new(),
        outcomes: Outcomes { spread: vec![0; servers], ..Outcomes::default() },
        world: Rng::with_seed(seed),
        rng: Rng::with_seed(!seed),
    };
    for server in 0..servers {
        run.change(server);
    }
    run.configure();
    if scenario.kind == Kind::OneFresh {
        run.events.push(Reverse((Tick::ZERO + JOINS, Event::Join)));
    }
    run.events.push(Reverse((Tick::ZERO, Event::Arrive)));
    run.go();
    run.outcomes.latencies.sort_unstable();
    run.outcomes
}

impl Run<'_> {
    fn go(&mut self) {
        let end = Tick::ZERO + self.scenario.until;
        loop {
            let Some(&Reverse((at, event))) = self.events.peek() else { return };
            if let Some(&(deadline, request)) = self.deadlines.front()
                && deadline <= at
            {
                self.deadlines.pop_front();
                self.now = deadline;
                self.expire(request);
                continue;
            }
            self.events.pop();
            self.now = at;
            match event {
                // Whoever has come is served to the end.
                Event::Arrive if at >= end => {}
                Event::Arrive => self.arrive(),
                Event::Change(_) if at >= end + TIMEOUT => {}
                Event::Change(server) => self.change(server),
                Event::Join => self.join(),
                Event::Done { server, version } => {
                    if self.servers[server].version == version
                        && let Some(request) = self.servers[server].finish(at)
                    {
                        self.end(request, Outcome::Success);
                        self.foresee(server);
                    }
                }
                Event::Fail(request) => self.end(request, Outcome::Failure),
            }
        }
    }

    /// The first endpoint that the configuration names.
    fn first(&self) -> usize {
        usize::from(self.scenario.kind == Kind::OneFresh && self.now < Tick::ZERO + JOINS)
    }

    /// Builds the pickers, as a reload does.
    fn configure(&mut self) {
        let weights = vec![1; self.scenario.servers - self.first()];
        let workers = 0..self.scenario.gateways * self.scenario.workers;
        self.pickers =
            workers.map(|_| Picker::new(self.balance, &weights, &mut self.rng)).collect();
    }

    fn join(&mut self) {
        for known in &mut self.loads {
            known[0] = Arc::new(EndpointLoad::new(self.now));
        }
        self.configure();
    }

    fn change(&mut self, server: usize) {
        let since = self.now.since(Tick::ZERO);
        let (cores, speed, length) = self.scenario.state(server, since, &mut self.world);
        self.servers[server].change(cores, speed, self.now);
        if length < Duration::MAX {
            self.events.push(Reverse((self.now + length, Event::Change(server))));
        }
        self.foresee(server);
    }

    fn arrive(&mut self) {
        let now = self.now;
        let pause = exponential(&mut self.world) * self.scenario.interval();
        self.events.push(Reverse((now + Duration::from_nanos(pause as u64), Event::Arrive)));
        let work = self.scenario.work(&mut self.world);
        let worker = self.world.usize(..self.pickers.len());

        let first = self.first();
        let loads = &self.loads[worker / self.scenario.workers];
        let picked = self.pickers[worker].pick(&loads[first..], |_| false, now, &mut self.rng);
        let Some(server) = picked.map(|picked| first + picked) else { return };
        let in_flight = EndpointLoad::begin(Arc::clone(&loads[server]), now);
        let request = self.requests.len();
        self.requests.push(Some(Request { server, in_flight }));
        if self.scenario.kind == Kind::OneFailing && server == 0 {
            self.events.push(Reverse((now + AT_ONCE, Event::Fail(request))));
            return;
        }
        self.deadlines.push_back((now + TIMEOUT, request));
        self.servers[server].arrive(request, work, now);
        self.foresee(server);
    }

    fn expire(&mut self, request: usize) {
        if let Some(server) = self.requests[request].as_ref().map(|request| request.server) {
            self.end(request, Outcome::Failure);
            self.servers[server].cancel(self.now);
            self.foresee(server);
        }
    }

    /// Plans the completion of a server's next request.
    fn foresee(&mut self, server: usize) {
        let requests = &self.requests;
        let next = self.servers[server].next(|request| requests[request].is_some());
        if let Some(at) = next {
            let version = self.servers[server].version;
            self.events.push(Reverse((at, Event::Done { server, version })));
        }
    }

    fn end(&mut self, request: usize, outcome: Outcome) {
        let Some(Request { server, mut in_flight }) = self.requests[request].take() else { return };
        in_flight.record(outcome, self.now);
        if in_flight.began() < Tick::ZERO + self.scenario.from {
            return;
        }
        let outcomes = &mut self.outcomes;
        let took = self.now.nanos_since(in_flight.began());
        outcomes.requests += 1;
        outcomes.spread[server] += 1;
        outcomes.errors += usize::from(outcome == Outcome::Failure);
        // A failure at once is no quick answer.
        if outcome == Outcome::Success || took >= TIMEOUT.as_nanos() as u64 {
            outcomes.latencies.push(took);
        }
    }
}
