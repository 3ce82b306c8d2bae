//! A route's limits, compiled: what can be done once is done here.

use std::{cmp::Ordering, sync::Arc};

use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;
use weir_config::model::{RateAlgorithm, RateLimit};
use weir_ratelimit::{Algorithm, Ask, Bucket, InvalidLimit, Leaky, Limit, Local, Rate, Window};

use super::{
    LimitStore, cost, fields,
    key::{self, Counted, Subject},
    per_key::KeyedBulkhead,
    store::moment,
    tally::{Outcome, Tally},
    verdict::{Asked, Limited},
};
use crate::clock::Tick;

/// What bounds how often a route may be used.
#[derive(Debug)]
pub struct RouteLimits {
    pub(super) rules: Box<[Rule]>,
    pub(super) store: Arc<Local>,
    /// Value of `RateLimit-Policy`; `None` where all limits are in dry run.
    pub(super) policy: Option<HeaderValue>,
    pub(super) per_key: Option<KeyedBulkhead>,
    /// Whether responses name what their requests did cost.
    pub(super) settles: bool,
}

/// One limit.
#[derive(Debug)]
pub struct Rule {
    pub(super) limit: Limit,
    pub(super) config: RateLimit,
    /// What begins its item in `RateLimit`.
    pub(super) item: Box<str>,
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
        store: &LimitStore,
    ) -> Result<Option<Self>, (usize, InvalidLimit)> {
        if limits.is_empty() && per_key.is_none() {
            return Ok(None);
        }
        let rule = |(index, config): (usize, &RateLimit)| {
            Rule::new(route, config, store).map_err(|error| (index, error))
        };
        let rules = limits.iter().enumerate().map(rule).collect::<Result<Box<[_]>, _>>()?;
        let settles = limits.iter().any(|limit| limit.cost.response_header.is_some());
        let policy = fields::policy(&rules);
        Ok(Some(Self { rules, store: store.local.clone(), policy, per_key, settles }))
    }

    /// Its limits, in the order of their counts.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Its bound on requests under way, by key.
    pub const fn per_key(&self) -> Option<&KeyedBulkhead> {
        self.per_key.as_ref()
    }

    /// Asks all limits that concern a request. `tallies` are theirs.
    pub(super) fn check(
        &self,
        subject: &Subject<'_>,
        tallies: &[Arc<Tally>],
        now: Tick,
    ) -> Limited {
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
                    // What is free passes, even while a debt is paid off.
                    asks.push(Ask { dry_run: ask.dry_run || cost == 0, ..ask });
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
            let found = asked.iter_mut().filter(|asked| asked.key.is_some());
            for (asked, ruling) in found.zip(verdict.rulings()) {
                asked.decision = Some(ruling.decision);
            }
        }
        let limited = Limited::new(asked, &self.rules, lacking, now);
        self.count(&limited, lacking, subject, tallies);
        limited
    }

    fn count(
        &self,
        limited: &Limited,
        lacking: bool,
        subject: &Subject<'_>,
        tallies: &[Arc<Tally>],
    ) {
        for asked in &limited.asked {
            let (Some(rule), Some(tally)) = (self.rules.get(asked.rule), tallies.get(asked.rule))
            else {
                continue;
            };
            let dry_run = rule.limit.dry_run();
            let outcome = match &asked.decision {
                // Not asked in earnest.
                Some(_) if lacking => continue,
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

    /// Settles what was charged by what a response says that it did cost.
    pub(super) fn settle(&self, limited: &mut Limited, headers: &HeaderMap, now: Tick) {
        let (now, at) = (moment(now), limited.at);
        for asked in &mut limited.asked {
            let Some(rule) = self.rules.get(asked.rule) else { continue };
            let header = rule.config.cost.response_header.as_ref();
            let actual = header.and_then(|header| cost::named(headers, header));
            let (Some(actual), Some(key)) = (actual, asked.key) else { continue };
            if asked.denies() {
                // In dry run: it would not have come so far.
                continue;
            }
            let algorithm = rule.limit.algorithm();
            match actual.cmp(&asked.cost) {
                Ordering::Equal => continue,
                Ordering::Greater => self.store.charge(algorithm, key, actual - asked.cost, now),
                Ordering::Less => self.store.refund(algorithm, key, asked.cost - actual, at, now),
            }
            // The client is told how it stands by now.
            let ask = rule.limit.ask(key, Some(0));
            asked.decision = Some(self.store.check_one(&ask, now));
        }
    }
}

impl Rule {
    fn new(route: &str, config: &RateLimit, store: &LimitStore) -> Result<Self, InvalidLimit> {
        let rate = Rate::new(config.count, config.per)?;
        let (algorithm, cost_max) = match config.algorithm {
            RateAlgorithm::TokenBucket => {
                let mut bucket = Bucket::new(rate, config.burst)?;
                if config.cost.response_header.is_some() {
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
        let limit = Limit::new(&store.secret, &scope, &config.name, algorithm)
            .with_cost(config.cost.fixed)
            .with_dry_run(config.dry_run);
        let item = fields::item(&config.name).into();
        Ok(Self { limit, config: config.clone(), item, cost_max })
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
        key::key(self.limit.hasher(), &self.config.key, self.config.absent, subject)
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
