//! What became of the configuration: for `/status`, `/config` and whoever is on call.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use weir_config::Loaded;

/// The last load that took effect, and the last that did not.
#[derive(Debug)]
pub struct Status {
    started: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    file: String,
    loaded_at: Duration,
    loads: u64,
    refused: Option<(String, Duration)>,
}

/// One look at it. Times are since the Unix epoch.
#[derive(Debug, Clone)]
pub struct Report {
    /// The file in use.
    pub file: String,
    /// When the process started.
    pub started: Duration,
    /// When the running configuration was loaded.
    pub loaded_at: Duration,
    /// How many configurations took effect.
    pub loads: u64,
    /// The latest refusal, when nothing was loaded since: its text and time.
    pub refused: Option<(String, Duration)>,
}

impl Status {
    /// The first configuration is in use.
    pub fn new(loaded: &Loaded, unix_time: Duration) -> Self {
        let inner =
            Inner { file: loaded.name.clone(), loaded_at: unix_time, loads: 1, refused: None };
        Self { started: unix_time, inner: Mutex::new(inner) }
    }

    /// Another took effect.
    pub fn loaded(&self, loaded: &Loaded, unix_time: Duration) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.file.clone_from(&loaded.name);
        inner.loaded_at = unix_time;
        inner.loads += 1;
        inner.refused = None;
    }

    /// Another was refused.
    pub fn refused(&self, why: &str, unix_time: Duration) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.refused = Some((why.to_owned(), unix_time));
    }

    /// How things stand.
    pub fn report(&self) -> Report {
        let Inner { file, loaded_at, loads, refused } =
            self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Report { file, started: self.started, loaded_at, loads, refused }
    }
}
