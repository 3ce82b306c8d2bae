//! `rate_limits` and `routes[].rate_limit`.

use std::{collections::HashMap, time::Duration};

use super::{Complaint, Decoder, cost, key, upstream};
use crate::{
    diagnostic::Diagnostic,
    fields::Fields,
    model::{Cost, OnStoreFailure, PathMatch, RateAlgorithm, RateLimit, RateStore, StoreMode},
    source::Span,
    units::{self, RATE, Rate, show_duration, show_rate},
    yaml::{Node, Value, Word, shorten},
};

/// Most limits that routes share.
const SHARED: usize = 10_000;
/// Most limits of a route.
const LIMITS: usize = 8;
/// Most names that are worth listing.
const LISTED: usize = 12;
/// The longest time in which a burst is earned: beyond it a limit is a mistake, and much beyond it
/// no count of nanoseconds.
const EARNED_IN_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

/// The limits that routes may name; without a value when it was wrong, so that routes which name
/// it are not blamed as well.
pub(super) type Shared = HashMap<String, Option<RateLimit>>;

/// A place of the table with the keys of a limit.
struct Place {
    limit: &'static str,
    cost: &'static str,
}

const OWN_PLACE: Place =
    Place { limit: "routes[].rate_limit[]", cost: "routes[].rate_limit[].cost" };
const SHARED_PLACE: Place = Place { limit: "rate_limits.*", cost: "rate_limits.*.cost" };

/// What a limit is called, and who has it.
struct Title {
    name: String,
    span: Span,
    shared: bool,
}

/// The limits that routes share, in file order and by name.
pub(super) fn shared(d: &mut Decoder<'_>, fields: &Fields<'_>) -> (Vec<RateLimit>, Shared) {
    let mut names = Shared::new();
    let limits = fields.pairs(d, "rate_limits", SHARED, |d, word, node| {
        if let Err(complaint) = shared_name(&word.text) {
            d.complain(word.span, &word.text, complaint);
        }
        let limit = one_shared(d, word, node);
        names.insert(word.text.clone(), limit.clone());
        limit
    });
    (limits, names)
}

fn one_shared(d: &mut Decoder<'_>, word: &Word, node: &Node) -> Option<RateLimit> {
    let fields = Fields::open(d, node, SHARED_PLACE.limit);
    if fields.is_broken() {
        return None;
    }
    let title = Title { name: word.text.clone(), span: word.span, shared: true };
    let limit = long(d, &fields, &SHARED_PLACE, title);
    if let Some(limit) = &limit {
        key::lint(d, &fields, &limit.key, None);
    }
    fields.finish();
    limit
}

/// A name that cannot be taken for a rate.
fn shared_name(text: &str) -> Result<String, Complaint> {
    let name = upstream::name(text)?;
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return Ok(name);
    }
    let what = format!("the name of a limit begins with a letter, found `{}`", shorten(text));
    Err(Complaint::new(what).hint("so that it is not taken for a rate"))
}

/// The limits of a route.
pub(super) fn of_route(
    d: &mut Decoder<'_>,
    route: &Fields<'_>,
    shared: &Shared,
    paths: &PathMatch,
) -> Vec<RateLimit> {
    let read = |d: &mut Decoder<'_>, node: &Node| {
        if node.is_off() {
            return Vec::new();
        }
        if node.is_empty_list() {
            d.report.error(node.span, "`rate_limit` is empty").hint =
                Some("write `rate_limit: off` for none".to_owned());
        }
        let several = matches!(&node.value, Value::List(items) if items.len() > 1);
        let mut number = 0;
        let mut lines: HashMap<String, u32> = HashMap::new();
        d.each(node, LIMITS, |d, node| {
            number += 1;
            let name = if several { format!("default-{number}") } else { "default".to_owned() };
            let limit = entry(d, node, name, shared, paths)?;
            let line = lines.insert(limit.name.clone(), node.span.line);
            if let Some(line) = line {
                let what = format!("the route has a limit with the name `{}` already", limit.name);
                d.report.error(node.span, what).hint = Some(format!("first on line {line}"));
            }
            Some(limit)
        })
    };
    route.at(d, "rate_limit", read).unwrap_or_default()
}

/// A limit as a mapping, a rate, or the name of one that routes share.
fn entry(
    d: &mut Decoder<'_>,
    node: &Node,
    name: String,
    shared: &Shared,
    paths: &PathMatch,
) -> Option<RateLimit> {
    let title = |name| Title { name, span: node.span, shared: false };
    if let Value::Text(text) = &node.value {
        if let Some(limit) = shared.get(text) {
            return limit.clone();
        }
        let letter = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if letter && !text.contains('/') {
            unknown(d, node.span, text, shared);
            return None;
        }
        let fields = Fields::empty(OWN_PLACE.limit);
        let rate = d.parsed(node, RATE, rate)?;
        return limit(d, &fields, &OWN_PLACE, title(name), Some((rate, node.span)));
    }
    let fields = Fields::open(d, node, OWN_PLACE.limit);
    if fields.is_broken() {
        return None;
    }
    let named = fields.parsed(d, "name", upstream::name);
    let limit = long(d, &fields, &OWN_PLACE, title(named.unwrap_or(name)));
    if let Some(limit) = &limit {
        key::lint(d, &fields, &limit.key, Some(paths));
    }
    fields.finish();
    limit
}

fn unknown(d: &mut Decoder<'_>, span: Span, name: &str, shared: &Shared) {
    let full = d.report.full();
    let one = d.report.error(span, format!("unknown rate limit `{}`", shorten(name)));
    if full {
        return;
    }
    let mut known: Vec<&str> = shared.keys().map(String::as_str).collect();
    known.sort_unstable();
    one.hint = Some(match Diagnostic::suggest(name, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "write a rate such as `100/s`, or the name of one of `rate_limits`".to_owned(),
    });
    one.legal = known.iter().take(LISTED).map(|&name| name.to_owned()).collect();
}

fn rate(text: &str) -> Result<Rate, Complaint> {
    units::rate(text).map_err(|wrong| {
        let what = format!("expected {}, found `{}`", wrong.expected, shorten(text));
        Complaint { hint: wrong.hint, ..Complaint::new(what) }
    })
}

/// A limit that is written as a mapping.
fn long(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    place: &Place,
    title: Title,
) -> Option<RateLimit> {
    let rate = fields.parsed(d, "rate", rate);
    let Some(node) = fields.node("rate") else {
        fields.missing(d, "rate", "such as `rate: 100/s`");
        limit(d, fields, place, title, None);
        return None;
    };
    limit(d, fields, place, title, rate.map(|rate| (rate, node.span)))
}

/// A limit with the rate that was read and where it stands; without, the rest is read to find
/// what else is wrong.
fn limit(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    place: &Place,
    title: Title,
    rate: Option<(Rate, Span)>,
) -> Option<RateLimit> {
    let algorithm = match fields.choice(d, "algorithm") {
        "leaky_bucket" => RateAlgorithm::LeakyBucket,
        "sliding_window" => RateAlgorithm::SlidingWindow,
        _ => RateAlgorithm::TokenBucket,
    };
    let burst = fields.count_or(d, "burst");
    if let (Some(node), None, RateAlgorithm::LeakyBucket) = (fields.node("burst"), burst, algorithm)
        && matches!(&node.value, Value::Text(text) if text == "0")
    {
        d.report.amend("a `token_bucket` with `burst: 1` paces and lets nothing wait".to_owned());
    }
    let key = key::read(d, fields);
    let absent = key::absent(d, fields);
    let max_delay = fields.duration(d, "max_delay");
    let cost = cost::read(d, fields, place.cost);
    let dry_run = fields.flag(d, "dry_run");
    let store = store(d, fields);
    let (rate, span) = rate?;
    let count = u64::from(rate.count);
    let limit = RateLimit {
        at: title.span.at(),
        name: title.name,
        shared: title.shared,
        key,
        absent,
        count,
        per: rate.per,
        burst: match (algorithm, burst) {
            (RateAlgorithm::SlidingWindow, None) => count,
            // What admits nothing holds nothing; the burst is legal all the same.
            (_, None) => count.max(1),
            (_, Some(burst)) => u64::from(burst),
        },
        algorithm,
        max_delay,
        cost,
        dry_run,
        store,
    };
    suit(d, fields, &limit, span);
    lint(d, fields, &limit, span);
    Some(limit)
}

/// Where counts are kept. Of those that are kept here, `mode` and `on_store_failure` say nothing.
fn store(d: &mut Decoder<'_>, fields: &Fields<'_>) -> RateStore {
    let shared = is_shared(d, fields);
    let mode = match fields.choice(d, "mode") {
        "leased" => StoreMode::Leased,
        _ => StoreMode::Exact,
    };
    let on_failure = on_failure(d, fields, shared);
    if shared {
        return RateStore::Redis { mode, on_failure };
    }
    if let Some(node) = fields.node("mode").filter(|_| mode == StoreMode::Leased) {
        let what = "only what is kept elsewhere is leased, and this limit is not";
        d.report.error(node.span, what).hint =
            Some("write `store: redis`, or remove it".to_owned());
    }
    RateStore::Local
}

/// Whether counts are kept on the servers that gateways share, of which there must be some.
pub(super) fn is_shared(d: &mut Decoder<'_>, fields: &Fields<'_>) -> bool {
    let shared = fields.choice(d, "store") == "redis";
    if let Some(node) = fields.node("store").filter(|_| shared && !d.shares) {
        let what = "`store: redis` needs servers, and the file names none";
        d.report.error(node.span, what).hint = Some(
            "write `redis: { url: \"redis://127.0.0.1:6379\" }` at the top of the file".to_owned(),
        );
    }
    shared
}

/// What holds while those servers cannot be reached.
pub(super) fn on_failure(d: &mut Decoder<'_>, fields: &Fields<'_>, shared: bool) -> OnStoreFailure {
    let on_failure = match fields.choice(d, "on_store_failure") {
        "allow" => OnStoreFailure::Allow,
        "deny" => OnStoreFailure::Deny,
        _ => OnStoreFailure::Local,
    };
    let unused = !shared && on_failure != OnStoreFailure::Local;
    if let Some(node) = fields.node("on_store_failure").filter(|_| unused) {
        let what = "`on_store_failure` has no effect: `store: local` does not fail";
        d.report.warn(node.span, what);
    }
    on_failure
}

/// Refuses what does not go together.
fn suit(d: &mut Decoder<'_>, fields: &Fields<'_>, limit: &RateLimit, rate: Span) {
    if let Some(node) = fields.node("mode")
        && matches!(limit.store, RateStore::Redis { mode: StoreMode::Leased, .. })
        && limit.algorithm != RateAlgorithm::TokenBucket
    {
        let what = "only tokens of a `token_bucket` can be leased";
        d.report.error(node.span, what).hint =
            Some("write `mode: exact`, or `algorithm: token_bucket`".to_owned());
    }
    if let Some(node) = fields.node("max_delay")
        && limit.algorithm != RateAlgorithm::LeakyBucket
    {
        let what = "only a `leaky_bucket` delays: `max_delay` has no effect";
        d.report.error(node.span, what).hint =
            Some("write `algorithm: leaky_bucket`, or remove it".to_owned());
    }
    let burst = fields.node("burst");
    if let Some(node) = burst
        && limit.algorithm == RateAlgorithm::SlidingWindow
        && limit.burst != limit.count
    {
        let what = format!(
            "a `sliding_window` has no burst: {} in any {} is all that it admits",
            limit.count,
            show_duration(limit.per)
        );
        d.report.error(node.span, what).hint =
            Some("remove it, or write `algorithm: token_bucket`".to_owned());
        return;
    }
    if earned_in(limit, limit.burst) > EARNED_IN_MAX.as_nanos() {
        let what = format!(
            "a burst of {} takes over 10 years to earn at {}",
            limit.burst,
            show_rate(limit.count, limit.per)
        );
        d.report.error(burst.map_or(rate, |node| node.span), what).hint =
            Some("lower `burst`, or raise `rate`".to_owned());
    }
}

/// The time in which so much is earned, in nanoseconds; 0 where nothing ever is.
fn earned_in(limit: &RateLimit, cost: u64) -> u128 {
    let nanos = u128::from(cost).saturating_mul(limit.per.as_nanos());
    nanos.checked_div(limit.count.into()).unwrap_or_default()
}

/// Warns of what is legal and of no use.
fn lint(d: &mut Decoder<'_>, fields: &Fields<'_>, limit: &RateLimit, rate: Span) {
    if limit.count == 0 {
        d.report.warn(rate, "a rate of 0 admits nothing: every request is denied").hint =
            Some("`rate_limit: off` is no limit".to_owned());
        return;
    }
    let leaky = limit.algorithm == RateAlgorithm::LeakyBucket;
    let waiting = limit.max_delay.as_nanos() / earned_in(limit, 1).max(1);
    let waiting = u64::try_from(waiting).unwrap_or(u64::MAX).min(limit.burst);
    // One goes at once, the others wait.
    let most = if leaky { waiting.saturating_add(1) } else { limit.burst };
    let Cost { fixed, request_header, response_header, response_json } = &limit.cost;
    let settled = response_header.is_some() || response_json.is_some();
    if let Some(node) = fields.node("cost") {
        if *fixed > most {
            let what = format!("a cost of {fixed} never passes: {most} is the most at once");
            d.report.warn(node.span, what).hint = Some("raise `burst`, or lower it".to_owned());
        }
        if *fixed == 0 && request_header.is_none() && !settled {
            d.report.warn(node.span, "requests that cost nothing are never denied");
        }
    }
    let span = fields.node("burst").or_else(|| fields.node("max_delay"));
    if leaky && waiting < limit.burst && (span.is_some() || waiting == 0) {
        let what = format!(
            "at {} only {waiting} of the {} can wait: `max_delay` is {}",
            show_rate(limit.count, limit.per),
            limit.burst,
            show_duration(limit.max_delay)
        );
        d.report.warn(span.map_or(rate, |node| node.span), what).hint =
            Some("raise `max_delay`, or lower `burst`".to_owned());
    }
}

#[cfg(test)]
mod tests;
