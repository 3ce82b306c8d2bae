//! What asks a run to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM.
pub(crate) struct Signals(Option<(Signal, Signal)>);

impl Signals {
    /// Listens from now on.
    pub(crate) fn new() -> Self {
        let both = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        Self(if let (Ok(int), Ok(term)) = both { Some((int, term)) } else { None })
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        let Some((int, term)) = &mut self.0 else { return std::future::pending().await };
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    }
}
