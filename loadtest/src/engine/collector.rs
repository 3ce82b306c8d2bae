//! Adds up what the workers count, judges it, shows it, and ends the run.

use std::{
    io::{IsTerminal, Write},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, TryRecvError},
    },
    time::Duration,
};

use super::{
    control::Control,
    read::Test,
    run::{Failed, Invocation},
    worker::{Planned, Report},
};
use crate::{
    clock,
    executor::Plan,
    exit::Exit,
    metrics::{Delta, Recorder, Registry, TagSet, Totals, builtin},
    output::Outputs,
    progress::{Progress, View},
    report::Timeline,
    signals::Signals,
    threshold::Thresholds,
    vm::{Environment, Local, console},
};

/// How often the inbox is looked at.
const PERIOD: Duration = Duration::from_millis(20);
const SECOND: Duration = Duration::from_secs(1);

/// How the test itself ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By its schedule.
    Regular,
    /// By a signal; workers have drained.
    Interrupted,
    /// By a second signal: nothing more is done.
    Twice,
    /// By the script.
    Aborted,
    /// By a threshold.
    Threshold,
}

impl Ending {
    pub(super) fn exit(&self) -> Option<Exit> {
        match self {
            Self::Regular => None,
            Self::Interrupted | Self::Twice => Some(Exit::Interrupted),
            Self::Aborted => Some(Exit::ScriptAborted),
            Self::Threshold => Some(Exit::ThresholdsCrossed),
        }
    }
}

/// The collector of a run.
pub(super) struct Collector {
    pub(super) totals: Totals,
    pub(super) thresholds: Thresholds,
    pub(super) outputs: Option<Outputs>,
    pub(super) elapsed: Duration,
    /// For the report, where one is asked for.
    pub(super) timeline: Option<Timeline>,
    /// How many threads run scripts.
    pub(super) workers: u32,
    inbox: Receiver<Report>,
    ended: u32,
    quiet: bool,
    environment: Arc<Environment>,
    pub(super) signals: Signals,
}

impl Collector {
    pub(super) fn new(
        invocation: &Invocation,
        test: &Test,
        registry: Arc<Registry>,
        outputs: Option<Outputs>,
        inbox: Receiver<Report>,
        workers: u32,
    ) -> Self {
        Self {
            totals: Totals::new(registry),
            thresholds: test.thresholds.clone(),
            outputs,
            elapsed: Duration::ZERO,
            timeline: invocation.report.is_some().then(Timeline::new),
            inbox,
            workers,
            ended: 0,
            quiet: invocation.quiet,
            environment: Arc::clone(&test.environment),
            signals: Signals::new(),
        }
    }

    /// Waits until all workers have their virtual users.
    pub(super) async fn wait_ready(&mut self, control: &Control) -> Result<(), Failed> {
        let mut ready = 0;
        while ready < self.workers {
            match self.inbox.try_recv() {
                Ok(Report::Ready) => ready += 1,
                Ok(Report::Failed(text)) => {
                    control.stop();
                    return Err(Failed::new(Exit::ScriptException, text));
                }
                Ok(Report::Counts(delta)) => self.merge(*delta),
                Ok(Report::Ended) => self.ended += 1,
                Err(TryRecvError::Empty) => tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(1)) => {}
                    () = self.signals.next() => {
                        control.stop();
                        return Err(Failed::new(Exit::Interrupted, "interrupted"));
                    }
                },
                Err(TryRecvError::Disconnected) => {
                    return Err(Failed::new(Exit::Panicked, "a worker panicked"));
                }
            }
        }
        Ok(())
    }

    /// Collects until all workers have ended.
    pub(super) async fn collect(
        &mut self,
        control: &Control,
        local: &Local,
        planned: &[Planned],
    ) -> Result<Ending, Failed> {
        let Some((begun, _)) = control.begun().await else { return Ok(Ending::Interrupted) };
        let scenarios: Vec<_> = planned.iter().map(|p| (&p.scenario, &p.plan)).collect();
        let mut ending = Ending::Regular;
        let mut progress = Progress::default();
        let (mut next_second, mut next_judgement) = (begun + SECOND, begun + Thresholds::PERIOD);
        let is_terminal = std::io::stderr().is_terminal();
        while self.ended < self.workers {
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = self.signals.next() => match ending {
                    Ending::Regular => {
                        let text = "Stopping: iterations may end. Once more to stop at once";
                        console::write("warn", text);
                        ending = Ending::Interrupted;
                        control.drain();
                    }
                    _ => return Ok(Ending::Twice),
                },
                () = self.environment.abort.wait(), if ending == Ending::Regular => {
                    ending = Ending::Aborted;
                    control.stop();
                    let reason = self.environment.abort.aborted().unwrap_or_default();
                    console::write("error", &reason);
                }
            }
            self.receive()?;
            let now = clock::now();
            self.elapsed = now - begun;
            if now >= next_second {
                next_second += SECOND;
                self.gauges(local);
                if !self.quiet {
                    self.show(&mut progress, &scenarios, is_terminal, now - begun);
                }
            }
            if now >= next_judgement {
                next_judgement += Thresholds::PERIOD;
                let verdict = self.thresholds.evaluate(&self.totals, self.elapsed);
                if verdict.abort && ending == Ending::Regular {
                    let crossed = verdict.crossed.join("', '");
                    let text = format!(
                        "thresholds on metrics '{crossed}' were crossed; at least one has \
                         abortOnFail enabled, stopping test prematurely"
                    );
                    console::write("error", &text);
                    ending = Ending::Threshold;
                    control.stop();
                }
            }
        }
        self.elapsed = clock::now() - begun;
        if is_terminal && !self.quiet {
            // The end as well, and not what it was up to a second before.
            self.show(&mut progress, &scenarios, is_terminal, self.elapsed);
            console::settle();
        }
        if ending == Ending::Regular
            && let Some(reason) = self.environment.abort.aborted()
        {
            console::write("error", &reason);
            ending = Ending::Aborted;
        }
        self.unbegun(local, planned, &ending);
        Ok(ending)
    }

    fn receive(&mut self) -> Result<(), Failed> {
        loop {
            match self.inbox.try_recv() {
                Ok(Report::Counts(delta)) => self.merge(*delta),
                Ok(Report::Ended) => self.ended += 1,
                Ok(Report::Ready) => {}
                Ok(Report::Failed(text)) => console::write("error", &text),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) if self.ended >= self.workers => return Ok(()),
                Err(TryRecvError::Disconnected) => {
                    return Err(Failed::new(Exit::Panicked, "a worker panicked"));
                }
            }
        }
    }

    fn merge(&mut self, mut delta: Delta) {
        let samples = std::mem::take(&mut delta.samples);
        self.totals.merge(&delta);
        if let Some(timeline) = &mut self.timeline {
            let vus = self.environment.counts.active.load(Ordering::Relaxed) as u32;
            timeline.add(self.elapsed, &delta, vus);
        }
        if let Some(outputs) = &self.outputs {
            // What went wrong is told at the end.
            outputs.send(samples);
        }
    }

    /// What the control thread counted itself.
    pub(super) fn take_own(&mut self, local: &Local) {
        let delta = local.recorder.borrow_mut().as_mut().map(Recorder::take);
        if let Some(delta) = delta {
            self.merge(delta);
        }
    }

    fn gauges(&mut self, local: &Local) {
        let counts = &self.environment.counts;
        let active = counts.active.load(Ordering::Relaxed) as f64;
        let made = counts.initialized.load(Ordering::Relaxed) as f64;
        let values = [(builtin::VUS, active), (builtin::VUS_MAX, made)];
        local.record(&values, &TagSet::default());
        self.take_own(local);
    }

    /// As in k6, these two are there even when nothing was sent.
    pub(super) fn touch_traffic(&self, local: &Local) {
        let values = [(builtin::DATA_SENT, 0.0), (builtin::DATA_RECEIVED, 0.0)];
        local.record(&values, &TagSet::default());
    }

    fn unbegun(&mut self, local: &Local, planned: &[Planned], ending: &Ending) {
        self.touch_traffic(local);
        if *ending != Ending::Regular {
            return;
        }
        for planned in planned {
            if let Plan::Vus(plan) = &planned.plan
                && plan.unbegun() > 0
            {
                let tags = TagSet::new([("scenario", &*planned.scenario.name)]);
                local.record(&[(builtin::DROPPED_ITERATIONS, plan.unbegun() as f64)], &tags);
            }
        }
    }

    fn show(
        &self,
        progress: &mut Progress,
        scenarios: &[(&crate::options::Scenario, &Plan)],
        is_terminal: bool,
        elapsed: Duration,
    ) {
        let counts = &self.environment.counts;
        let view = View {
            elapsed,
            totals: &self.totals,
            thresholds: &self.thresholds,
            scenarios,
            vus: counts.active.load(Ordering::Relaxed) as u32,
            vus_max: counts.initialized.load(Ordering::Relaxed) as u32,
            interrupted: counts.interrupted.load(Ordering::Relaxed),
        };
        if is_terminal {
            let size = rustix::termios::tcgetwinsize(std::io::stderr());
            let columns = size.map_or(0, |size| usize::from(size.ws_col));
            console::draw(progress.lines(&view), if columns == 0 { 80 } else { columns });
        } else {
            // A pipe that is gone is no reason to end a run.
            let _ = std::io::stderr().write_all((progress.line(&view) + "\n").as_bytes());
        }
    }
}
