//! Where a configuration comes from, and the files that it depends on.

use std::{io, path::PathBuf};

use weir_config::{Diagnostics, Loaded, model::ScriptSource};

use crate::watch::Watcher;

/// Where a configuration comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, reloaded when it changes.
    File(PathBuf),
    /// A text made by a command, under the name errors call it by.
    Text {
        /// Name in messages.
        name: String,
        /// YAML.
        text: String,
    },
}

impl Source {
    pub(super) fn load(&self) -> Result<Loaded, Diagnostics> {
        match self {
            Self::File(path) => weir_config::load(path),
            Self::Text { name, text } => {
                weir_config::load_str(name, text, &|name| std::env::var(name).ok())
            }
        }
    }
}

/// Files whose change calls for a reload.
pub(super) fn files(source: &Source, loaded: &Loaded) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if let Source::File(path) = source {
        files.push(path.clone());
    }
    for tls in loaded.config.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
        for pair in &tls.certificates {
            files.extend([pair.cert.clone(), pair.key.clone()]);
        }
        files.extend(tls.client_ca.clone());
    }
    for tls in loaded.config.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref()) {
        files.extend(crate::upstream::tls::files(tls).map(PathBuf::from));
    }
    for route in &loaded.config.routes {
        files.extend(crate::policy::files(route).map(PathBuf::from));
    }
    for script in loaded.config.routes.iter().filter_map(|route| route.script.as_ref()) {
        if let ScriptSource::File(path) = &script.source {
            files.push(path.clone());
        }
    }
    files
}

/// Begins to watch before the first read, so that no change falls in between.
pub(super) fn watch(source: &Source) -> io::Result<Watcher> {
    let file = match source {
        Source::File(path) => Some(path.clone()),
        Source::Text { .. } => None,
    };
    Watcher::start(file)
}

/// Waits for a change of a file.
pub(super) async fn changed(watcher: Option<&Watcher>) {
    match watcher {
        Some(watcher) => drop(watcher.changed().await),
        None => std::future::pending().await,
    }
}
