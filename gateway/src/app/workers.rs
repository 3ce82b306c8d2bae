//! The worker threads, as the control thread sees them.

use std::{io, num::NonZeroUsize, sync::Arc, thread};

use tokio::{runtime::Builder, sync::mpsc};
use weir_config::model::{Bind, Config};

use crate::{
    listen::bind::ListenSocket,
    quic::QuicSocket,
    snapshot::live::Live,
    telemetry::access_log::{Format, LogWriter},
    worker::{Command, Worker},
};

/// Commands that may wait for a worker.
const COMMANDS: usize = 64;

/// How many workers a configuration asks for: one per core by default.
pub(super) fn count(config: &Config) -> usize {
    let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
    config.workers.map_or_else(cores, |written| written.get() as usize)
}

/// All workers.
pub(super) struct Workers {
    commands: Vec<mpsc::Sender<Command>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads.
    pub(super) fn start(count: usize, live: &Arc<Live>, writer: &LogWriter) -> io::Result<Self> {
        let mut this = Self { commands: Vec::new(), threads: Vec::new() };
        let mut seeds = fastrand::Rng::with_seed(seed());
        for index in 0..count {
            let (tell, told) = mpsc::channel(COMMANDS);
            let (live, log, seed) = (live.clone(), writer.buffer(Format::Json), seeds.u64(..));
            let thread = thread::Builder::new().name(format!("weir-worker-{index}"));
            this.threads.push(thread.spawn(move || {
                match Builder::new_current_thread().enable_all().build_local(Default::default()) {
                    Ok(runtime) => {
                        runtime.block_on(async { Worker::new(live, log, seed).run(told).await });
                    }
                    Err(error) => tracing::error!(%error, "a worker has no runtime"),
                }
            })?);
            this.commands.push(tell);
        }
        Ok(this)
    }

    pub(super) fn count(&self) -> usize {
        self.commands.len()
    }

    /// Gives each worker its socket for an address.
    pub(super) async fn listen(&self, bind: &Bind, sockets: Vec<ListenSocket>) {
        for (worker, socket) in self.commands.iter().zip(sockets) {
            // A worker that is gone has panicked, which was reported.
            let _ = worker.send(Command::Listen(bind.clone(), socket)).await;
        }
    }

    /// Gives each worker its UDP socket for an address.
    pub(super) async fn listen_quic(&self, bind: &Bind, sockets: Vec<QuicSocket>) {
        for (worker, socket) in self.commands.iter().zip(sockets) {
            let _ = worker.send(Command::ListenQuic(bind.clone(), socket)).await;
        }
    }

    /// Tells every worker.
    pub(super) async fn tell_all(&self, command: impl Fn() -> Command) {
        for worker in &self.commands {
            let _ = worker.send(command()).await;
        }
    }

    /// Ends all workers and waits for their threads.
    pub(super) async fn stop(self) {
        self.tell_all(|| Command::Stop).await;
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// A seed from the system's randomness, through the standard library's hasher keys.
pub(super) fn seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}
