//! What `/idempotency` shows: how many keys there are, and what is known of one of them.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    Shared,
    answer::{Answer, json, text},
};
use crate::{
    clock,
    idempotency::{
        Outcome,
        key::RecordKey,
        store::{Deleted, Standing},
    },
};

/// How many records there are, and what keys came to so far.
pub(super) fn view(shared: &Shared) -> Value {
    let live = &shared.live;
    let outcomes = Outcome::NAMES.iter().zip(live.registry.key_outcomes());
    let requests: Map<_, _> =
        outcomes.map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
    let count = live.snapshot().records.memory.count();
    json!({
        "keys": count.keys,
        "keys_max": count.keys_max,
        "bytes": count.bytes,
        "bytes_max": count.bytes_max,
        "requests": requests,
    })
}

/// What is known of a key.
pub(super) fn show(shared: &Shared, key: &RecordKey) -> Answer {
    let Some(seen) = shared.live.snapshot().records.memory.look(key, clock::now()) else {
        return absent();
    };
    let state = match seen.standing {
        Standing::InFlight { .. } => "in_flight",
        Standing::Unknown => "unknown",
        Standing::Done { .. } => "done",
    };
    let mut shown = json!({
        "record": key.to_string(),
        "state": state,
        "claim": seen.fence,
        "expires_in": seen.expires_in.as_secs_f64(),
    });
    match seen.standing {
        Standing::InFlight { left } => shown["lease_left"] = json!(left.as_secs_f64()),
        Standing::Done { status, replayable } => {
            shown["status"] = json!(status.as_u16());
            shown["replayable"] = json!(replayable);
        }
        Standing::Unknown => {}
    }
    json(&shown)
}

/// Forgets a key: the next request with it runs.
pub(super) fn forget(shared: &Shared, key: &RecordKey) -> Answer {
    match shared.live.snapshot().records.memory.delete(key, clock::now()) {
        Deleted::Forgotten => text(StatusCode::OK, "forgotten: the next request with it runs"),
        Deleted::Absent => absent(),
        Deleted::InFlight => {
            text(StatusCode::CONFLICT, "its request is under way: there is nothing to forget yet")
        }
    }
}

fn absent() -> Answer {
    text(StatusCode::NOT_FOUND, "nothing is known of this key")
}
