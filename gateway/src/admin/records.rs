//! What `/idempotency` shows: how many keys there are, and what is known of one of them.

use std::hash::{BuildHasher as _, RandomState};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    Shared,
    answer::{Answer, json, text},
};
use crate::{
    clock,
    idempotency::{
        Outcome, SharedRecords,
        key::RecordKey,
        store::{Deleted, Seen, Standing, Store},
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

/// The stores that there are: that of this process, and the one that gateways share.
fn stores(shared: &Shared) -> impl Iterator<Item = Store> + use<> {
    let snapshot = shared.live.snapshot();
    let mut known = shared.records.borrow_mut();
    // From the system's randomness, through the standard library's hasher keys.
    let mut rng = fastrand::Rng::with_seed(RandomState::new().hash_one(0));
    let next = SharedRecords::of(&snapshot, known.as_ref(), &mut rng);
    let redis = next.as_ref().map(|records| Store::Redis(records.store().clone()));
    *known = next;
    [Store::Memory(snapshot.records.memory.clone())].into_iter().chain(redis)
}

/// What is known of a key.
pub(super) async fn show(shared: &Shared, key: &RecordKey) -> Answer {
    for store in stores(shared) {
        match store.look(key, clock::now()).await {
            Ok(None) => {}
            Ok(Some(seen)) => return shown(key, &seen),
            Err(down) => return text(StatusCode::SERVICE_UNAVAILABLE, down.to_string()),
        }
    }
    absent()
}

fn shown(key: &RecordKey, seen: &Seen) -> Answer {
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
pub(super) async fn forget(shared: &Shared, key: &RecordKey) -> Answer {
    for store in stores(shared) {
        return match store.delete(key, clock::now()).await {
            Ok(Deleted::Absent) => continue,
            Ok(Deleted::Forgotten) => {
                text(StatusCode::OK, "forgotten: the next request with it runs")
            }
            Ok(Deleted::InFlight) => {
                let why = "its request is under way: there is nothing to forget yet";
                text(StatusCode::CONFLICT, why)
            }
            Err(down) => text(StatusCode::SERVICE_UNAVAILABLE, down.to_string()),
        };
    }
    absent()
}

fn absent() -> Answer {
    text(StatusCode::NOT_FOUND, "nothing is known of this key")
}
