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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use weir_discovery::{
        swim::Params,
        udp::{self, Driver, Settings},
    };

    use super::*;

    async fn bound(name: &str) -> (Driver, Handle) {
        let bound = udp::bind(Settings {
            name: name.into(),
            generation_ms: 1,
            bind: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            meta: Vec::new(),
            seeds: Vec::new(),
            secrets: Vec::new(),
            label: String::new(),
            params: Params::default(),
        });
        bound.await.unwrap()
    }

    #[tokio::test]
    async fn a_look_is_taken_when_it_is_asked_for_and_one_at_a_time() {
        let ((first, one), (second, other)) = (bound("one").await, bound("other").await);
        let named = Seeds::new(vec![format!("localhost:{}", one.addr().port())]);
        let (look, asked) = mpsc::channel(1);
        // Nobody looks yet: what is asked for meanwhile is one look, and nobody waits for it.
        assert!(look.try_send(()).is_ok() && look.try_send(()).is_err());
        let met = async {
            let mut views = other.views();
            while views.borrow_and_update().live < 2 {
                views.changed().await.unwrap();
            }
            drop(look);
        };
        tokio::select! {
            ended = async { tokio::join!(first.run(), second.run()) } => panic!("{ended:?}"),
            _ = async { tokio::join!(named.follow(asked, other.clone()), met) } => {}
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("they did not meet"),
        }
    }

    #[tokio::test]
    async fn addresses_are_not_looked_up_again() {
        let (_driver, handle) = bound("one").await;
        let (look, asked) = mpsc::channel(1);
        Seeds::new(vec!["127.0.0.1:7946".into()]).follow(asked, handle).await;
        assert!(look.is_closed());
    }

    #[tokio::test]
    async fn what_is_not_found_is_remembered() {
        let mut seeds = Seeds::new(vec!["no port".into(), "127.0.0.1:7946".into()]);
        assert_eq!(seeds.look_up().await, ["127.0.0.1:7946".parse::<SocketAddr>().unwrap()]);
        assert_eq!(seeds.lost, [true, false]);
    }
}
