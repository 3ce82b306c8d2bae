//! Whether an instance is well: checked as a gateway checks its endpoints.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::{sync::mpsc, time::sleep};
use weir_config::model::{Address, HealthCheck};

use super::Check;
use crate::{
    clock,
    upstream::{check, connect::Connector, endpoint::Endpoint, health::Health},
};

/// An instance that has become well, or is not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// Which of the services.
    pub(super) service: usize,
    /// Whether it is well now.
    pub(super) well: bool,
}

/// What is known of an instance.
#[derive(Debug)]
struct Proof {
    health: Health,
    /// Until it has passed once, once is enough: it is starting.
    passed: bool,
}

impl Proof {
    const fn none() -> Self {
        Self { health: Health::unproven(), passed: false }
    }

    /// Takes a result in; whether that has changed what is thought of it.
    fn record(&mut self, passed: bool, check: &HealthCheck) -> bool {
        if self.passed {
            return self.health.record(passed, check);
        }
        if passed {
            *self = Self { health: Health::new(), passed };
        }
        passed
    }
}

/// Checks an instance for as long as anybody listens.
pub(super) async fn watch(
    service: usize,
    address: SocketAddr,
    check: Check,
    turns: mpsc::Sender<Turn>,
    mut rng: Rng,
) {
    let Check { health: check, protocol } = check;
    let endpoint = Arc::new(Endpoint::new(Address::Tcp(address), clock::now()));
    let connector = Arc::new(Connector::bare(protocol, None, check.timeout));
    let dialer = Rc::default();
    let mut proof = Proof::none();
    let mut told = false;
    loop {
        let result = check::run(&endpoint, &connector, &check, &dialer).await;
        let changed = proof.record(result.is_ok(), &check);
        match (&result, changed) {
            (Ok(()), true) => tracing::info!(%address, "the instance is well"),
            (Err(reason), true) => tracing::warn!(%address, reason, "the instance is not well"),
            (Err(reason), false) if !proof.passed && !told => {
                told = true;
                tracing::info!(%address, reason, "the instance is not well yet");
            }
            _ => {}
        }
        let turn = Turn { service, well: proof.health.is_healthy() };
        if changed && turns.send(turn).await.is_err() {
            return;
        }
        let pause: Duration = proof.health.pause(&check, &mut rng);
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use weir_config::model::Probe;

    use super::*;

    #[test]
    fn one_pass_begins_and_a_row_of_failures_ends() {
        let check = HealthCheck {
            probe: Probe::Connect,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy: 2,
            unhealthy: 3,
        };
        let mut proof = Proof::none();
        let mut results = |passed: &[bool]| {
            let turns = passed.iter().map(|&passed| proof.record(passed, &check));
            (turns.collect::<Vec<_>>(), proof.health.is_healthy())
        };
        assert_eq!(results(&[false, false]), (vec![false, false], false));
        assert_eq!(results(&[true]), (vec![true], true));
        assert_eq!(results(&[false, false, true]), (vec![false; 3], true));
        assert_eq!(results(&[false, false, false]), (vec![false, false, true], false));
        assert_eq!(results(&[true, false, true, true]), (vec![false, false, false, true], true));
    }
}
