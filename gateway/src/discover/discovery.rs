//! Where endpoints come from that no file names: DNS, members, a watched file.
//!
//! Each source has a task, which asks or listens and tells [`Found`]. What differs from before
//! becomes a new snapshot once it has come to rest.

use std::{collections::BTreeMap, path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, watch::Receiver},
    task::JoinHandle,
};
use weir_config::model::{self, Config, DiscoverySource};
use weir_discovery::{dns, udp};

use super::{
    file,
    found::{Found, Question},
    members, names,
};
use crate::{clock, task, watch::Watcher};

/// Names of DNS that are looked up at a time.
const LOOK_UPS: usize = 64;
/// How long a start, or a reload, waits for the first answers.
const FIRST: Duration = Duration::from_secs(1);

/// Views of a membership, as they come.
pub(crate) type Views = Receiver<Arc<udp::View>>;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Discovery {
    found: Arc<Found>,
    /// Files share a task.
    asked: BTreeMap<Question, Option<Asking>>,
    resolver: Rc<dns::Resolver>,
    look_ups: Arc<Semaphore>,
    files: Option<Files>,
}

/// A task that ends with this.
#[derive(Debug)]
struct Asking(JoinHandle<()>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The files that tell endpoints.
#[derive(Debug)]
struct Files {
    watcher: Rc<Watcher>,
    _task: Asking,
}

impl Discovery {
    /// Nobody is asked yet. What is heard is told to `found`.
    pub(crate) fn new(found: Arc<Found>) -> Self {
        let settings = dns::Settings { servers: Vec::new(), timeout: FIRST };
        Self {
            found,
            asked: BTreeMap::new(),
            resolver: Rc::new(dns::Resolver::new(settings)),
            look_ups: Arc::new(Semaphore::new(LOOK_UPS)),
            files: None,
        }
    }

    /// Begins to ask what a configuration wants to know and nobody is asked yet, and waits a moment
    /// for the answers. Files are read anew. `views` are those of the membership.
    pub(crate) async fn prepare(&mut self, config: &Config, views: Option<&Views>) {
        let settings = settings(&config.resolver);
        if *self.resolver.settings() != settings {
            self.resolver = Rc::new(dns::Resolver::new(settings));
        }
        let wanted = Question::all(config);
        // Watched first and read then, nothing falls in between.
        self.watch(self.asked.keys().chain(&wanted).filter_map(path).collect());
        let mut begun = false;
        for question in wanted {
            let source = &question.source;
            // One that listens to members ends with the membership, which may begin again.
            let again = views.is_some_and(|views| views.has_changed().is_ok());
            let asks = |task: &Option<Asking>| {
                task.as_ref().is_none_or(|task| !again || !task.0.is_finished())
            };
            let new = !self.asked.get(&question).is_some_and(asks);
            if let DiscoverySource::File(_) = source {
                self.found.expect(&question);
                file::read(&question, &self.found);
                self.asked.entry(question).or_default();
            } else if new && let Some(task) = self.begin(&question, views) {
                self.asked.insert(question, Some(task));
                begun = true;
            }
        }
        let answers = async {
            while !self.found.is_complete() {
                self.found.news().await;
            }
        };
        if begun {
            // Those who have not answered by then are heard when they do.
            let _ = tokio::time::timeout(FIRST, answers).await;
        }
    }

    /// Asks only what a configuration wants to know, from now on.
    pub(crate) fn settle(&mut self, config: &Config) {
        let wanted = Question::all(config);
        self.asked.retain(|question, _| wanted.contains(question));
        self.found.keep(|question| wanted.contains(question));
        self.watch(wanted.iter().filter_map(path).collect());
    }

    /// Waits until somebody serves who did not, or the other way round, and that has come to rest.
    /// Dropping the future loses nothing.
    pub(crate) async fn changed(&self) {
        loop {
            match self.found.due() {
                Some(due) if clock::now() >= due => return self.found.passed_on(),
                Some(due) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(due.instant()) => {}
                        () = self.found.news() => {}
                    }
                }
                None => self.found.news().await,
            }
        }
    }

    /// Begins to ask; `None` where there is nobody to be asked.
    fn begin(&self, question: &Question, views: Option<&Views>) -> Option<Asking> {
        let (found, asks) = (self.found.clone(), question.clone());
        let task = match &question.source {
            DiscoverySource::Dns(..) | DiscoverySource::DnsSrv(_) => {
                let (resolver, look_ups) = (self.resolver.clone(), self.look_ups.clone());
                task::spawn(names::ask(asks, resolver, look_ups, found))
            }
            DiscoverySource::Members(_) => {
                task::spawn(members::listen(asks, views?.clone(), found))
            }
            DiscoverySource::File(_) => return None,
        };
        self.found.expect(question);
        Some(Asking(task))
    }

    /// Watches these files, and reads those that change.
    fn watch(&mut self, paths: Vec<PathBuf>) {
        match &self.files {
            _ if paths.is_empty() => self.files = None,
            Some(files) => files.watcher.replace(paths),
            None => match Watcher::start(paths) {
                Ok(watcher) => {
                    let watcher = Rc::new(watcher);
                    let task = task::spawn(file::listen(watcher.clone(), self.found.clone()));
                    self.files = Some(Files { watcher, _task: Asking(task) });
                }
                Err(error) => {
                    tracing::warn!(%error, "lists of endpoints are not watched; use SIGHUP");
                }
            },
        }
    }
}

fn path(question: &Question) -> Option<PathBuf> {
    file::path(question).map(PathBuf::from)
}

fn settings(resolver: &model::Resolver) -> dns::Settings {
    dns::Settings { servers: resolver.servers.clone(), timeout: resolver.timeout }
}
