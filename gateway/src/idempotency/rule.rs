//! What a route says of keyed requests, and the look at each request whether it is one.

use std::sync::Arc;

use http::{HeaderMap, request};
use weir_config::model::{KeyPart, RecordStore, RouteIdempotency, Unkept, UnknownOutcome};

use super::{
    Told,
    fingerprint::Fingerprinter,
    key::{self, RecordKey},
    memory::Memory,
    state::Terms,
    store::Store,
    tell::Outcome,
};
use crate::{
    cache::Room,
    error::Error,
    http::{
        exchange::{EarlyData, Exchange},
        guard::{Checked, Framing},
    },
    limit::key::{Subject, identity},
    worker::World,
};

/// Bytes that a record takes at the least, about: bounds how many there may be.
const RECORD_BYTES: u64 = 1024;

/// What all routes share, and all configurations: to forget a record is to run its request again.
#[derive(Debug)]
pub(crate) struct Records {
    /// The store of this process.
    pub(crate) memory: Arc<Memory>,
    /// For bodies of requests and responses that are under way.
    pub(crate) room: Room,
}

impl Records {
    /// No records, and room for so many bytes of them; as much again for what is under way.
    pub(crate) fn new(bytes: u64) -> Self {
        let memory = Arc::new(Memory::new(bytes, bytes / RECORD_BYTES));
        Self { memory, room: Room::new(bytes) }
    }
}

/// What a route does with keyed requests.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(super) config: RouteIdempotency,
    /// What tells its keys from those of other routes, those of configurations to come included.
    route: Box<str>,
    pub(super) records: Arc<Records>,
}

/// A request with a key, as far as it is known before its body.
#[derive(Debug)]
pub(crate) struct Keyed {
    pub(super) key: RecordKey,
    pub(super) print: Fingerprinter,
}

/// What a request asks for, beside its head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The host, perhaps with a port.
    pub(crate) authority: &'a str,
    /// The path by which it was routed.
    pub(crate) path: &'a str,
    /// The query.
    pub(crate) query: Option<&'a str>,
}

impl Rule {
    /// The rule of a route that `route` tells from all others.
    pub(crate) fn new(config: &RouteIdempotency, route: &str, records: Arc<Records>) -> Self {
        Self { config: config.clone(), route: route.into(), records }
    }

    /// Whether its records are those of other gateways as well.
    pub(super) fn is_shared(&self) -> bool {
        self.config.store == RecordStore::Redis
    }

    /// Where its records are.
    pub(super) fn store(&self, world: &World) -> Option<Store> {
        match self.config.store {
            RecordStore::Memory => Some(Store::Memory(self.records.memory.clone())),
            RecordStore::Redis => Some(Store::Redis(world.records.as_ref()?.store().clone())),
        }
    }

    pub(super) fn terms(&self) -> Terms {
        Terms {
            lease: self.config.lease,
            ttl: self.config.ttl,
            redrive: self.redrives(),
            runs_unclaimed: self.config.on_store_failure == Unkept::Pass,
        }
    }

    /// Whether the upstream itself runs a key once.
    pub(super) fn redrives(&self) -> bool {
        self.config.unknown == UnknownOutcome::Redrive
    }

    /// Under what a client's key is kept; `None` if nobody knows whose it is.
    fn record(&self, key: &[u8], subject: &Subject<'_>) -> Option<RecordKey> {
        let parts: Option<Vec<_>> =
            self.config.scope.iter().map(|part| identity(part, subject)).collect();
        let parts = parts?;
        let scope: Vec<_> = parts.iter().map(|part| Some(&**part)).collect();
        Some(RecordKey::new(&scope, &self.scoped_route(), key))
    }

    /// What a scope is made of belongs to it: an address is not to pass for a token.
    fn scoped_route(&self) -> String {
        let words = self.config.scope.iter().map(KeyPart::to_string).collect::<Vec<_>>();
        format!("{}\n{}", self.route, words.join("\n"))
    }
}

/// Whether a request has a key that means something here. What it comes to is noted with the
/// exchange.
///
/// # Errors
/// What is wrong with the key, with its sender, or with the lack of it.
pub(crate) fn look(
    exchange: &mut Exchange,
    rule: &Rule,
    head: &request::Parts,
    checked: &Checked,
    target: Target<'_>,
) -> Result<Option<Box<Keyed>>, Error> {
    let config = &rule.config;
    if !config.methods.contains(&head.method) {
        return Ok(None);
    }
    let has_key = head.headers.contains_key(&config.header);
    if checked.bridged || checked.upgrade.is_some() {
        // What a tunnel carries has no outcome.
        if has_key {
            note(exchange, Outcome::Ignored, &head.headers);
        }
        return Ok(None);
    }
    if !has_key && !config.required {
        return Ok(None);
    }
    note(exchange, Outcome::Refused, &head.headers);
    let key = key::find(&head.headers, &config.header);
    let key = key.map_err(|_| Error::IdempotencyKeyMalformed)?;
    let key = key.ok_or(Error::IdempotencyKeyMissing)?;
    // Whoever recorded it could send it again, though nothing but a replay might come of it.
    if head.extensions.get::<EarlyData>().is_some() {
        return Err(Error::TooEarly);
    }
    let subject = Subject {
        client: exchange.client,
        headers: &head.headers,
        path: target.path,
        query: target.query,
        route: "",
        identity: exchange.identity(),
        lua: None,
    };
    let record = rule.record(&key, &subject).ok_or(Error::IdempotencyKeyUnscoped)?;
    if matches!(checked.framing, Framing::Length(length) if length > config.max_body.into()) {
        return match config.large_body {
            Unkept::Refuse => Err(Error::IdempotencyKeyTooLarge),
            Unkept::Pass => {
                note(exchange, Outcome::Ignored, &head.headers);
                Ok(None)
            }
        };
    }
    let mut asked = String::with_capacity(target.path.len() + 64);
    asked.push_str(target.path);
    if let Some(query) = target.query {
        asked.push('?');
        asked.push_str(query);
    }
    let names = &config.fingerprint;
    let print = Fingerprinter::new(&head.method, target.authority, &asked, &head.headers, names);
    if let Some(told) = &mut exchange.idempotency {
        told.key = Some(record);
    }
    Ok(Some(Box::new(Keyed { key: record, print })))
}

fn note(exchange: &mut Exchange, outcome: Outcome, headers: &HeaderMap) {
    exchange.idempotency = Some(Box::new(Told::new(outcome, headers)));
}
