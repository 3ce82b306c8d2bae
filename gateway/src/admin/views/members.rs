//! `/members`.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use weir_discovery::{
    announce::{Announcement, Kind, Offer},
    swim::State,
    udp::Member,
};

use crate::discover::roll::Roll;

/// Most members that are listed.
const LISTED: usize = 10_000;

/// `/members`.
pub(in crate::admin) fn members(roll: &Roll) -> Value {
    let Some(standing) = roll.standing() else {
        return json!({ "membership": null, "members": [] });
    };
    let view = standing.handle.view();
    let passed = view.passed;
    let mut part = part(roll);
    part["packets"] = json!({
        "sent": passed.sent,
        "dropped": passed.dropped,
        "received": passed.received,
        "unsealed": passed.unsealed,
        "replayed": passed.replayed,
        "malformed": passed.malformed,
    });
    let listed = view.members.iter().take(LISTED).map(|one| member(one, &standing.name));
    json!({
        "membership": part,
        "members": listed.collect::<Vec<_>>(),
        "not_listed": view.members.len().saturating_sub(LISTED),
    })
}

/// The part that this gateway takes; nothing where it takes none.
pub(super) fn part(roll: &Roll) -> Value {
    let Some(standing) = roll.standing() else { return Value::Null };
    let view = standing.handle.view();
    let gateways = Some(roll.gateways().load(Relaxed)).filter(|count| *count > 0);
    json!({
        "name": standing.name,
        "label": standing.label,
        "address": standing.handle.addr().to_string(),
        "generation": standing.generation_ms,
        "sealed": standing.sealed,
        "state": if standing.is_superseded() { "superseded" } else { "up" },
        "health": view.health,
        "live": view.live,
        "gateways": gateways,
    })
}

fn member(member: &Member, own: &str) -> Value {
    let record = &member.record;
    let said = Announcement::decode(&record.meta);
    let kind = said.as_ref().and_then(|said| match said.kind {
        Kind::Gateway => Some("gateway"),
        Kind::Agent => Some("agent"),
        Kind::Other(_) => None,
    });
    let offers = said.iter().flat_map(|said| &said.offers).map(service);
    let state = match member.state {
        State::Alive => "alive",
        State::Suspect => "suspect",
        State::Dead => "dead",
        State::Left => "left",
    };
    let thousandth = |figure: f64| (figure * 1e3).round() / 1e3;
    json!({
        "name": &*record.name,
        "self": *record.name == *own,
        "kind": kind,
        "state": state,
        "address": record.addr.to_string(),
        "incarnation": member.incarnation,
        "generation": record.generation,
        "phi": member.phi.map(thousandth),
        "rtt_ms": member.round_trip.map(|time| thousandth(time.as_secs_f64() * 1e3)),
        "services": offers.collect::<Vec<_>>(),
    })
}

fn service(offer: &Offer) -> Value {
    json!({
        "service": &*offer.service,
        "address": offer.address.to_string(),
        "weight": offer.weight,
        "ready": offer.ready,
    })
}
