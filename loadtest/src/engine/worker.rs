//! A worker thread: an interpreter, and the virtual users that are this thread's share.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, atomic::Ordering, mpsc::SyncSender},
    task::Waker,
    time::{Duration, Instant},
};

use super::{arrivals, control::Control, vus};
use crate::{
    clock,
    executor::Plan,
    http::{Net, NetOptions},
    metrics::{Delta, Recorder, Streaming, TagSet, builtin},
    options::{Scenario, SystemTag},
    task,
    vm::{Environment, Job, Local, Machine, Place, ScriptFailure, Stopper, Vu, console},
};

/// How often counts go to the collector.
const REPORT_PERIOD: Duration = Duration::from_millis(100);
/// How often iterations are looked at that must end.
const WATCH_PERIOD: Duration = Duration::from_millis(25);

/// What a worker tells the collector.
#[derive(Debug)]
pub(super) enum Report {
    /// Its virtual users are there.
    Ready,
    /// It cannot work.
    Failed(String),
    /// What it counted.
    Counts(Box<Delta>),
    /// It has ended.
    Ended,
}

/// A scenario and its schedule.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) scenario: Scenario,
    pub(super) plan: Plan,
    /// The id of the virtual user at place 0.
    pub(super) first_id: u64,
}

/// What a worker is given.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) worker: u32,
    pub(super) workers: u32,
    pub(super) environment: Arc<Environment>,
    pub(super) net: NetOptions,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) planned: Arc<Vec<Planned>>,
    pub(super) streaming: Streaming,
    /// Whether scenarios and groups are counted by themselves.
    pub(super) in_parts: bool,
    pub(super) control: Arc<Control>,
    pub(super) reports: SyncSender<Report>,
}

impl Share {
    /// How many of `all` are this worker's, when `lanes` workers share them.
    pub(super) fn of(&self, all: u32, lanes: u32) -> u32 {
        if self.worker >= lanes {
            return 0;
        }
        all / lanes + u32::from(self.worker < all % lanes)
    }
}

/// What the virtual users of a thread have in common.
pub(super) struct Crew {
    pub(super) share: Share,
    pub(super) local: Rc<Local>,
    machine: Rc<Machine>,
    watched: RefCell<Vec<Rc<Watched>>>,
}

/// An iteration that may have to be ended.
struct Watched {
    stopper: Stopper,
    deadline: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
}

/// A virtual user of a scenario.
pub(super) struct Member {
    vu: Vu,
    watched: Rc<Watched>,
}

/// Runs a worker until its scenarios have ended. The thread's whole work.
pub(super) fn run(share: Share) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let reports = share.reports.clone();
    // The collector is there until all workers have ended.
    match runtime {
        Ok(runtime) => {
            let set = tokio::task::LocalSet::new();
            if let Err(why) = runtime.block_on(set.run_until(work(share))) {
                let _ = reports.send(Report::Failed(why));
            }
            let _ = reports.send(Report::Ended);
            // Scripts that would not end hold on to their interpreter; the process ends soon.
            std::mem::forget(set);
        }
        Err(error) => drop(reports.send(Report::Failed(error.to_string()))),
    }
}

async fn work(share: Share) -> Result<(), String> {
    let environment = Arc::clone(&share.environment);
    let registry = match &environment.metrics {
        crate::vm::MetricTable::Complete(registry) => Arc::clone(registry),
        crate::vm::MetricTable::Open(_) => return Err("the metrics are not complete".into()),
    };
    let net = Rc::new(Net::new(share.net.clone(), Arc::clone(&share.tls)));
    let recorder = Recorder::new(registry, share.streaming).in_parts(share.in_parts);
    let local = Local::new(Arc::clone(&environment), net, Some(recorder));
    let machine = Machine::new(environment.vm_memory_bytes).map_err(|error| error.text)?;
    let crew = Rc::new(Crew { share, local, machine, watched: RefCell::default() });
    let mut scenarios = Vec::new();
    for planned in crew.share.planned.iter() {
        scenarios.push(match &planned.plan {
            Plan::Vus(plan) => vus::prepare(&crew, planned, plan).await?,
            Plan::Arrivals(plan) => arrivals::prepare(&crew, planned, plan).await?,
        });
    }
    // As above: the collector is there.
    let _ = crew.share.reports.send(Report::Ready);
    let Some((begun, data)) = crew.share.control.begun().await else { return Ok(()) };
    let watch = task::spawn("watch", watch(Rc::clone(&crew)));
    let report = task::spawn("report", report(Rc::clone(&crew)));
    let running: Vec<_> = scenarios
        .into_iter()
        .map(|members| {
            let (crew, data) = (Rc::clone(&crew), data.clone());
            task::spawn("scenario", async move { members.run(crew, begun, data).await })
        })
        .collect();
    for scenario in running {
        scenario.await.map_err(|error| format!("a scenario panicked: {error}"))?;
    }
    watch.abort();
    report.abort();
    send_counts(&crew);
    Ok(())
}

/// The virtual users of a scenario, ready to begin.
pub(super) struct Members {
    pub(super) members: Vec<(u32, Member)>,
    pub(super) index: usize,
}

impl Members {
    async fn run(self, crew: Rc<Crew>, begun: Instant, data: Option<Arc<str>>) {
        let shared = Arc::clone(&crew.share.planned);
        let planned = &shared[self.index];
        let place = place(&crew, planned, begun);
        match &planned.plan {
            Plan::Vus(_) => vus::run(crew, self, place, begun, data).await,
            Plan::Arrivals(_) => arrivals::run(crew, self, place, begun, data).await,
        }
    }
}

fn place(crew: &Crew, planned: &Planned, begun: Instant) -> Rc<Place> {
    let options = &crew.local.environment.options;
    let pairs = |tags: &[(String, String)]| -> Vec<(String, String)> { tags.to_vec() };
    let mut tags = pairs(&options.tags);
    if options.system_tags.has(SystemTag::Scenario) {
        tags.push(("scenario".into(), planned.scenario.name.clone()));
    }
    tags.extend(pairs(&planned.scenario.tags));
    let set = TagSet::new(tags.iter().map(|(key, value)| (&**key, &**value)));
    Rc::new(Place {
        scenario: planned.scenario.clone(),
        tags: set,
        begun: begun + planned.scenario.start_time,
        ended: Default::default(),
        progress: Default::default(),
    })
}

impl Crew {
    /// Makes a virtual user and lets it read the script.
    pub(super) async fn recruit(&self, id: u64) -> Result<Member, String> {
        let own;
        let machine = if Machine::can_be_shared() {
            &self.machine
        } else {
            own =
                Machine::new(self.local.environment.vm_memory_bytes).map_err(|error| error.text)?;
            &own
        };
        let mut vu = Vu::new(machine, &self.local, id).map_err(|error| error.to_string())?;
        vu.run(Job::Load).await.map_err(|error| error.text)?;
        let watched = Rc::new(Watched {
            stopper: vu.stopper(),
            deadline: Cell::new(None),
            waker: RefCell::default(),
        });
        self.watched.borrow_mut().push(Rc::clone(&watched));
        self.local.environment.counts.initialized.fetch_add(1, Ordering::Relaxed);
        Ok(Member { vu, watched })
    }
}

impl Member {
    pub(super) fn enter(&mut self, place: &Rc<Place>) {
        self.vu.enter(Rc::clone(place));
    }

    /// Runs an iteration and counts it.
    pub(super) async fn iterate(
        &mut self,
        crew: &Crew,
        job: Job,
        number: u64,
        lag: Option<Duration>,
        deadline: Instant,
    ) {
        let counts = &crew.local.environment.counts;
        counts.active.fetch_add(1, Ordering::Relaxed);
        let begun = clock::now();
        self.vu.begin_iteration(number, lag);
        self.watched.deadline.set(Some(deadline));
        if self.watched.waker.borrow().is_none() {
            let waker = std::future::poll_fn(|task| std::task::Poll::Ready(task.waker().clone()));
            *self.watched.waker.borrow_mut() = Some(waker.await);
        }
        let result = self.vu.run(job).await;
        self.watched.deadline.set(None);
        counts.active.fetch_sub(1, Ordering::Relaxed);
        if let Err(error) = &result {
            // Whoever ends the test begins nothing more; the collector hears of it later.
            let ends = crew.local.environment.abort.aborted().is_some();
            if ends {
                crew.share.control.drain();
            }
            if error.failure == ScriptFailure::Stopped {
                counts.interrupted.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if !ends {
                console::write("error", &error.text);
            }
        }
        let took = clock::now() - begun;
        counts.completed.fetch_add(1, Ordering::Relaxed);
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let mut values = [(builtin::ITERATIONS, 1.0); 3];
        values[1] = (builtin::ITERATION_DURATION, ms(took));
        if let Some(lag) = lag {
            values[2] = (builtin::ITERATION_LATENCY, ms(lag + took));
        }
        crew.local.record(&values[..2 + usize::from(lag.is_some())], &self.vu.tags());
        let least = crew.local.environment.options.min_iteration_duration;
        if took < least {
            crew.share.control.sleep_until(begun + least).await;
        }
    }

    /// Must be called when another task drives it from now on.
    pub(super) fn moved(&self) {
        self.watched.waker.borrow_mut().take();
    }
}

/// Ends iterations whose time is up.
async fn watch(crew: Rc<Crew>) {
    loop {
        tokio::time::sleep(WATCH_PERIOD).await;
        let (now, stops) = (clock::now(), crew.share.control.is_stopping());
        for watched in crew.watched.borrow().iter() {
            if watched.deadline.get().is_some_and(|deadline| stops || deadline <= now) {
                watched.stopper.stop();
                if let Some(waker) = &*watched.waker.borrow() {
                    waker.wake_by_ref();
                }
            }
        }
    }
}

async fn report(crew: Rc<Crew>) {
    loop {
        tokio::time::sleep(REPORT_PERIOD).await;
        send_counts(&crew);
    }
}

fn send_counts(crew: &Crew) {
    let delta = crew.local.recorder.borrow_mut().as_mut().map(Recorder::take);
    if let Some(delta) = delta {
        // Waits when the collector is behind: better late than lost.
        let _ = crew.share.reports.send(Report::Counts(Box::new(delta)));
    }
    let time = Machine::take_script_time();
    let counts = &crew.local.environment.counts;
    counts.script_nanos.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
}
