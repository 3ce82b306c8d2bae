//! What native code knows of the virtual user that calls it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{Bundle, Machine, operations::Operations};
use crate::{
    clock,
    http::{Client, Jar, Net},
    metrics::{Contains, Kind, MetricError, MetricId, Recorder, Registry, TagSet, Tags},
    options::{Options, Scenario, SystemTag, SystemTags},
};

thread_local! {
    static CURRENT: RefCell<Option<Rc<VuState>>> = const { RefCell::new(None) };
}

/// What a whole run shares, over all threads.
#[derive(Debug)]
pub struct Environment {
    /// The script and its files.
    pub bundle: Arc<Bundle>,
    /// `__ENV`.
    pub env: Vec<(String, String)>,
    /// The options; defaults until the script's were read.
    pub options: Arc<Options>,
    /// The options as `exec.test.options` shows them, JSON.
    pub options_json: Arc<str>,
    /// The metrics.
    pub metrics: MetricTable,
    /// Counts for `exec.instance`.
    pub counts: Arc<InstanceCounts>,
    /// Where an abort of the script is told.
    pub abort: Arc<Abort>,
    /// When the test began.
    pub begun: Instant,
    /// Memory of each interpreter.
    pub vm_memory_bytes: usize,
}

/// The metrics: open while the script is first read, complete afterwards.
#[derive(Debug)]
pub enum MetricTable {
    /// More may be defined.
    Open(Mutex<Registry>),
    /// All that there will be.
    Complete(Arc<Registry>),
}

impl MetricTable {
    /// The metric of this name, defined if it may be.
    pub(super) fn define(
        &self,
        name: &str,
        kind: Kind,
        contains: Contains,
    ) -> Result<MetricId, MetricError> {
        match self {
            Self::Open(registry) => {
                registry.lock().unwrap_or_else(PoisonError::into_inner).define(name, kind, contains)
            }
            // A copy: tells what defining it again would say, and defines nothing.
            Self::Complete(registry) => match registry.id(name) {
                Some(id) if registry.metric(id).is(kind, contains) => Ok(id),
                _ => {
                    let mut scratch = Registry::clone(registry);
                    scratch.define(name, kind, contains)?;
                    Err(MetricError::Name(name.to_string()))
                }
            },
        }
    }
}

/// What `exec.instance` counts.
#[derive(Debug, Default)]
pub struct InstanceCounts {
    /// Iterations that ended.
    pub completed: AtomicU64,
    /// Iterations that were interrupted.
    pub interrupted: AtomicU64,
    /// VUs that run an iteration.
    pub active: AtomicU64,
    /// VUs that were made.
    pub initialized: AtomicU64,
    /// Nanoseconds that scripts had the CPU since the test began.
    pub script_nanos: AtomicU64,
    /// Times since then that a script was made to wait because it had the CPU for too long.
    pub preempted: AtomicU64,
}

impl InstanceCounts {
    /// The test begins: what scripts took to load is not said of it.
    pub fn begin(&self) {
        self.script_nanos.store(0, Relaxed);
        self.preempted.store(0, Relaxed);
    }
}

/// A script's wish about the whole run.
#[derive(Debug, Default)]
pub struct Abort {
    wish: Mutex<(Option<String>, Option<String>)>,
    notify: tokio::sync::Notify,
}

impl Abort {
    /// Ends the run; the first reason counts.
    pub fn abort(&self, reason: String) {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner).0.get_or_insert(reason);
        self.notify.notify_waiters();
        self.notify.notify_one();
    }

    /// Makes the run end as failed, in its own time.
    pub fn fail(&self, reason: String) {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner).1.get_or_insert(reason);
    }

    /// The reason of an abort, which then was none.
    pub fn take(&self) -> Option<String> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner).0.take()
    }

    /// The reason of an abort.
    pub fn aborted(&self) -> Option<String> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// The reason of a failure.
    pub fn failed(&self) -> Option<String> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Waits for an abort.
    pub async fn wait(&self) {
        while self.aborted().is_none() {
            self.notify.notified().await;
        }
    }
}

/// What the virtual users of one thread share.
#[derive(Debug)]
pub struct Local {
    /// What the run shares.
    pub environment: Arc<Environment>,
    /// Connections.
    pub net: Rc<Net>,
    /// The counts; none while the script is first read.
    pub recorder: RefCell<Option<Recorder>>,
    /// URLs taken apart before.
    pub(super) targets: RefCell<std::collections::HashMap<String, Rc<crate::http::Target>>>,
}

impl Local {
    /// Nothing counted, nothing connected.
    pub fn new(
        environment: Arc<Environment>,
        net: Rc<Net>,
        recorder: Option<Recorder>,
    ) -> Rc<Self> {
        Rc::new(Self {
            environment,
            net,
            recorder: RefCell::new(recorder),
            targets: RefCell::default(),
        })
    }

    /// Counts values that share their tags.
    pub fn record(&self, values: &[(MetricId, f64)], tags: &(impl Tags + ?Sized)) {
        if let Some(recorder) = &mut *self.recorder.borrow_mut() {
            recorder.record_all(values, tags, clock::unix());
        }
    }
}

/// Where an iteration runs.
#[derive(Debug)]
pub struct Place {
    /// The scenario.
    pub scenario: Scenario,
    /// The tags of the test and of the scenario.
    pub tags: TagSet,
    /// When the scenario began.
    pub begun: Instant,
    /// Iterations of the scenario that ended, in this process.
    pub ended: AtomicU64,
    /// The share of the scenario that is over, 0 to 1, in millionths.
    pub progress: AtomicU64,
}

/// One virtual user, as natives see it.
#[derive(Debug)]
pub(crate) struct VuState {
    pub(crate) local: Rc<Local>,
    pub(crate) machine: Rc<Machine>,
    /// From 1; 0 for the one that reads options and runs `setup()`.
    pub(crate) id: u64,
    pub(crate) client: Client,
    pub(crate) jar: Rc<RefCell<Jar>>,
    /// Of the iteration: those of the test, the scenario and `exec.vu.tags`.
    pub(crate) tags: RefCell<TagSet>,
    pub(crate) group: RefCell<Rc<str>>,
    pub(crate) place: RefCell<Option<Rc<Place>>>,
    pub(crate) expected: RefCell<Option<Rc<Expected>>>,
    pub(crate) is_init: Cell<bool>,
    pub(crate) iteration: Cell<u64>,
    pub(crate) iteration_in_scenario: Cell<u64>,
    pub(crate) iteration_in_test: Cell<u64>,
    /// How late the iteration began; `None` where there is no schedule.
    pub(crate) lag: Cell<Option<Duration>>,
    pub(crate) operations: Operations,
    pub(crate) random: RefCell<fastrand::Rng>,
    /// A rejection that nobody caught, as text.
    pub(crate) rejection: RefCell<Option<String>>,
    /// The file whose code runs in the init context, for `open()`.
    pub(crate) fail_on_error: Cell<bool>,
}

/// Which statuses a script expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected(pub(crate) Vec<(u16, u16)>);

impl Expected {
    pub(crate) fn holds(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

impl Default for Expected {
    fn default() -> Self {
        Self(vec![(200, 399)])
    }
}

impl VuState {
    pub(crate) fn new(local: Rc<Local>, machine: Rc<Machine>, id: u64) -> Rc<Self> {
        let seed = clock::unix().as_nanos() as u64 ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let options = Arc::clone(&local.environment.options);
        Rc::new(Self {
            client: Client::new(Rc::clone(&local.net)),
            machine,
            id,
            jar: Rc::default(),
            tags: RefCell::default(),
            group: RefCell::new("".into()),
            place: RefCell::default(),
            expected: RefCell::new(Some(Rc::default())),
            is_init: Cell::new(true),
            iteration: Cell::new(0),
            iteration_in_scenario: Cell::new(0),
            iteration_in_test: Cell::new(0),
            lag: Cell::new(None),
            operations: Operations::default(),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            rejection: RefCell::default(),
            fail_on_error: Cell::new(options.throw),
            local,
        })
    }

    pub(crate) fn options(&self) -> &Options {
        &self.local.environment.options
    }

    /// The tags of a sample that is no request's: put together only when somebody looks.
    pub(crate) fn sample_tags<'a>(&self, extra: &'a [(&'a str, &'a str)]) -> SampleTags<'a> {
        SampleTags {
            set: self.tags.borrow().clone(),
            group: self.system_tags().has(SystemTag::Group).then(|| self.group.borrow().clone()),
            extra,
        }
    }

    pub(crate) fn system_tags(&self) -> SystemTags {
        self.options().system_tags
    }
}

/// Tags of a sample, as they were when it was made.
#[derive(Debug)]
pub(crate) struct SampleTags<'a> {
    set: TagSet,
    group: Option<Rc<str>>,
    extra: &'a [(&'a str, &'a str)],
}

impl Tags for SampleTags<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        let extra = self.extra.iter().rev().find(|(other, _)| *other == key);
        match (extra, key) {
            (Some((_, value)), _) => Some(value),
            (None, "group") => self.group.as_deref(),
            (None, key) => self.set.value(key),
        }
    }

    fn to_set(&self) -> TagSet {
        match &self.group {
            Some(group) => self.set.with(&[("group", &**group)]).with(self.extra),
            None => self.set.with(self.extra),
        }
    }
}

/// The virtual user whose fiber runs.
pub(crate) fn current() -> Option<Rc<VuState>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Makes `vu` the current one while `f` runs.
pub(crate) fn run_as<R>(vu: &Rc<VuState>, f: impl FnOnce() -> R) -> R {
    let outer = CURRENT.replace(Some(Rc::clone(vu)));
    let result = f();
    CURRENT.set(outer);
    result
}
