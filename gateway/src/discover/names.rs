//! DNS as a source.

use std::{rc::Rc, sync::Arc};

use tokio::sync::Semaphore;
use weir_config::model::DiscoverySource;
use weir_discovery::dns::Resolver;

use super::found::{Found, Question, Said};
use crate::clock;

/// Asks again and again, as often as the answers say.
pub(super) async fn ask(
    question: Question,
    resolver: Rc<Resolver>,
    slots: Arc<Semaphore>,
    found: Arc<Found>,
) {
    let mut rng = fastrand::Rng::with_seed(clock::unix_time().as_nanos() as u64);
    loop {
        let Ok(slot) = slots.acquire().await else { return };
        let told = match &question.source {
            DiscoverySource::Dns(host, port) => resolver.addresses(host, *port).await,
            DiscoverySource::DnsSrv(name) => resolver.services(name).await,
            DiscoverySource::Members(_) | DiscoverySource::File(_) => return,
        };
        drop(slot);
        let said = match told {
            Ok((serving, ttl)) => Said::For(serving, ttl),
            Err(why) => Said::Nothing(why.to_string()),
        };
        let pause = found.hear(&question, said, rng.u32(..), clock::now());
        let Some(pause) = pause else { return };
        tokio::time::sleep(pause).await;
    }
}
