//! How members find each other.

use serde_json::{Value, json};

use super::{Secrets, object, secret};
use crate::model::Membership;

pub(super) fn membership(membership: &Membership, secrets: Secrets) -> Value {
    let Membership { at: _, bind, advertise, name, seeds, secrets: shared, label } = membership;
    let seeds: Vec<_> = seeds.iter().map(ToString::to_string).collect();
    let shared: Vec<_> = shared.iter().map(|one| secret(one, secrets)).collect();
    object([
        ("bind", Some(json!(bind.to_string()))),
        ("advertise", advertise.map(|address| json!(address.to_string()))),
        ("name", name.clone().map(Value::from)),
        ("seeds", Some(json!(seeds))),
        ("secrets", Some(shared).filter(|list| !list.is_empty()).map(Value::from)),
        ("label", Some(json!(label))),
    ])
}
