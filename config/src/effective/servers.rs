//! Servers on which gateways keep what they share.

use serde_json::{Value, json};

use super::{Secrets, object, secret};
use crate::{model::Redis, units::show_duration};

pub(super) fn redis(redis: &Redis, secrets: Secrets) -> Value {
    let urls = redis.urls.iter().map(|url| match secrets {
        Secrets::Plain => url.0.clone(),
        Secrets::Redacted => url.shown(),
    });
    let name = if redis.cluster { "cluster" } else { "urls" };
    object([
        (name, Some(urls.collect())),
        ("username", redis.username.clone().map(Value::from)),
        ("password", redis.password.as_ref().map(|one| secret(one, secrets))),
        ("timeout", Some(json!(show_duration(redis.timeout)))),
        ("connections", Some(json!(redis.connections))),
        ("gateways", Some(json!(redis.gateways))),
        ("secret", redis.secret.as_ref().map(|one| secret(one, secrets))),
    ])
}
