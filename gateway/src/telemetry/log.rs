//! The gateway's own log, on stderr: start, stop, reload, state changes, what is broken.

use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Registry, fmt, layer::SubscriberExt as _, reload};
use weir_config::model::Level;

use super::registry;

static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Starts logging. Later calls only set the level.
pub fn start(level: Level) {
    if LEVEL.get().is_some() {
        return set_level(level);
    }
    let (filter, handle) = reload::Layer::new(filter(level));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let _ = LEVEL.set(handle);
    }
}

/// Sets the least level that is logged.
pub fn set_level(level: Level) {
    if let Some(handle) = LEVEL.get() {
        // It fails only when the subscriber is gone, and with it the log.
        let _ = handle.reload(filter(level));
    }
}

/// Counts panics as bugs, besides telling of them: a task dies of one, the worker does not.
pub fn count_panics(registry: registry::Registry) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        registry.bug();
        report(panic);
    }));
}

const fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Trace => LevelFilter::TRACE,
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    }
}
