//! A route's limits, compiled: what can be done once is done here.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;
use weir_config::model::{OnStoreFailure, RateAlgorithm, RateLimit, RateStore, StoreMode};
use weir_ratelimit::{
    Algorithm, Ask, Bucket, InvalidLimit, Key, KeyHasher, Leaky, Limit, Local, Rate, Secret,
    Verdict, Window,
};

use super::{
    cost, fields,
    key::{self, Counted, Subject},
    per_key::KeyedBulkhead,
    shared::{Mode, OnFailure, SharedAsk, SharedLimit, Source},
    store::{Stores, moment},
    tally::{Outcome, Tally},
    verdict::{Asked, Limited},
};
use crate::{clock::Tick, http::headers::is_vouched_for};

/// What bounds how often a route may be used.
#[derive(Debug)]
pub struct RouteLimits {
    pub(super) rules: Box<[Rule]>,
    pub(super) store: Arc<Local>,
    /// Value of `RateLimit-Policy`; `None` where all limits are in dry run.
    pub(super) policy: Option<HeaderValue>,
    pub(super) per_key: Option<KeyedBulkhead>,
    /// Whether a field of responses names what their requests did cost.
    pub(super) settles: bool,
    /// Whether their bodies do.
    pub(super) reads: bool,
    /// Whether a key or a cost may be in a field that the gateway vouches for.
    reads_vouched: bool,
}

/// One limit.
#[derive(Debug)]
pub struct Rule {
    pub(super) limit: Limit,
    /// As gateways hold it together.
    pub(super) shared: Option<SharedLimit>,
    /// Begins what all shared limits by the same parts of a request have in common: their keys lie
    /// together, wherever there are several servers, and are decided on at one moment.
    place: KeyHasher,
    pub(super) config: RateLimit,
    /// What begins its item in `RateLimit`.
    pub(super) item: Box<str>,
    /// What a denied client reads; see [`fields::document`].
    pub(super) problem: [Box<str>; 2],
    /// The most that a request header may make a request cost.
    pub(super) cost_max: u64,
}

impl RouteLimits {
    /// The limits of a route, and its bound by key; `None` where it has neither.
    ///
    /// # Errors
    /// Which limit is impossible, by its place among them, and why.
    pub fn new(
        route: &str,
        limits: &[RateLimit],
        per_key: Option<KeyedBulkhead>,
        stores: &Stores<'_>,
    ) -> Result<Option<Self>, (usize, InvalidLimit)> {
        if limits.is_empty() && per_key.is_none() {
            return Ok(None);
        }
        let rule = |(index, config): (usize, &RateLimit)| {
            Rule::new(route, config, stores).map_err(|error| (index, error))
        };
        let rules = limits.iter().enumerate().map(rule).collect::<Result<Box<[_]>, _>>()?;
        let settles = limits.iter().any(|limit| limit.cost.response_header.is_some());
        let reads = limits.iter().any(|limit| limit.cost.response_json.is_some());
        let reads_vouched = per_key.is_some()
            || limits.iter().any(|limit| {
                limit.cost.request_header.as_ref().is_some_and(is_vouched_for)
                    || limit.key.iter().any(key::may_be_vouched_for)
            });
        let policy = fields::policy(&rules);
        let store = stores.own.local.clone();
        Ok(Some(Self { rules, store, policy, per_key, settles, reads, reads_vouched }))
    }

    /// Whether what it goes by may be in a field that the gateway vouches for.
    pub(crate) const fn reads_vouched(&self) -> bool {
        self.reads_vouched
    }

    /// Its limits, in the order of their counts.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Its bound on requests under way, by key.
    pub const fn per_key(&self) -> Option<&KeyedBulkhead> {
        self.per_key.as_ref()
    }

    /// Asks all limits that concern a request and are kept here. Those that are kept elsewhere are
    /// still to be asked where [`Limited::is_open`]; then [`Self::conclude`]s.
    pub(super) fn check(&self, subject: &Subject<'_>, now: Tick) -> Limited {
        let now = moment(now);
        let mut asked: SmallVec<[Asked; 2]> = SmallVec::new();
        let mut asks: SmallVec<[Ask<'_>; 4]> = SmallVec::new();
        let mut lacking = false;
        for (index, rule) in self.rules.iter().enumerate() {
            let cost = rule.cost(subject);
            let found = match rule.key(subject) {
                Counted::Not => continue,
                Counted::Lacking => {
                    lacking |= !rule.limit.dry_run();
                    None
                }
                Counted::For(key) => {
                    let ask = rule.limit.ask(key, Some(cost));
                    if rule.shared.is_none() {
                        // What is free passes, even while a debt is paid off.
                        asks.push(Ask { dry_run: ask.dry_run || cost == 0, ..ask });
                    }
                    Some(key)
                }
            };
            asked.push(Asked { rule: index, cost, key: found, decision: None });
        }
        if lacking {
            // It does not pass: the other limits only say how they stand.
            for ask in &mut asks {
                (ask.cost, ask.dry_run) = (0, true);
            }
        }
        if !asks.is_empty() {
            let verdict = self.store.check(&asks, now);
            let here =
                |asked: &&mut Asked| asked.key.is_some() && self.rules[asked.rule].shared.is_none();
            for (asked, ruling) in asked.iter_mut().filter(here).zip(verdict.rulings()) {
                asked.decision = Some(ruling.decision);
            }
        }
        Limited::new(asked, &self.rules, lacking, now)
    }

    /// What is still to be asked elsewhere.
    pub(super) fn open<'a, 'b>(
        &'a self,
        limited: &'b Limited,
    ) -> impl Iterator<Item = SharedAsk<'a>> + use<'a, 'b> {
        limited.asked.iter().filter(|asked| asked.is_open()).filter_map(|asked| {
            let rule = self.rules.get(asked.rule)?;
            let ask = rule.shared.as_ref()?.ask(asked.key?, Some(asked.cost));
            Some(SharedAsk { dry_run: ask.dry_run || asked.cost == 0, ..ask })
        })
    }

    /// Takes down what was said elsewhere, in the order of [`Self::open`]. Where that is no, what
    /// was charged here is given back: all pass, or none is charged.
    pub(super) fn conclude(&self, limited: &mut Limited, verdict: &Verdict, source: Source) {
        let open = limited.asked.iter_mut().filter(|asked| asked.is_open());
        let told: SmallVec<[usize; 2]> = open
            .zip(verdict.rulings())
            .map(|(asked, ruling)| {
                asked.decision = Some(ruling.decision);
                asked.rule
            })
            .collect();
        limited.source = Some(source);
        limited.judge(&self.rules);
        if limited.is_denied() {
            let now = limited.at;
            for asked in limited.asked.iter_mut().filter(|asked| !told.contains(&asked.rule)) {
                let charged = asked.decision.is_some_and(|decision| decision.allowed());
                let (Some(key), true) = (asked.key, charged) else { continue };
                let limit = &self.rules[asked.rule].limit;
                self.store.refund(limit.algorithm(), key, asked.cost, now, now);
                asked.decision = Some(self.store.check_one(&limit.ask(key, Some(0)), now));
            }
        }
    }

    /// Counts what became of a request. `tallies` are the limits'.
    pub(super) fn count(&self, limited: &Limited, subject: &Subject<'_>, tallies: &[Arc<Tally>]) {
        for asked in &limited.asked {
            let (Some(rule), Some(tally)) = (self.rules.get(asked.rule), tallies.get(asked.rule))
            else {
                continue;
            };
            if rule.shared.is_some() && limited.source == Some(Source::Fallback) {
                tally.fall_back();
            }
            let dry_run = rule.limit.dry_run();
            let outcome = match &asked.decision {
                // Not asked, or not in earnest.
                Some(_) if limited.lacking => continue,
                None if asked.is_open() => continue,
                _ if asked.denies() => match dry_run {
                    true => Outcome::DryRunDenied,
                    false => Outcome::Denied,
                },
                _ if limited.denied.is_some() => continue,
                Some(decision) if !dry_run && !decision.delay().is_zero() => Outcome::Delayed,
                _ => Outcome::Allowed,
            };
            let parts = &rule.config.key;
            let hasher = rule.limit.hasher();
            let key = || asked.key.unwrap_or_else(|| hasher.absent().finish());
            tally.record(outcome, key, || key::label(hasher, parts, subject));
        }
    }

    /// What a field of a response says that its request did cost, for each limit that asks: the
    /// places of `limited.asked`, and the costs.
    pub(super) fn named(&self, limited: &Limited, headers: &HeaderMap) -> Costs {
        let named = |(place, asked): (usize, &Asked)| {
            let header = self.rules.get(asked.rule)?.config.cost.response_header.as_ref()?;
            Some((place, cost::named(headers, header)?))
        };
        limited.asked.iter().enumerate().filter_map(named).collect()
    }

    /// Settles what was charged here by what it did cost; returns what is left to be settled
    /// elsewhere.
    pub(super) fn settle(&self, limited: &mut Limited, costs: &[(usize, u64)], now: Tick) -> Rest {
        let (now, at) = (moment(now), limited.at);
        let mut rest = Rest::new();
        for (place, actual) in costs.iter().copied() {
            let Some(asked) = limited.asked.get_mut(place) else { continue };
            let Some((rule, key)) = self.rules.get(asked.rule).zip(asked.key) else { continue };
            // In dry run, or it would not have come so far.
            let Some(decision) = asked.decision.filter(|_| !asked.denies()) else { continue };
            if actual == asked.cost {
                continue;
            }
            if rule.shared.is_some() {
                rest.push(Due { rule: asked.rule, key, charged: asked.cost, actual });
                asked.decision = Some(fields::adjusted(decision, asked.cost, actual));
                continue;
            }
            let algorithm = rule.limit.algorithm();
            if actual > asked.cost {
                self.store.charge(algorithm, key, actual - asked.cost, now);
            } else {
                self.store.refund(algorithm, key, asked.cost - actual, at, now);
            }
            // The client is told how it stands by now.
            let ask = rule.limit.ask(key, Some(0));
            asked.decision = Some(self.store.check_one(&ask, now));
        }
        rest
    }
}

/// A policy, as the crate has it.
pub(super) const fn on_failure(policy: OnStoreFailure) -> OnFailure {
    match policy {
        OnStoreFailure::Local => OnFailure::Local,
        OnStoreFailure::Allow => OnFailure::Allow,
        OnStoreFailure::Deny => OnFailure::Deny,
    }
}

/// What requests did cost, by places of [`Limited::asked`].
pub(super) type Costs = SmallVec<[(usize, u64); 2]>;

/// What is left to be settled elsewhere.
pub(super) type Rest = SmallVec<[Due; 2]>;

/// A charge to be put right elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    /// Its place among the route's limits.
    pub(super) rule: usize,
    pub(super) key: Key,
    pub(super) charged: u64,
    pub(super) actual: u64,
}

impl Rule {
    fn new(route: &str, config: &RateLimit, stores: &Stores<'_>) -> Result<Self, InvalidLimit> {
        let rate = Rate::new(config.count, config.per)?;
        let (algorithm, cost_max) = match config.algorithm {
            RateAlgorithm::TokenBucket => {
                let mut bucket = Bucket::new(rate, config.burst)?;
                if config.cost.response_header.is_some() || config.cost.response_json.is_some() {
                    // What turns out dearer than the bucket holds is paid off, up to as much again.
                    bucket = bucket.with_debt(config.burst)?;
                }
                (Algorithm::TokenBucket(bucket), config.burst)
            }
            RateAlgorithm::LeakyBucket => {
                // What would wait for longer than it may has no place in the queue.
                let queue = config.burst.min(rate.earned_in(config.max_delay));
                let leaky = Leaky::new(rate, queue)?;
                (Algorithm::LeakyBucket(leaky), queue.saturating_add(1))
            }
            RateAlgorithm::SlidingWindow => {
                (Algorithm::SlidingWindow(Window::new(config.count, config.per)?), config.count)
            }
        };
        // Counts go on where all of this is as before.
        let owner = if config.shared { "" } else { route };
        let kind = if config.shared { "shared" } else { "route" };
        let scope = format!("{kind}\n{owner}\n{}", key::words(&config.key));
        let limit = |secret: &Secret| {
            Limit::new(secret, &scope, &config.name, algorithm)
                .with_cost(config.cost.fixed)
                .with_dry_run(config.dry_run)
        };
        let (limit, shared) = match config.store {
            RateStore::Local => (limit(&stores.own.secret), None),
            RateStore::Redis { mode, on_failure: policy } => {
                let mode = match mode {
                    StoreMode::Exact => Mode::Exact,
                    StoreMode::Leased => Mode::Leased,
                };
                let limit = limit(&stores.shared);
                let shared = SharedLimit::new(limit.clone(), on_failure(policy))?;
                (limit, shared.map(|shared| shared.with_mode(mode)))
            }
        };
        let item = fields::item(&config.name).into();
        let place = format!("place\n{}", key::words(&config.key));
        let place = KeyHasher::new(&stores.shared, &place);
        let problem = fields::document(&config.name);
        Ok(Self { limit, shared, place, config: config.clone(), item, problem, cost_max })
    }

    /// As the file has it.
    pub const fn config(&self) -> &RateLimit {
        &self.config
    }

    /// As it counts.
    pub const fn limit(&self) -> &Limit {
        &self.limit
    }

    fn key(&self, subject: &Subject<'_>) -> Counted {
        let of = |hasher| key::key(hasher, &self.config.key, self.config.absent, subject);
        match of(self.limit.hasher()) {
            Counted::For(key) if self.shared.is_some() => match of(self.place) {
                Counted::For(place) => Counted::For(key.beside(place)),
                other => other,
            },
            other => other,
        }
    }

    fn cost(&self, subject: &Subject<'_>) -> u64 {
        let Some(header) = &self.config.cost.request_header else { return self.limit.cost() };
        match cost::named(subject.headers, header) {
            // A client that may write the field is not to write itself free.
            Some(cost) => cost.max(self.limit.cost()).min(self.cost_max),
            None => self.limit.cost(),
        }
    }
}
