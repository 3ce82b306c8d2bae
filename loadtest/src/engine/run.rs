//! The course of a run.

use std::{
    io::IsTerminal,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, mpsc::sync_channel},
    thread,
    time::Duration,
};

use super::{
    collector::{Collector, Ending},
    control::Control,
    finish,
    read::{Test, read},
    worker::{self, Planned, Report, Share},
};
use crate::{
    clock,
    executor::Plan,
    exit::Exit,
    http::Net,
    metrics::{Recorder, Registry, Streaming},
    options::{Flags, Options},
    output::{Outputs, Target},
    signals::Signals,
    vm::{
        Abort, Answer, Environment, Job, Local, Machine, MetricTable, ScriptFailure, Vu, console,
    },
};

/// Reports of workers that wait for the collector at most.
const REPORTS_MAX: usize = 256;

/// How much the summary says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SummaryMode {
    /// The usual.
    #[default]
    Compact,
    /// All metrics.
    Full,
    /// Nothing.
    Disabled,
}

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// The script.
    pub script: PathBuf,
    /// Its text, when it did not come from there.
    pub source: Option<String>,
    /// Options of a configuration file; null where there is none.
    pub config: serde_json::Value,
    /// Options on the command line.
    pub flags: Flags,
    /// The environment; names with `K6_` are options.
    pub environment: Vec<(String, String)>,
    /// `__ENV`.
    pub env: Vec<(String, String)>,
    /// Where samples go.
    pub outputs: Vec<Target>,
    /// Where the summary goes as JSON.
    pub summary_export: Option<PathBuf>,
    /// Where the HTML report goes.
    pub report: Option<PathBuf>,
    /// How much the summary says.
    pub summary_mode: SummaryMode,
    /// Thresholds are not judged.
    pub no_thresholds: bool,
    /// `setup()` is not called.
    pub no_setup: bool,
    /// `teardown()` is not called.
    pub no_teardown: bool,
    /// No progress is shown.
    pub quiet: bool,
    /// Worker threads; as many as CPUs when none.
    pub workers: Option<u32>,
    /// Memory of each worker's interpreter.
    pub vm_memory_bytes: Option<usize>,
}

/// How a run that did not come to an end ended.
pub(super) struct Failed {
    pub(super) exit: Exit,
    pub(super) text: String,
}

impl Failed {
    pub(super) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }
}

/// Runs a test.
pub fn run(invocation: &Invocation) -> Exit {
    block_on(course(invocation))
}

/// Does `work` on this thread and tells how it failed.
pub(super) fn block_on(work: impl Future<Output = Result<Exit, Failed>>) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            console::write("error", &error.to_string());
            return Exit::Panicked;
        }
    };
    let set = tokio::task::LocalSet::new();
    let result = runtime.block_on(set.run_until(work));
    // What scripts left behind holds on to its interpreter.
    std::mem::forget(set);
    match result {
        Ok(exit) => exit,
        Err(failed) => {
            console::write("error", &failed.text);
            failed.exit
        }
    }
}

async fn course(invocation: &Invocation) -> Result<Exit, Failed> {
    let test = read(invocation).await?;
    let registry = match &test.environment.metrics {
        MetricTable::Complete(registry) => Arc::clone(registry),
        MetricTable::Open(_) => return Err(Failed::new(Exit::Panicked, "metrics are missing")),
    };
    let outputs = open_outputs(invocation, &test, &registry)?;
    let streaming = if outputs.is_some() { Streaming::On } else { Streaming::Off };
    let net = Rc::new(Net::new(test.net.clone(), Arc::clone(&test.tls)));
    let in_parts = invocation.summary_mode == SummaryMode::Full;
    let recorder = Recorder::new(Arc::clone(&registry), streaming).in_parts(in_parts);
    let local = Local::new(Arc::clone(&test.environment), net, Some(recorder));
    let machine = machine(&test.environment)?;
    let mut vu = control_vu(&machine, &local)?;
    load(&mut vu).await?;
    for warning in &test.options.warnings {
        console::write("warn", warning);
    }

    let control = Arc::new(Control::default());
    let (planned, workers) = plan(&test.options, invocation.workers);
    let (reports, inbox) = sync_channel::<Report>(REPORTS_MAX);
    let mut threads = Vec::new();
    for worker in 0..workers {
        let share = Share {
            worker,
            workers,
            environment: Arc::clone(&test.environment),
            net: test.net.clone(),
            tls: Arc::clone(&test.tls),
            planned: Arc::clone(&planned),
            streaming,
            in_parts,
            control: Arc::clone(&control),
            reports: reports.clone(),
        };
        let thread = thread::Builder::new().name(format!("worker-{worker}"));
        let thread = thread.spawn(move || worker::run(share));
        threads.push(thread.map_err(|e| Failed::new(Exit::Panicked, e.to_string()))?);
    }
    drop(reports);
    let mut collector = Collector::new(invocation, &test, registry, outputs, inbox, workers);
    collector.wait_ready(&control).await?;
    let setup = setup(invocation, &test, &mut vu, &mut collector.signals).await;
    let data = match setup {
        Ok(data) => data,
        Err(failed) => {
            // No iteration begins, but what setup() counted is told all the same.
            control.stop();
            console::write("error", &failed.text);
            collector.touch_traffic(&local);
            collector.take_own(&local);
            let exit = Some(failed.exit);
            return finish::finish(invocation, &test, collector, &mut vu, exit, None).await;
        }
    };
    test.environment.counts.begin();
    control.begin(clock::now(), data.clone());
    let ending = collector.collect(&control, &local, &planned).await?;
    if ending == Ending::Twice {
        return Ok(Exit::Interrupted);
    }
    let mut exit = ending.exit();
    if let Err(failed) =
        teardown(invocation, &test, &mut vu, data.clone(), &mut collector.signals).await
    {
        console::write("error", &failed.text);
        exit = exit.or(Some(failed.exit));
    }
    collector.take_own(&local);
    finish::finish(invocation, &test, collector, &mut vu, exit, data).await
}

fn open_outputs(
    invocation: &Invocation,
    test: &Test,
    registry: &Arc<Registry>,
) -> Result<Option<Outputs>, Failed> {
    if invocation.outputs.is_empty() {
        return Ok(None);
    }
    let (tags, thresholds) = (test.options.system_tags, test.thresholds.clone());
    let opened = Outputs::open(&invocation.outputs, tags, Arc::clone(registry), thresholds);
    opened.map(Some).map_err(|error| Failed::new(Exit::InvalidConfig, error.to_string()))
}

/// The schedules, and how many workers there is work for.
fn plan(options: &Options, workers: Option<u32>) -> (Arc<Vec<Planned>>, u32) {
    let (mut planned, mut next_id, mut most) = (Vec::new(), 1, 1);
    for scenario in &options.scenarios {
        let plan = Plan::new(scenario);
        let vus = match &plan {
            Plan::Vus(vus) => vus.vus_most(),
            Plan::Arrivals(arrivals) => {
                arrivals.pool().max_vus.max(arrivals.pool().pre_allocated_vus)
            }
        };
        most = most.max(vus);
        planned.push(Planned { scenario: scenario.clone(), plan, first_id: next_id });
        next_id += u64::from(vus);
    }
    let cpus = thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
    (Arc::new(planned), workers.unwrap_or(cpus).clamp(1, most))
}

pub(super) fn machine(environment: &Environment) -> Result<Rc<Machine>, Failed> {
    let machine = Machine::new(environment.vm_memory_bytes);
    machine.map_err(|error| Failed::new(Exit::Panicked, error.text))
}

pub(super) fn control_vu(machine: &Rc<Machine>, local: &Rc<Local>) -> Result<Vu, Failed> {
    Vu::new(machine, local, 0).map_err(|error| Failed::new(Exit::Panicked, error.to_string()))
}

pub(super) async fn load(vu: &mut Vu) -> Result<Answer, Failed> {
    vu.run(Job::Load).await.map_err(|error| Failed::new(Exit::ScriptException, error.text))
}

/// Runs a job on the control thread, within its time. Ctrl-C and an abort end it as well.
async fn within(
    vu: &mut Vu,
    job: Job,
    most: Duration,
    abort: &Abort,
    late: Exit,
    signals: &mut Signals,
) -> Result<Answer, Failed> {
    let stopper = vu.stopper();
    let mut work = std::pin::pin!(vu.run(job));
    let why = tokio::select! {
        biased;
        result = &mut work => {
            return result.map_err(|error| match (abort.aborted(), error) {
                (Some(reason), _) => Failed::new(Exit::ScriptAborted, reason),
                (None, error) if error.failure == ScriptFailure::Exports => {
                    Failed::new(Exit::InvalidConfig, error.text)
                }
                (None, error) => Failed::new(Exit::ScriptException, error.text),
            });
        }
        () = tokio::time::sleep(most) => Failed::new(late, "execution timed out"),
        () = signals.next() => Failed::new(Exit::Interrupted, "interrupted"),
    };
    stopper.stop();
    // It ends at its next step.
    let _ = work.await;
    Err(why)
}

async fn setup(
    invocation: &Invocation,
    test: &Test,
    vu: &mut Vu,
    signals: &mut Signals,
) -> Result<Option<Arc<str>>, Failed> {
    if invocation.no_setup || !test.functions.contains("setup") {
        return Ok(None);
    }
    let (most, abort) = (test.options.setup_timeout, &test.environment.abort);
    let answer = within(vu, Job::Setup, most, abort, Exit::SetupTimeout, signals).await;
    let answer =
        answer.map_err(|failed| Failed { text: format!("setup(): {}", failed.text), ..failed })?;
    Ok(answer.json.map(Into::into))
}

async fn teardown(
    invocation: &Invocation,
    test: &Test,
    vu: &mut Vu,
    data: Option<Arc<str>>,
    signals: &mut Signals,
) -> Result<(), Failed> {
    if invocation.no_teardown || !test.functions.contains("teardown") {
        return Ok(());
    }
    // One that ended the iterations does not end this as well.
    let abort = test.environment.abort.take();
    let most = test.options.teardown_timeout;
    let now = &test.environment.abort;
    let done = within(vu, Job::Teardown(data), most, now, Exit::TeardownTimeout, signals).await;
    if let Some(reason) = abort {
        test.environment.abort.abort(reason);
    }
    done.map(drop)
        .map_err(|failed| Failed { text: format!("teardown(): {}", failed.text), ..failed })
}

/// Runs `handleSummary()`.
pub(super) async fn summarize(
    test: &Test,
    vu: &mut Vu,
    data: String,
    signals: &mut Signals,
) -> Result<Option<String>, Failed> {
    let most = test.options.handle_summary_timeout;
    let job = Job::Summary(data.into());
    let answer = within(vu, job, most, &Abort::default(), Exit::Timeout, signals).await?;
    Ok(answer.json)
}

/// Whether standard output is a terminal.
pub(super) fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
