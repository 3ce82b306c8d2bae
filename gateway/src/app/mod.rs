//! The composition root: loads, binds, starts the workers, reloads, drains.
//!
//! Everything here runs on the control thread. It never touches a request.

use std::{
    io,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use weir_config::{Change, Diagnostics, Loaded};

use crate::{
    admin, admission, clock,
    discover::{
        Found,
        discovery::Discovery,
        membership::{self, Membership, Next},
    },
    error::Error,
    limit,
    snapshot::{compile, live::Live},
    task,
    telemetry::{access_log::LogWriter, log, registry::Registry, trace::export::Exporter},
    watch::Watcher,
    worker::Command,
};

mod drain;
mod health;
mod listening;
mod metrics;
mod signals;
mod source;
mod sources;
mod status;
mod workers;

use health::Attendance;
use listening::Listening;
use signals::Signals;
pub use source::Source;
use source::{changed, files, watch};
pub use status::{Report, Status};
use workers::Workers;

/// Version in metrics, `/status` and `--version`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How often counted latencies lose half their weight: quantiles tell of the last minute or so.
const AGING: Duration = Duration::from_secs(10);
/// Access-log buffers of 64 KiB that may wait for stdout before lines are dropped.
const LOG_DEPTH: usize = 64;

/// What the admin API asks of the control thread.
#[derive(Debug)]
pub enum Control {
    /// Load the configuration again; the answer is what changed, or the error's text.
    Reload(oneshot::Sender<Result<Vec<Change>, String>>),
    /// Drain and exit.
    Drain,
}

/// Runs a gateway until it is told to stop. Exit codes: 0 after a drain, 2 for a configuration
/// that is wrong, 1 for anything else that keeps it from running.
pub fn run(source: Source) -> ExitCode {
    run_with(source, |_| {})
}

/// The same, calling `ready` once traffic is accepted, with the addresses as they were bound.
pub fn run_with(source: Source, ready: impl FnOnce(&[String])) -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build_local(Default::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the control thread's runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        // First of all: a signal that comes while the gateway starts must not kill it.
        let signals = match Signals::register() {
            Ok(signals) => signals,
            Err(error) => {
                eprintln!("error: cannot listen for signals: {error}");
                return ExitCode::FAILURE;
            }
        };
        match App::start(source).await {
            Ok(app) => {
                ready(&app.listening.addresses());
                app.control(signals).await
            }
            Err(Failed::Configuration(diagnostics)) => {
                eprintln!("{}", diagnostics.render());
                ExitCode::from(2)
            }
            Err(Failed::Start(what)) => {
                eprintln!("error: {what}");
                ExitCode::FAILURE
            }
        }
    })
}

/// Why a gateway did not start.
enum Failed {
    Configuration(Diagnostics),
    Start(String),
}

impl From<Diagnostics> for Failed {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Configuration(diagnostics)
    }
}

struct App {
    source: Source,
    live: Arc<Live>,
    status: Arc<Status>,
    listening: Listening,
    workers: Workers,
    attendance: Attendance,
    writer: LogWriter,
    watcher: Option<Watcher>,
    membership: Option<Membership>,
    /// The part in the membership that a reload has ended, until its sockets are closed.
    leaving: Option<JoinHandle<()>>,
    discovery: Discovery,
    exporter: Exporter,
    admin: admin::Server,
    control: mpsc::Receiver<Control>,
}

impl App {
    async fn start(source: Source) -> Result<Self, Failed> {
        let watcher = watch(&source);
        let loaded = source.load()?;
        if let Ok(watcher) = &watcher {
            watcher.replace(files(&source, &loaded));
        }
        let mut compiled =
            compile(&loaded, &Found::default(), None, clock::now(), clock::unix_time())?;
        log::start(loaded.config.log.level);
        if let Err(error) = &watcher {
            tracing::warn!(%error, "files are not watched; reload with SIGHUP");
        }
        warn(&compiled.warnings);
        let count = workers::count(&loaded.config);
        let mut listening = Listening::default();
        listening
            .bind_missing(&loaded, count)
            .map_err(|diagnostics| Failed::Start(diagnostics.render()))?;
        compiled.snapshot.announce(|bind| listening.port(bind));
        let member = membership::prepare(None, &loaded).await;
        let member = member.map_err(|wrong| Failed::Start(Diagnostics::from(wrong).render()))?;
        let registry = Registry::new(VERSION, Error::NAMES, clock::unix_time());
        log::count_panics(registry.clone());
        let start = |error| Failed::Start(format!("cannot start a thread: {error}"));
        let writer =
            LogWriter::spawn(io::stdout(), LOG_DEPTH, registry.dropped_lines()).map_err(start)?;
        registry.config_loaded(clock::unix_time());
        let mut attendance = Attendance::new(workers::seed());
        attendance.take_over(&compiled.snapshot);
        let live = Arc::new(Live::new(compiled.snapshot, registry));
        metrics::show(&live);
        task::spawn(admission::watch::watch(live.clone()));
        task::spawn(limit::store::sweep(live.clone()));
        let workers = Workers::start(count, &live, &writer).map_err(start)?;
        let (asks, control) = mpsc::channel(16);
        let status = Status::new(&loaded, count, listening.pairs(), clock::unix_time());
        let status = Arc::new(status);
        let admin = admin::Server::new(live.clone(), status.clone(), asks);
        let app = Self {
            watcher: watcher.ok(),
            membership: None,
            leaving: None,
            discovery: Discovery::new(live.found.clone()),
            exporter: Exporter::start(live.clone()),
            source,
            live,
            status,
            listening,
            workers,
            attendance,
            writer,
            admin,
            control,
        };
        app.begin(loaded, member).await
    }

    async fn begin(mut self, loaded: Loaded, member: Next) -> Result<Self, Failed> {
        self.take_part(member).await;
        self.settle(&loaded.config).await;
        self.listen_to_new().await;
        if let Err(error) = self.admin.configure(loaded.config.admin.as_ref()).await {
            if loaded.config.admin.as_ref().is_some_and(|admin| admin.written) {
                return Err(Failed::Start(format!("admin: {error}")));
            }
            tracing::warn!(%error, "no admin API: its default address cannot be used");
        }
        tracing::info!(
            version = VERSION,
            workers = self.workers.count(),
            listeners = self.listening.describe(&loaded.config),
            admin = self.admin.address().unwrap_or_else(|| "off".to_owned()),
            "weir is listening"
        );
        Ok(self)
    }

    /// Waits for signals, changed files and the admin API until the end.
    async fn control(mut self, mut signals: Signals) -> ExitCode {
        let mut aging = tokio::time::interval(AGING);
        let lame_duck = loop {
            tokio::select! {
                _ = aging.tick() => metrics::age(&self.live),
                _ = signals.hangup.recv() => drop(self.reload("SIGHUP").await),
                () = self.discovery.changed() => self.follow().await,
                () = changed(self.watcher.as_ref()) => drop(self.reload("a changed file").await),
                _ = signals.terminate.recv() => break true,
                _ = signals.interrupt.recv() => break false,
                asked = self.control.recv() => match asked {
                    Some(Control::Reload(answer)) => {
                        // Whoever asked may be gone.
                        let _ = answer.send(self.reload("the admin API").await);
                    }
                    Some(Control::Drain) | None => break true,
                },
            }
        };
        self.drain(lame_duck, signals).await
    }

    /// Loads the configuration again; on any error nothing changes but what is reported.
    async fn reload(&mut self, cause: &str) -> Result<Vec<Change>, String> {
        match self.replace().await {
            Ok(changes) => {
                self.live.registry.config_loaded(clock::unix_time());
                tracing::info!(cause, changes = changes.len(), "configuration reloaded");
                Ok(changes)
            }
            Err(diagnostics) => {
                let text = diagnostics.render();
                let running = self.live.snapshot().config.clone();
                self.settle(&running).await;
                self.live.registry.config_refused();
                self.status.refused(&text, clock::unix_time());
                tracing::error!(cause, "configuration refused, the running one stays:\n{text}");
                Err(text)
            }
        }
    }

    async fn replace(&mut self) -> Result<Vec<Change>, Diagnostics> {
        let loaded = self.source.load()?;
        if let Some(watcher) = &self.watcher {
            // Also when it is refused below: a certificate that was missing may come.
            watcher.replace(files(&self.source, &loaded));
        }
        let running = self.live.snapshot();
        self.ask(&loaded.config).await;
        let found = self.live.found.clone();
        let (now, unix_time) = (clock::now(), clock::unix_time());
        let mut compiled = compile(&loaded, &found, Some(&running), now, unix_time)?;
        if loaded.config.membership.is_some()
            && let Some(leaving) = self.leaving.take()
        {
            // The next part may begin where that one ends.
            let _ = leaving.await;
        }
        let member = membership::prepare(self.membership.as_ref(), &loaded).await?;
        self.listening.bind_missing(&loaded, self.workers.count())?;
        compiled.snapshot.announce(|bind| self.listening.port(bind));
        warn(&compiled.warnings);
        let changes = weir_config::diff(&running.config, &loaded.config);
        if running.config.workers != loaded.config.workers {
            tracing::warn!("a changed number of workers takes effect at the next start");
        }
        if running.config.limits.rate_limit_keys != loaded.config.limits.rate_limit_keys {
            tracing::warn!("a changed limits.rate_limit_keys takes effect at the next start");
        }
        log::set_level(loaded.config.log.level);
        self.attendance.take_over(&compiled.snapshot);
        self.take_part(member).await;
        self.live.store(compiled.snapshot);
        metrics::show(&self.live);
        self.workers.tell_all(|| Command::Refresh).await;
        self.settle(&loaded.config).await;
        self.listen_to_new().await;
        let released = self.listening.release_unused(&loaded.config);
        for bind in released.streams {
            self.workers.tell_all(|| Command::Unlisten(bind.clone())).await;
        }
        for bind in released.quic {
            self.workers.tell_all(|| Command::UnlistenQuic(bind.clone())).await;
        }
        if let Err(error) = self.admin.configure(loaded.config.admin.as_ref()).await {
            tracing::error!(%error, "the admin API did not move");
        }
        self.status.loaded(&loaded, self.listening.pairs(), clock::unix_time());
        Ok(changes)
    }

    /// Begins, goes on with or ends the part in the membership.
    async fn take_part(&mut self, next: Next) {
        match (next, &mut self.membership) {
            (Next::Adjust(config), Some(running)) => running.adjust(config).await,
            (Next::Start(bound), _) => self.membership = Some(bound.start(&self.live)),
            (Next::Off | Next::Adjust(_), _) => {
                if let Some(running) = self.membership.take() {
                    self.live.roll.end();
                    self.leaving = Some(task::spawn(running.leave()));
                }
            }
        }
    }

    /// Gives the workers the sockets that they do not have yet.
    async fn listen_to_new(&mut self) {
        for (bind, sockets) in self.listening.take_new() {
            self.workers.listen(&bind, sockets).await;
        }
        for (bind, sockets) in self.listening.take_new_quic() {
            self.workers.listen_quic(&bind, sockets).await;
        }
    }

    async fn drain(self, lame_duck: bool, mut signals: Signals) -> ExitCode {
        let patience = self.live.snapshot().timeouts.drain;
        let open = self.live.connections.load(Ordering::Relaxed);
        tracing::info!(connections = open, "draining");
        self.live.begin_drain();
        let membership = self.membership;
        let out = async {
            if let Some(membership) = membership {
                membership.leave().await;
            }
            drain::run(&self.live, &self.workers, patience, lame_duck).await
        };
        let drained = tokio::select! {
            drained = out => drained,
            _ = signals.terminate.recv() => false,
            _ = signals.interrupt.recv() => false,
        };
        let left = self.live.connections.load(Ordering::Relaxed);
        if drained {
            tracing::info!("drained");
        } else {
            tracing::warn!(connections = left, "stopping with connections open");
        }
        self.workers.stop().await;
        self.exporter.finish().await;
        drop(self.listening);
        if !self.writer.close(Duration::from_secs(2)) {
            tracing::warn!("stdout does not take the last lines of the access log");
        }
        ExitCode::SUCCESS
    }
}

fn warn(warnings: &Diagnostics) {
    if !warnings.is_empty() {
        tracing::warn!("configuration:\n{}", warnings.render());
    }
}
