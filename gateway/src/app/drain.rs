//! The way out: not ready first, then no keep-alive, then no new connections, then the end.

use std::{sync::atomic::Ordering, time::Duration};

use super::workers::Workers;
use crate::{clock, snapshot::live::Live, worker::Command};

/// How long connections are still accepted, so that balancers in front see `/ready` fail before
/// connections are refused. Newcomers get one answer each.
const LAME_DUCK: Duration = Duration::from_secs(5);
/// No connection for this long means that nobody is left: between two requests of clients that
/// connect anew for each there are moments without one.
const QUIET: Duration = Duration::from_millis(500);
/// How often to look whether all connections are gone.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until all requests are answered, for at most `patience`; whether they are.
pub(super) async fn run(
    live: &Live,
    workers: &Workers,
    patience: Duration,
    lame_duck: bool,
) -> bool {
    let end = clock::now() + patience;
    let quiet = || live.is_quiet();
    workers.tell_all(|| Command::Drain).await;
    if lame_duck {
        let close_at = clock::now() + LAME_DUCK.min(patience / 3);
        let accepted = || live.accepted.load(Ordering::Relaxed);
        let (mut seen, mut busy_at) = (accepted(), clock::now());
        while clock::now() < close_at && clock::now() < busy_at + QUIET {
            tokio::time::sleep(LOOK).await;
            if !quiet() || accepted() != seen {
                (seen, busy_at) = (accepted(), clock::now());
            }
        }
    }
    workers.tell_all(|| Command::Close).await;
    // At least one look: what waits in the sockets is taken before they close.
    loop {
        tokio::time::sleep(LOOK).await;
        if quiet() || clock::now() >= end {
            return quiet();
        }
    }
}
