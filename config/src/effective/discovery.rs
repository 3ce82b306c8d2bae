//! Where endpoints come from, as a tree.

use serde_json::{Value, json};

use super::{file, object};
use crate::{
    model::{Discovery, DiscoverySource, Resolver},
    units::show_duration,
};

pub(super) fn discovery(discovery: &Discovery) -> Value {
    let subject = match &discovery.source {
        DiscoverySource::File(path) => file(path),
        source => json!(source.subject()),
    };
    object([(discovery.source.word(), Some(subject))])
}

pub(super) fn resolver(resolver: &Resolver) -> Value {
    let servers = resolver.servers.iter().map(|server| json!(server.to_string()));
    let servers = (!resolver.servers.is_empty()).then(|| servers.collect());
    object([("servers", servers), ("timeout", Some(json!(show_duration(resolver.timeout))))])
}
