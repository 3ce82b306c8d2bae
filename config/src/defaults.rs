//! Every key of the file: type, bounds, default and meaning, in one table.
//!
//! The decoder takes its bounds and defaults from here, the JSON Schema and the reference page are
//! printed from here. `[]` in a path is an entry of a list, `*` a name that the file chooses.

use std::{collections::HashMap, sync::LazyLock};

/// One key of the file.
#[derive(Debug)]
pub struct Key {
    /// Where it stands, such as `upstreams.*.limits.queue`.
    pub path: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What holds when it is not written.
    pub fallback: Fallback,
    /// Shorter ways to write it.
    pub short: &'static [Short],
    /// What it means, in a sentence.
    pub meaning: &'static str,
}

/// Type of a value, with its bounds; all of them inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count(u64, u64),
    /// A size in bytes.
    Size(u64, u64),
    /// A duration, bounds in milliseconds.
    Duration(u64, u64),
    /// A percentage from 0 to 100.
    Percent,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words.
    Choices(&'static [&'static str]),
    /// A text; says what kind of text.
    Text(&'static str),
    /// A list of texts; says of what kind.
    Texts(&'static str),
    /// A mapping from names of one kind to values of another.
    Pairs(&'static str, &'static str),
    /// A whole number or a word.
    CountOr(u64, u64, &'static str),
    /// A size in bytes or a word.
    SizeOr(u64, u64, &'static str),
    /// A duration, bounds in milliseconds, or a word.
    DurationOr(u64, u64, &'static str),
    /// A text, or `{ file: path }`; never shown.
    Secret,
    /// A list of such; never shown.
    Secrets,
    /// A mapping with the keys below this path.
    Section,
    /// A list of mappings with the keys below `path[]`.
    Sections,
    /// A mapping from names to mappings with the keys below `path.*`.
    Named,
}

/// What holds when a key is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// It must be written.
    Required,
    /// Nothing does; says what that means.
    Absent(&'static str),
    /// This value.
    Is(&'static str),
    /// What the keys below say.
    Below,
}

/// A shorter way to write a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// `off` or `false`.
    Off,
    /// `on` or `true`: every default.
    On,
    /// A text that stands for this key of the mapping, or of an entry of the list.
    For(&'static str),
    /// A list that stands for this key of the mapping.
    ListFor(&'static str),
    /// One entry without the list around it.
    One,
    /// A text of this form.
    As(&'static str),
    /// A mapping with the keys below, in the place of a word.
    Below,
}

mod auth;
mod discovery;
mod edge;
mod idempotency;
mod limit;
mod membership;
mod route;
mod script;
mod trace;
mod traffic;
mod upstream;
mod web;

pub(crate) use auth::{CREDENTIAL, JWKS, NETWORK, SHA256, SUBJECT};
pub(crate) use idempotency::SCOPE;

/// Every key, parents before children.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    edge::KEYS
        .iter()
        .chain(trace::KEYS)
        .chain(discovery::RESOLVER)
        .chain(membership::KEYS)
        .chain(limit::SHARED)
        .chain(idempotency::STORE)
        .chain(upstream::KEYS)
        .chain(discovery::KEYS)
        .chain(route::KEYS)
        .chain(auth::NETWORKS)
        .chain(auth::AUTH)
        .chain(idempotency::ROUTE)
        .chain(limit::CONCURRENCY)
        .chain(limit::OWN)
        .chain(traffic::ALL_ROUTES)
        .chain(traffic::ROUTE)
        .chain(traffic::KEYS)
        .chain(web::ROUTE)
        .chain(script::KEYS)
}

impl Key {
    const fn new(
        path: &'static str,
        kind: Kind,
        fallback: Fallback,
        meaning: &'static str,
    ) -> Self {
        Self { path, kind, fallback, short: &[], meaning }
    }

    const fn or(mut self, short: &'static [Short]) -> Self {
        self.short = short;
        self
    }
}

/// Bounds of a time-out: a millisecond to a day.
const TIMEOUT: Kind = Kind::Duration(1, 24 * 3_600_000);

/// What the name of a service that members offer looks like.
pub(crate) const OFFER: &str = "the name of a service: letters, digits and `- _ .`";
/// What a name with addresses looks like.
pub(crate) const DNS_HOST: &str = "a name and a port such as `users.internal:8080`";
/// What a name with SRV records looks like.
pub(crate) const DNS_SERVICE: &str = "a name such as `_http._tcp.users.internal`";
/// What a DNS server looks like.
pub(crate) const DNS_SERVER: &str = "an IP address such as `10.0.0.2` or `127.0.0.1:5353`";
/// What a listening address looks like.
pub(crate) const BIND: &str =
    "an address such as `:8080`, `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/weir.sock`";
/// What an endpoint's address looks like.
pub(crate) const ADDRESS: &str =
    "an address such as `127.0.0.1:9001`, `users.internal:8080` or `unix:/run/app.sock`";
/// What the path of a PEM file looks like.
pub(crate) const PEM: &str = "the path of a PEM file, relative to this file";
/// What a name looks like.
pub(crate) const NAME: &str = "a name of letters, digits and `_ - . / :`";
/// What a host pattern looks like.
pub(crate) const HOST: &str = "a host such as `api.example.com`, `*.example.com` or `*`";
/// What a path pattern looks like.
pub(crate) const PATH: &str = "a path such as `/exact`, `/a/**`, `/users/{id}` or `~ ^/v[0-9]+/`";
/// What the path of a health check looks like.
pub(crate) const PROBE: &str = "a path such as `/healthz`";
/// What the service of a health check by gRPC looks like.
pub(crate) const SERVICE: &str = "the name of a gRPC service, or `\"\"` for the whole server";
/// What the statuses that pass a health check look like.
pub(crate) const STATUSES: &str = "a status or a range of them such as `200` or `200-299`";
/// What the failures that another attempt answers look like.
pub(crate) const RETRY_ON: &str =
    "`connect`, `reset`, `timeout`, `5xx`, or a status or a range of them from 400 to 599";
/// What the tolerance of an adaptive limit looks like.
pub(crate) const TOLERANCE: &str = "a number from 1.0 to 10.0, such as `1.5`";
/// What the address of a Redis server looks like.
pub(crate) const REDIS: &str = "a URL such as `redis://127.0.0.1:6379`, \
                                `rediss://user:password@host:6380/0` or `unix:///run/redis.sock`";
/// What the address that others reach a member at looks like.
pub(crate) const ADVERTISE: &str =
    "an IP address such as `192.0.2.1`, or one with a port such as `192.0.2.1:7946`";
/// What the address of another member looks like.
pub(crate) const SEED: &str = "an address such as `10.0.0.1:7946` or `edge.internal:7946`";
/// What the way to a number in a JSON document looks like.
pub(crate) const JSON_PATH: &str = "names of objects and a number in them, such as \
                                    `usage.total_tokens`";
/// What a part of a key of limits looks like.
pub(crate) const KEY: &str = "`client_ip`, `identity`, `header:N`, `cookie:N`, `query:N`, \
                              `claim:N` (`N` being a name), `path`, `route` or `lua:E` (`E` being \
                              an expression)";
/// What an origin looks like.
pub(crate) const ORIGIN: &str = "an origin such as `https://app.example.com`, \
                                 `https://*.example.com` or `~ regex`, or `*`";
/// What a media type, or several of one form, look like.
pub(crate) const MEDIA_RANGE: &str =
    "a media type such as `text/html`, `text/*` or `application/*+json`";
/// What the name of a parameter in a cache's key looks like.
pub(crate) const PARAMETER: &str = "the name of a parameter, or its beginning and a `*`";
/// What a part of a key that endpoints are chosen by looks like.
pub(crate) const HASH_KEY: &str = "`client_ip`, `identity`, `header:N`, `cookie:N`, `query:N`, \
                                   `claim:N` (`N` being a name), `path` or `lua:E` (`E` being an \
                                   expression)";
/// What the address of a collector of spans looks like.
pub(crate) const COLLECTOR: &str = "a URL such as `http://127.0.0.1:4318`";
/// What a bound on load looks like.
pub(crate) const LOAD_BOUND: &str = "a number from 1.0 to 10.0, such as `1.25`, or `off`";
/// What may happen where a request lacks a part of a key.
pub(crate) const ABSENT: &[&str] = &["share", "skip", "deny"];
/// What a condition on a value looks like.
pub(crate) const VALUE: &str = "exact value, `*` for any, or `~ regex`";

impl Key {
    /// The last part of the path: how the key is written.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    /// The mapping that it stands in.
    #[must_use]
    pub fn place(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(place, _)| place)
    }

    /// The text of the default; empty when it has none.
    #[must_use]
    pub fn default_text(&self) -> &'static str {
        match self.fallback {
            Fallback::Is(text) => text,
            Fallback::Required | Fallback::Absent(_) | Fallback::Below => "",
        }
    }

    /// The words that are legal, when there are few.
    #[must_use]
    pub fn words(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Choice(words) | Kind::Choices(words) => words,
            _ => &[],
        }
    }
}

/// The keys of a mapping, in the order of the table; none when there is no such place.
pub(crate) fn section(place: &str) -> &'static [&'static Key] {
    static SECTIONS: LazyLock<HashMap<&'static str, Vec<&'static Key>>> = LazyLock::new(|| {
        let mut sections: HashMap<_, Vec<_>> = HashMap::new();
        for key in keys() {
            sections.entry(key.place()).or_default().push(key);
        }
        sections
    });
    SECTIONS.get(place).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
