//! Members through whom an agent joins, by address or by name.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::lookup_host, sync::mpsc, time::timeout};
use weir_discovery::udp::Handle;

/// Most addresses that all seeds come to.
const ADDRESSES_MAX: usize = 64;
/// How long the look-up of one name may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the seeds are called, and which of them are not found.
#[derive(Debug)]
pub(super) struct Seeds {
    texts: Vec<String>,
    /// In the order of `texts`: whether its last look-up failed.
    lost: Vec<bool>,
}

impl Seeds {
    pub(super) fn new(texts: Vec<String>) -> Self {
        Self { lost: vec![false; texts.len()], texts }
    }

    /// Looks again whenever that is asked for, if they may come to other addresses. Names can take
    /// long: the agent hears signals and its instances meanwhile.
    pub(super) async fn follow(mut self, mut asked: mpsc::Receiver<()>, handle: Handle) {
        if !self.have_names() {
            return;
        }
        while asked.recv().await.is_some() {
            let found = self.look_up().await;
            if !found.is_empty() {
                handle.set_seeds(found).await;
            }
        }
    }

    /// Whether they may come to other addresses later.
    fn have_names(&self) -> bool {
        self.texts.iter().any(|text| text.parse::<SocketAddr>().is_err())
    }

    /// The addresses that they have now. A name that is not found is told of once.
    pub(super) async fn look_up(&mut self) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        for (text, lost) in self.texts.iter().zip(&mut self.lost) {
            let before = found.len();
            let reason = match timeout(PATIENCE, lookup_host(text)).await {
                Ok(Ok(addresses)) => {
                    found.extend(addresses);
                    "it has no address".to_owned()
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            let missing = found.len() == before;
            if missing && !*lost {
                tracing::warn!(seed = %text, reason, "a seed is not found; looking again");
            } else if !missing && *lost {
                tracing::info!(seed = %text, "the seed is found");
            }
            *lost = missing;
        }
        found.truncate(ADDRESSES_MAX);
        found
    }
}
