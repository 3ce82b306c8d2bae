//! The end of a run: the last judgement, the summary, the exit code.

use std::{
    fs,
    io::Write,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use super::{
    collector::Collector,
    read::Test,
    run::{Failed, Invocation, SummaryMode, stdout_is_terminal, summarize},
};
use crate::{
    exit::Exit,
    report,
    signals::Signals,
    summary::{Mode, Summary},
    vm::{Vu, console},
};

/// From which share of the workers' time on scripts are said to have kept others waiting, in per
/// cent.
const SHARE_WORTH_SAYING: f64 = 5.0;

pub(super) async fn finish(
    invocation: &Invocation,
    test: &Test,
    mut collector: Collector,
    vu: &mut Vu,
    exit: Option<Exit>,
    setup_data: Option<Arc<str>>,
) -> Result<Exit, Failed> {
    let verdict = collector.thresholds.evaluate(&collector.totals, collector.elapsed);
    let is_terminal = stdout_is_terminal();
    let mut signals = Signals::new();
    let summary = Summary {
        totals: &collector.totals,
        thresholds: &collector.thresholds,
        options: &test.options,
        elapsed: collector.elapsed,
        stdout_is_terminal: is_terminal,
        stderr_is_terminal: std::io::IsTerminal::is_terminal(&std::io::stderr()),
    };
    if let (Some(path), Some(timeline)) = (&invocation.report, &collector.timeline) {
        let title = invocation.script.file_name().unwrap_or_default().to_string_lossy();
        write_file(path, report::html(&title, &summary, timeline).as_bytes());
    }
    if invocation.summary_mode != SummaryMode::Disabled {
        let said = match test.functions.contains("handleSummary") {
            true => {
                let data = summary.data(setup_data.as_deref()).to_string();
                summarize(test, vu, data, &mut signals).await
            }
            false => Ok(None),
        };
        if let Err(failed) = &said {
            console::write("error", &format!("handleSummary(): {}", failed.text));
        }
        // As in k6: where it throws, the usual summary is written; where it returns nonsense, none.
        let exports = !matches!(&said, Err(failed) if failed.exit == Exit::InvalidConfig);
        match said {
            Ok(Some(json)) => write_outputs(&json),
            Err(_) if !exports => {}
            Ok(None) | Err(_) => {
                let mode = match invocation.summary_mode {
                    SummaryMode::Full => Mode::Full,
                    SummaryMode::Compact | SummaryMode::Disabled => Mode::Compact,
                };
                console::print(&summary.text(mode, is_terminal));
            }
        }
        if let Some(path) = invocation.summary_export.as_ref().filter(|_| exports) {
            write_file(path, summary.export().to_string().as_bytes());
        }
    }
    share_of_scripts(test, &summary, collector.workers);
    if let Some(outputs) = collector.outputs.take()
        && let Err(error) = outputs.finish()
    {
        console::write("error", &format!("output: {error}"));
    }
    if !verdict.crossed.is_empty() && exit.is_none() {
        let text =
            format!("thresholds on metrics '{}' have been crossed", verdict.crossed.join(", "));
        console::write("error", &text);
    }
    let abort = &test.environment.abort;
    Ok(match exit {
        Some(exit) => exit,
        None if abort.failed().is_some() => Exit::MarkedAsFailed,
        None if !verdict.crossed.is_empty() => Exit::ThresholdsCrossed,
        None => Exit::Passed,
    })
}

/// Says so when scripts had the CPU for so long that others waited for it.
fn share_of_scripts(test: &Test, summary: &Summary<'_>, workers: u32) {
    let counts = &test.environment.counts;
    let preempted = counts.preempted.load(Ordering::Relaxed);
    let cpu = counts.script_nanos.load(Ordering::Relaxed) as f64 / 1e9;
    let time = summary.elapsed.as_secs_f64().max(1e-9) * f64::from(workers.max(1));
    let share = cpu / time * 100.0;
    if preempted == 0 || share < SHARE_WORTH_SAYING {
        return;
    }
    let text = format!(
        "scripts ran for {cpu:.1} s ({share:.0} % of the time of {workers} workers) and were \
         interrupted {preempted} times after 10 ms: other VUs waited meanwhile"
    );
    console::write("warn", &text);
}

/// Writes what `handleSummary()` returned.
fn write_outputs(json: &str) {
    let Ok(serde_json::Value::Object(outputs)) = serde_json::from_str(json) else { return };
    for (place, content) in &outputs {
        let content = content.as_str().unwrap_or_default();
        match &**place {
            "stdout" => console::print(content),
            // Nothing more can be done about a terminal that is gone.
            "stderr" => drop(std::io::stderr().write_all(content.as_bytes())),
            path => write_file(Path::new(path), content.as_bytes()),
        }
    }
}

fn write_file(path: &Path, content: &[u8]) {
    if let Err(error) = fs::write(path, content) {
        console::write("error", &format!("{}: {error}", path.display()));
    }
}
