//! The limits of one route, and their store.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    algorithm::{Algorithm, Policy},
    decision::Verdict,
    key::{Key, KeyHasher, Secret},
    local::{Ask, Local},
    moment::Nanos,
};

#[cfg(test)]
mod tests;

/// A named limit.
#[derive(Debug, Clone)]
pub struct Limit {
    name: Box<str>,
    algorithm: Algorithm,
    cost: u64,
    dry_run: bool,
    policy: Policy,
    hasher: KeyHasher,
}

impl Limit {
    /// The limit `name` of `scope`, say a route: limits share their keys' state if they have both
    /// in common, and the algorithm. Requests cost 1.
    ///
    /// A later limit with the same names takes over what is kept of each key, with a rate or burst
    /// of its own. A sliding window of another length begins anew.
    pub fn new(secret: &Secret, scope: &str, name: &str, algorithm: Algorithm) -> Self {
        let hasher = KeyHasher::new(secret, scope);
        let hasher = hasher.part(name.as_bytes()).part(algorithm.kind().as_bytes());
        let policy = algorithm.policy();
        Self { name: name.into(), algorithm, cost: 1, dry_run: false, policy, hasher }
    }

    /// Lets a request cost `cost` where nothing else is said.
    #[must_use]
    pub const fn with_cost(mut self, cost: u64) -> Self {
        self.cost = cost;
        self
    }

    /// Makes the limit count without denying.
    #[must_use]
    pub const fn with_dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Its name.
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// How it counts.
    pub const fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    /// What a request costs where nothing else is said.
    pub const fn cost(&self) -> u64 {
        self.cost
    }

    /// Whether it only counts.
    pub const fn dry_run(&self) -> bool {
        self.dry_run
    }

    /// What to advertise.
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Begins the key of a request: add its parts and finish.
    pub const fn hasher(&self) -> KeyHasher {
        self.hasher
    }

    /// The question whether a request by `key` passes; `cost` goes before the limit's own.
    pub fn ask(&self, key: Key, cost: Option<u64>) -> Ask<'_> {
        let cost = cost.unwrap_or(self.cost);
        Ask { algorithm: &self.algorithm, key, cost, dry_run: self.dry_run }
    }
}

/// What a request has been charged, to be settled when its real cost is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// What it was thought to cost; `None` for each limit's own cost.
    pub cost: Option<u64>,
    /// When it was decided on.
    pub at: Nanos,
}

/// Limits that hold together: all pass, or none is charged.
#[derive(Debug, Clone)]
pub struct Limiter {
    store: Arc<Local>,
    limits: Box<[Limit]>,
}

impl Limiter {
    /// Limits whose keys are kept in `store`.
    pub fn new(store: Arc<Local>, limits: Vec<Limit>) -> Self {
        Self { store, limits: limits.into() }
    }

    /// The limits, in the order of their keys in [`Limiter::check`].
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Where their keys are kept.
    pub const fn store(&self) -> &Arc<Local> {
        &self.store
    }

    /// Decides on a request with one key per limit, in the limits' order. `cost` goes before each
    /// limit's own. Limits without a key are not asked.
    pub fn check(&self, keys: &[Key], cost: Option<u64>, now: Nanos) -> Verdict {
        let pairs = self.limits.iter().zip(keys);
        let asks: SmallVec<[Ask<'_>; 4]> =
            pairs.map(|(limit, key)| limit.ask(*key, cost)).collect();
        self.store.check(&asks, now)
    }

    /// Corrects what a request has been charged: it cost `actual`. What is missing is charged, even
    /// into debt where the algorithm has it; what was too much is given back. By its `verdict`, a
    /// limit that charged nothing is left alone.
    pub fn settle(&self, keys: &[Key], verdict: &Verdict, charge: Charge, actual: u64, now: Nanos) {
        if !verdict.allowed() {
            return;
        }
        let pairs = self.limits.iter().zip(keys).zip(verdict.rulings());
        for ((limit, key), _) in pairs.filter(|(_, ruling)| ruling.decision.allowed()) {
            let charged = charge.cost.unwrap_or(limit.cost);
            if actual > charged {
                self.store.charge(&limit.algorithm, *key, actual - charged, now);
            } else if actual < charged {
                self.store.refund(&limit.algorithm, *key, charged - actual, charge.at, now);
            }
        }
    }
}
