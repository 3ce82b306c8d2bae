//! A file as a source: a list in the words of `endpoints`.

use std::{path::Path, rc::Rc, sync::Arc};

use weir_config::model::{DiscoverySource, Endpoint};
use weir_discovery::view::Serving;

use super::found::{Found, Question, Said};
use crate::{clock, watch::Watcher};

/// Reads what changes.
pub(super) async fn listen(watcher: Rc<Watcher>, found: Arc<Found>) {
    loop {
        let changed = watcher.changed().await;
        for question in found.questions() {
            if path(&question).is_some_and(|path| changed.contains(path)) {
                read(&question, &found);
            }
        }
    }
}

/// Reads one file, and tells what it says.
pub(super) fn read(question: &Question, found: &Found) {
    let Some(path) = path(question) else { return };
    let said = match weir_config::load_endpoints(path) {
        Ok(endpoints) => Said::Surely(endpoints.iter().map(serving).collect()),
        Err(wrong) => Said::Nothing(wrong.render().trim_end().to_owned()),
    };
    found.hear(question, said, 0, clock::now());
}

pub(super) fn path(question: &Question) -> Option<&Path> {
    match &question.source {
        DiscoverySource::File(path) => Some(path),
        _ => None,
    }
}

fn serving(endpoint: &Endpoint) -> Serving {
    let address: Box<str> = endpoint.address.to_string().into();
    Serving {
        name: endpoint.name.as_deref().map_or_else(|| address.clone(), Box::from),
        address,
        weight: endpoint.weight,
        zone: endpoint.zone.as_deref().map(Box::from),
    }
}
