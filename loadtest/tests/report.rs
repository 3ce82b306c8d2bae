//! The HTML report in a real browser. Without Chromium on the machine this says so and passes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use weir_load::{
    metrics::{Recorder, Registry, Streaming, TagSet, Totals, builtin},
    options::{Flags, Options},
    report::{self, Timeline},
    summary::Summary,
    threshold::Thresholds,
};

#[test]
fn a_browser_shows_all_charts_and_reports_no_error() {
    let Some(browser) = browser() else {
        println!("skipped: chromium is not installed");
        return;
    };
    let folder = env::temp_dir().join(format!("weir-load-report-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let page = folder.join("report.html");
    fs::write(&page, page_of_a_run()).unwrap();
    let (dom, errors) = dump(&browser, &folder, &page);
    fs::remove_dir_all(&folder).unwrap();
    for section in ["thresholds", "rate", "heat", "percentiles", "errors", "checks", "metrics"] {
        assert!(dom.contains(&format!("<section id=\"{section}\">")), "{section}: {errors}");
    }
    // As many as were written: the parser has dropped and moved nothing.
    assert_eq!(dom.matches("</svg>").count(), 4, "{dom}");
    assert_eq!(dom.matches("</polyline>").count(), 5);
    assert!(dom.matches("</rect>").count() > 20);
    assert!(!errors.contains("CONSOLE"), "{errors}");
}

/// What the browser makes of the page, and what it complains of.
fn dump(browser: &Path, folder: &Path, page: &Path) -> (String, String) {
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]);
    command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
    command.args(["--timeout=20000", "--dump-dom"]).arg(format!("file://{}", page.display()));
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

fn browser() -> Option<PathBuf> {
    let folders = env::split_paths(&env::var_os("PATH")?).collect::<Vec<_>>();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let programs = folders.iter().flat_map(|folder| names.map(|name| folder.join(name)));
    programs.into_iter().find(|program| program.is_file())
}

fn page_of_a_run() -> String {
    let script = json!({ "thresholds": { "http_req_duration": ["p(95)<1", "max<1e6"] } });
    let options = Options::from_layers(&[&script], [], &Flags::default()).unwrap();
    let mut registry = Registry::new();
    let mut thresholds = Thresholds::new(&options.thresholds, &mut registry).unwrap();
    let registry = Arc::new(registry);
    let mut recorder = Recorder::new(Arc::clone(&registry), Streaming::Off);
    let (mut totals, mut timeline) = (Totals::new(registry), Timeline::new());
    for tick in 0..100u32 {
        for i in 0..20 {
            let values = [
                (builtin::HTTP_REQS, 1.0),
                (builtin::HTTP_REQ_DURATION, f64::from(1 + i * tick)),
                (builtin::HTTP_REQ_FAILED, f64::from(u8::from(i == 7))),
            ];
            recorder.record_all(&values, &TagSet::default(), Duration::ZERO);
        }
        recorder.check("", "a & b </section>", tick % 2 == 0);
        let delta = recorder.take();
        timeline.add(Duration::from_millis(u64::from(tick) * 100), &delta, 3);
        totals.merge(&delta);
    }
    let elapsed = Duration::from_secs(10);
    thresholds.evaluate(&totals, elapsed);
    let summary = Summary {
        totals: &totals,
        thresholds: &thresholds,
        options: &options,
        elapsed,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
    };
    report::html("a run", &summary, &timeline)
}
