//! One worker's pools for the endpoints of one upstream, and how it picks among them.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use weir_config::model::Balance;

use super::{EndpointPool, Pooled};
use crate::{
    clock::Tick,
    limit::key::Subject,
    quic::Dialer,
    telemetry::registry::Registry,
    upstream::{
        endpoint::{Endpoint, Upstream},
        load::LatencyHistogram,
        pick::{
            Picker,
            hash::{Place, Terms},
        },
        roster::Mode,
    },
};

/// How long a quantile of the latency is believed.
const QUANTILE_KEEP: Duration = Duration::from_secs(1);
/// Answers from which one is read.
const SAMPLES_LEAST: u64 = 100;
/// Less is never waited for an answer.
const HEDGE_LEAST: Duration = Duration::from_millis(1);

/// One worker's view of one upstream.
#[derive(Debug)]
pub(crate) struct UpstreamPool {
    /// What all workers share.
    pub(crate) shared: Arc<Upstream>,
    /// In the order of the configuration.
    pub(crate) endpoints: Vec<Pooled>,
    picker: RefCell<Picker>,
    /// For further attempts, where the picker goes by turns.
    spare: Option<RefCell<Picker>>,
    /// What most answers took of late, and until when that is believed.
    slow: Cell<(Tick, Option<Duration>)>,
}

impl UpstreamPool {
    /// Builds the view, keeping the pools of `previous` where the endpoint and the way to it are
    /// the same.
    pub(crate) fn new(
        shared: Arc<Upstream>,
        previous: Option<&Self>,
        registry: &Registry,
        dialer: &Rc<Dialer>,
        rng: &mut fastrand::Rng,
    ) -> Self {
        let weights: Vec<u32> =
            shared.config.endpoints.iter().map(|endpoint| endpoint.weight).collect();
        let kept = previous.filter(|old| Arc::ptr_eq(&old.shared.connector, &shared.connector));
        // By their places in memory: an upstream may have thousands.
        let kept: HashMap<*const Endpoint, &Pooled> = kept
            .iter()
            .flat_map(|old| &old.endpoints)
            .map(|pool| (Arc::as_ptr(&pool.0.shared), pool))
            .collect();
        let endpoints = shared
            .endpoints
            .iter()
            .map(|endpoint| {
                let same = kept.get(&Arc::as_ptr(endpoint)).map(|same| (*same).clone());
                same.unwrap_or_else(|| {
                    let (endpoint, dialer) = (endpoint.clone(), dialer.clone());
                    Pooled(Rc::new(EndpointPool::new(endpoint, &shared, registry, dialer, rng)))
                })
            })
            .collect();
        let balance = shared.config.balance;
        let picker = RefCell::new(Picker::new(balance, &weights, rng));
        let in_turn = balance == Balance::RoundRobin;
        let spare = in_turn.then(|| RefCell::new(Picker::new(Balance::Random, &weights, rng)));
        let slow = Cell::new((Tick::ZERO, None));
        Self { shared, endpoints, picker, spare, slow }
    }

    /// Where the key of a request is, if one decides and the request has it.
    pub(crate) fn place(&self, subject: &Subject<'_>) -> Option<Place> {
        self.shared.keys.as_ref()?.place(subject)
    }

    /// Chooses an endpoint that is not excluded and whose breaker lets somebody through, among
    /// those in use as long as there are any.
    pub(crate) fn pick(
        &self,
        place: Option<Place>,
        excluded: impl Fn(usize) -> bool,
        now: Tick,
        rng: &mut fastrand::Rng,
    ) -> Option<usize> {
        self.pick_by(&self.picker, place, excluded, now, rng)
    }

    /// The same for a further attempt at a request, which takes nobody's turn: two endpoints in
    /// turn, of which one fails, would else send every request to that one first.
    #[cold]
    pub(crate) fn pick_again(
        &self,
        place: Option<Place>,
        excluded: impl Fn(usize) -> bool,
        now: Tick,
        rng: &mut fastrand::Rng,
    ) -> Option<usize> {
        self.pick_by(self.spare.as_ref().unwrap_or(&self.picker), place, excluded, now, rng)
    }

    fn pick_by(
        &self,
        picker: &RefCell<Picker>,
        place: Option<Place>,
        excluded: impl Fn(usize) -> bool,
        now: Tick,
        rng: &mut fastrand::Rng,
    ) -> Option<usize> {
        let breaks = self.shared.config.breaker.is_some();
        let refuses = |index: usize| self.endpoints[index].0.shared.breaker.refuses(now);
        let excluded = |index| excluded(index) || (breaks && refuses(index));
        let mode = self.shared.roster.mode();
        if let (Some(keys), Some(place)) = (&self.shared.keys, place) {
            // The request itself has its place among them already.
            let under_way = self.shared.gates.requests.in_use().saturating_sub(1);
            let terms = Terms { shares: mode == Mode::Shares, under_way };
            return keys.pick(&self.endpoints, place, terms, excluded);
        }
        let mut picker = picker.borrow_mut();
        match mode {
            Mode::Whole | Mode::Panic => picker.pick(&self.endpoints, excluded, now, rng),
            Mode::Shares => picker.pick_in_use(&self.endpoints, excluded, now, rng),
        }
    }

    /// What 95 of 100 answers took of late, over all endpoints, at least a millisecond; none while
    /// there are few. As of at most a second ago.
    pub(crate) fn p95(&self, now: Tick) -> Option<Duration> {
        let (until, known) = self.slow.get();
        if now < until {
            return known;
        }
        let all = self.endpoints.iter().map(|pool| pool.0.shared.load.latency());
        let p95 = LatencyHistogram::quantile_of(all, 0.95, SAMPLES_LEAST);
        let p95 = p95.map(|time| time.max(HEDGE_LEAST));
        self.slow.set((now + QUANTILE_KEEP, p95));
        p95
    }

    /// How long it takes until a breaker of these endpoints lets somebody through, if there is one
    /// that does not.
    pub(crate) fn opens_in(&self, now: Tick) -> Option<Duration> {
        self.shared.config.breaker?;
        let breakers = self.endpoints.iter().map(|pool| &pool.0.shared.breaker);
        // One that is half open waits for its probes, and will say soon.
        let refusing = breakers.filter(|breaker| breaker.refuses(now));
        refusing.map(|breaker| breaker.opens_until(now).unwrap_or(now).since(now)).min()
    }

    /// Sweeps all pools.
    pub(crate) fn sweep(&self, now: Tick) {
        for pool in &self.endpoints {
            pool.0.sweep(now);
        }
    }

    /// Closes the pools that `next` does not go on using.
    pub(crate) fn retire(&self, next: Option<&Self>) {
        let kept: HashSet<*const EndpointPool> =
            next.iter().flat_map(|next| &next.endpoints).map(|pool| Rc::as_ptr(&pool.0)).collect();
        for pool in &self.endpoints {
            if !kept.contains(&Rc::as_ptr(&pool.0)) {
                pool.0.close();
            }
        }
    }
}
