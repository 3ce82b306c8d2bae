//! A limit that a server keeps for several gateways.

use crate::{
    algorithm::Algorithm, key::Key, lease::Terms, limiter::Limit, rate::InvalidLimit,
    remote::Remote,
};

/// What a limit says while its server does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// This gateway admits its share: the rate by the number of gateways that are alive.
    #[default]
    Local,
    /// Everything passes.
    Allow,
    /// Nothing passes.
    Deny,
}

/// How a limit asks its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Once a request.
    #[default]
    Exact,
    /// Once for many: tokens are charged ahead, and spent here.
    Leased,
}

/// A limit that gateways hold together.
#[derive(Debug, Clone)]
pub struct SharedLimit {
    limit: Limit,
    remote: Remote,
    on_failure: OnFailure,
    /// Of one that is leased.
    terms: Option<Terms>,
}

/// One limit that a request falls under.
#[derive(Debug, Clone, Copy)]
pub struct SharedAsk<'a> {
    /// How it counts.
    pub limit: &'a SharedLimit,
    /// Whom it counts.
    pub key: Key,
    /// What the request costs.
    pub cost: u64,
    /// Counted, but never denied for.
    pub dry_run: bool,
}

/// A request that turned out to cost something else.
#[derive(Debug, Clone, Copy)]
pub struct Correction<'a> {
    /// The limit that admitted it.
    pub limit: &'a SharedLimit,
    /// Whom it counted.
    pub key: Key,
    /// What it was thought to cost.
    pub charged: u64,
    /// What it cost.
    pub actual: u64,
}

impl SharedLimit {
    /// `limit`, on the servers. Never `None`: every algorithm can be shared.
    ///
    /// # Errors
    /// [`InvalidLimit::Burst`] when it takes over 73 years to fill.
    pub fn new(limit: Limit, on_failure: OnFailure) -> Result<Option<Self>, InvalidLimit> {
        let remote = Remote::new(limit.algorithm())?;
        Ok(Some(Self { limit, remote, on_failure, terms: None }))
    }

    /// Lets it ask its server so. What is no token bucket, or admits nothing, stays exact.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.terms = match mode {
            Mode::Exact => None,
            Mode::Leased => Terms::new(self.remote),
        };
        self
    }

    /// How it asks its server.
    pub const fn mode(&self) -> Mode {
        if self.terms.is_some() { Mode::Leased } else { Mode::Exact }
    }

    /// The limit: its name, its cost, and how keys are made for it.
    pub const fn limit(&self) -> &Limit {
        &self.limit
    }

    /// What it says while its server does not.
    pub const fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    /// The question whether a request by `key` passes; `cost` goes before the limit's own.
    pub fn ask(&self, key: Key, cost: Option<u64>) -> SharedAsk<'_> {
        let cost = cost.unwrap_or_else(|| self.limit.cost());
        SharedAsk { limit: self, key, cost, dry_run: self.limit.dry_run() }
    }

    /// The limit as the server keeps it.
    pub(super) const fn remote(&self) -> &Remote {
        &self.remote
    }

    /// How it is leased, if it is.
    pub(super) const fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }

    /// The limit of one of `members` gateways that share it without talking.
    pub(super) fn share(&self, members: u32) -> Algorithm {
        self.limit.algorithm().share(members)
    }
}
