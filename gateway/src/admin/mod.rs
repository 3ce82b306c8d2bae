//! The admin API: readiness, metrics, state, reload and drain, on an address of its own.
//!
//! It runs on the control thread, so that no request to it ever waits for traffic or holds it up,
//! and it answers while all workers are busy. `docs/admin.md` describes every path.

use std::{cell::RefCell, io, rc::Rc, sync::Arc};

use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
};
use weir_config::model::{Admin, Bind, Secret};

use crate::{
    app::{Control, Status},
    idempotency::SharedRecords,
    listen::bind::{BindError, Bound, ListenSocket, bind},
    snapshot::live::Live,
    task,
};

mod answer;
mod dashboard;
mod guard;
mod purge;
mod records;
mod serve;
#[cfg(test)]
mod tests;
mod views;

/// The admin listener, which a reload may move.
#[derive(Debug)]
pub struct Server {
    shared: Rc<Shared>,
    /// One for each connection, over all the addresses it ever listens on.
    slots: Arc<Semaphore>,
    running: Option<Running>,
}

/// What requests to the admin API work with.
#[derive(Debug)]
struct Shared {
    live: Arc<Live>,
    status: Arc<Status>,
    control: mpsc::Sender<Control>,
    token: RefCell<Option<Secret>>,
    /// This thread's way to records that gateways share.
    records: RefCell<Option<Rc<SharedRecords>>>,
}

#[derive(Debug)]
struct Running {
    /// As the file has it.
    bind: Bind,
    bound: Bound,
    task: JoinHandle<()>,
    stop: watch::Sender<()>,
}

impl Server {
    /// Nothing listens yet.
    pub fn new(live: Arc<Live>, status: Arc<Status>, control: mpsc::Sender<Control>) -> Self {
        let shared = Shared {
            live,
            status,
            control,
            token: RefCell::default(),
            records: RefCell::default(),
        };
        let slots = Arc::new(Semaphore::new(serve::CONNECTIONS));
        Self { shared: Rc::new(shared), slots, running: None }
    }

    /// Listens as the configuration says; what already does so is left alone. Another token counts
    /// from the next request on, on open connections as well.
    ///
    /// # Errors
    /// When the address cannot be bound; what listened before goes on as before then.
    pub async fn configure(&mut self, admin: Option<&Admin>) -> io::Result<()> {
        let Some(admin) = admin else {
            self.stop().await;
            return Ok(());
        };
        let stays = self.running.as_ref().is_some_and(|running| running.bind == admin.bind);
        // Nothing is awaited between the start and the token: no request is served in between.
        let before = if stays {
            None
        } else {
            let next = self.open(&admin.bind).await?;
            self.running.replace(next)
        };
        self.shared.token.borrow_mut().clone_from(&admin.token);
        if let Some(before) = before {
            before.stop().await;
        }
        Ok(())
    }

    /// Where it listens: the address as bound.
    pub fn address(&self) -> Option<String> {
        self.running.as_ref().map(|running| running.bound.address().to_string())
    }

    async fn open(&mut self, bind: &Bind) -> io::Result<Running> {
        // A port that the system is to pick is never in the way.
        let wanted = port(bind).filter(|port| *port != 0);
        let in_the_way =
            |before: &Running| wanted.is_some() && port(before.bound.address()) == wanted;
        match self.start(bind) {
            // From 127.0.0.1:9901 to :9901 the old one has to make room first.
            Err(BindError::InUse(_)) if self.running.as_ref().is_some_and(in_the_way) => {
                let before = self.running.as_ref().map(|running| running.bind.clone());
                self.stop_listening().await;
                let next = self.start(bind);
                if next.is_err() {
                    self.running = before.and_then(|before| self.start(&before).ok());
                }
                next
            }
            next => next,
        }
        .map_err(io::Error::other)
    }

    fn start(&self, address: &Bind) -> Result<Running, BindError> {
        let mut bound = bind(address, 1)?;
        let other = |source| BindError::Other { bind: address.clone(), source };
        let socket = bound.take_sockets().pop();
        let listener =
            socket.ok_or_else(|| io::ErrorKind::NotFound.into()).and_then(ListenSocket::register);
        let listener = listener.map_err(other)?;
        let (stop, stopped) = watch::channel(());
        let slots = self.slots.clone();
        let task = task::spawn(serve::run(self.shared.clone(), listener, slots, stopped));
        Ok(Running { bind: address.clone(), bound, task, stop })
    }

    async fn stop(&mut self) {
        self.stop_listening().await;
        *self.shared.token.borrow_mut() = None;
    }

    async fn stop_listening(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}

impl Running {
    /// The socket is closed when this returns; requests under way are still answered.
    async fn stop(self) {
        drop(self.stop);
        // It ends by itself now; that it panicked was reported.
        let _ = self.task.await;
    }
}

fn port(bind: &Bind) -> Option<u16> {
    match bind {
        Bind::Any(port) => Some(*port),
        Bind::Tcp(address) => Some(address.port()),
        Bind::Unix(_) => None,
    }
}
