//! `upstreams.*.balance`.

use super::{Complaint, Decoder, key};
use crate::{
    defaults::{HASH_KEY, LOAD_BOUND},
    fields::Fields,
    model::{Balance, HashBalance, KeyPart},
    yaml::{Value, shorten},
};

/// The ways that a key decides by.
const BY_KEY: [(Balance, &str); 3] = [
    (Balance::Rendezvous, "upstreams.*.balance.rendezvous"),
    (Balance::Ring, "upstreams.*.balance.ring"),
    (Balance::Maglev, "upstreams.*.balance.maglev"),
];

/// How endpoints are chosen, and by which key.
pub(super) fn read(d: &mut Decoder<'_>, upstream: &Fields<'_>) -> (Balance, Option<HashBalance>) {
    let node = upstream.node("balance");
    if node.is_none_or(|node| !matches!(node.value, Value::Map(_))) {
        let balance = match upstream.choice(d, "balance") {
            "peak_ewma" => Balance::PeakEwma,
            "prequal" => Balance::Prequal,
            "least_request" => Balance::LeastRequest,
            "round_robin" => Balance::RoundRobin,
            "random" => Balance::Random,
            "rendezvous" => Balance::Rendezvous,
            "ring" => Balance::Ring,
            "maglev" => Balance::Maglev,
            _ => Balance::P2c,
        };
        let place = BY_KEY.into_iter().find(|(way, _)| *way == balance);
        let hash = place.map(|(way, place)| hash(d, &Fields::empty(place), way));
        return (balance, hash);
    }
    let fields = upstream.section(d, "balance", "upstreams.*.balance");
    let mut chosen = None;
    for (way, place) in BY_KEY {
        let Some(inner) = fields.policy(d, way.word(), place) else { continue };
        let hash = hash(d, &inner, way);
        inner.finish();
        if let (Some((other, _)), Some(entry)) = (&chosen, fields.entry(way.word())) {
            let (other, word): (&Balance, _) = (other, way.word());
            let what = format!("`{}` and `{word}` exclude each other", other.word());
            d.report.error(entry.key.span, what);
        }
        chosen = Some((way, hash));
    }
    fields.finish();
    match (chosen, node) {
        (Some((way, hash)), _) => (way, Some(hash)),
        (None, Some(node)) => {
            if let Value::Map(entries) = &node.value
                && entries.is_empty()
            {
                d.mismatch(node, "one of `rendezvous`, `ring` and `maglev`");
            }
            (Balance::P2c, None)
        }
        (None, None) => (Balance::P2c, None),
    }
}

fn hash(d: &mut Decoder<'_>, fields: &Fields<'_>, way: Balance) -> HashBalance {
    let key = key::read(d, fields);
    if let Some(node) = fields.node("key").filter(|_| key.contains(&KeyPart::Route)) {
        let what = "by `route` all requests of a route would go to one endpoint";
        d.report.error(node.span, what).hint = Some(format!("expected {HASH_KEY}"));
    }
    let bounded_load = fields.parsed(d, "bounded_load", bound).flatten();
    let points = if way == Balance::Ring { fields.count(d, "points") } else { 0 };
    let entries = if way == Balance::Maglev { fields.count(d, "entries") } else { 0 };
    HashBalance { key, bounded_load, points, entries }
}

/// A decimal number from 1 to 10, or `off`.
fn bound(text: &str) -> Result<Option<f64>, Complaint> {
    if matches!(text, "off" | "false") {
        return Ok(None);
    }
    let decimal = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value = text.parse::<f64>().ok().filter(|value| decimal && (1.0..=10.0).contains(value));
    let complaint = || Complaint::new(format!("expected {LOAD_BOUND}, found `{}`", shorten(text)));
    value.map(Some).ok_or_else(complaint)
}

#[cfg(test)]
mod tests;
