//! What became of the configuration: for `/status`, `/config` and whoever is on call.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use weir_config::{Loaded, model::Bind};

/// The last load that took effect, and the last that did not.
#[derive(Debug)]
pub struct Status {
    started: Duration,
    workers: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    file: String,
    bound: Vec<(Bind, Bind)>,
    loaded_at: Duration,
    loads: u64,
    refused: Option<(String, Duration)>,
}

/// One look at it. Times are since the Unix epoch.
#[derive(Debug, Clone)]
pub struct Report {
    /// The file in use.
    pub file: String,
    /// Worker threads.
    pub workers: usize,
    /// Each listening address as the file has it, and as it was bound.
    pub bound: Vec<(Bind, Bind)>,
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
    pub fn new(
        loaded: &Loaded,
        workers: usize,
        bound: Vec<(Bind, Bind)>,
        unix_time: Duration,
    ) -> Self {
        let file = loaded.name.clone();
        let inner = Inner { file, bound, loaded_at: unix_time, loads: 1, refused: None };
        Self { started: unix_time, workers, inner: Mutex::new(inner) }
    }

    /// Another took effect.
    pub fn loaded(&self, loaded: &Loaded, bound: Vec<(Bind, Bind)>, unix_time: Duration) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.file.clone_from(&loaded.name);
        inner.bound = bound;
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
        let Inner { file, bound, loaded_at, loads, refused } =
            self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (started, workers) = (self.started, self.workers);
        Report { file, workers, bound, started, loaded_at, loads, refused }
    }
}
