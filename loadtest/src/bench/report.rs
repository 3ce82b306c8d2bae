//! What came out, for people and for programs.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use super::{
    args::Plan,
    tally::{Tally, milliseconds},
};
use crate::{http::Version, metrics::Trend};

/// Percentiles that are shown.
const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99];
/// Above this, in milliseconds, this program's own lateness may be what was measured.
const LATE: f64 = 1.0;

/// See the module's page.
pub(super) struct Report {
    title: String,
    has_schedule: bool,
    tally: Tally,
    took: Duration,
    used: Duration,
}

impl Report {
    /// Of a run that took `took` and `used` so much time of processors.
    pub(super) fn new(plan: &Plan, tally: Tally, took: Duration, used: Duration) -> Self {
        let version = match plan.version {
            Version::Agreed => "h2 or h1",
            Version::H1 => "h1",
            Version::H2 => "h2",
            Version::H3 => "h3",
        };
        let mut title = format!("{} {}, {version}", plan.method, plan.target.url());
        // Writing to a string cannot fail, here and below.
        let _ = write!(title, ", {} connections", plan.connections);
        if plan.parallel > 1 && plan.version != Version::H1 {
            let _ = write!(title, " x {} streams", plan.parallel);
        }
        let _ = write!(title, ", {} threads", plan.threads);
        if let Some(rate) = plan.rate {
            let _ = write!(title, ", {rate} requests/s");
        }
        Self { title, has_schedule: plan.rate.is_some(), tally, took, used }
    }

    /// To the terminal.
    #[allow(clippy::print_stdout, reason = "the report is what the command is for")]
    pub(super) fn print(&self) {
        print!("{}", self.text());
    }

    fn text(&self) -> String {
        let Self { title, has_schedule, tally, took, used } = self;
        let seconds = took.as_secs_f64();
        let done = tally.answered();
        let mut text = format!("{title}\n\n");
        let _ = writeln!(
            text,
            "requests   {done} answered, {} failed, in {seconds:.2} s: {:.1}/s",
            tally.failed(),
            done as f64 / seconds
        );
        if *has_schedule {
            text += &latency("response", &tally.response);
        }
        text += &latency(if *has_schedule { "service" } else { "latency" }, &tally.service);
        for (status, count) in &tally.statuses {
            let _ = writeln!(text, "status     {status}: {count}");
        }
        for (error, count) in &tally.errors {
            let _ = writeln!(text, "error      {error}: {count}");
        }
        let mebibytes = tally.bytes as f64 / f64::from(1 << 20);
        let _ = writeln!(text, "bodies     {mebibytes:.1} MiB, {:.1} MiB/s", mebibytes / seconds);
        let each = used.as_secs_f64() * 1e6 / done.max(1) as f64;
        let _ = writeln!(
            text,
            "this CPU   {each:.1} us a request, {:.2} cores",
            used.as_secs_f64() / seconds
        );
        if *has_schedule {
            let late = tally.lateness.percentile(99.0);
            let _ = writeln!(text, "lateness   p99 {late:.3} ms, of this program itself");
            if late > LATE {
                text += "warning: this program was late itself; take times with care\n";
            }
            let (response, service) =
                (tally.response.percentile(99.0), tally.service.percentile(99.0));
            if done > 0 && response > 2.0 * service {
                text += "warning: requests waited for connections: what users see is `response`, \
                         from the scheduled start; `service` leaves the waits out\n";
            }
        }
        text
    }

    /// As JSON.
    pub(super) fn json(&self) -> String {
        let Self { title, has_schedule, tally, took, used } = self;
        let mut value = json!({
            "title": title,
            "seconds": took.as_secs_f64(),
            "requests": tally.answered(),
            "failed": tally.failed(),
            "rate": tally.answered() as f64 / took.as_secs_f64(),
            "service_ms": summary(&tally.service),
            "statuses": tally.statuses.iter()
                .map(|(status, count)| (status.to_string(), json!(count)))
                .collect::<serde_json::Map<_, _>>(),
            "errors": tally.errors,
            "body_bytes": tally.bytes,
            "cpu_us_per_request": milliseconds(*used) * 1e3 / tally.answered().max(1) as f64,
        });
        if *has_schedule {
            value["response_ms"] = summary(&tally.response);
            value["lateness_ms"] = summary(&tally.lateness);
        }
        format!("{value:#}\n")
    }
}

fn latency(name: &str, trend: &Trend) -> String {
    let mut line = format!("{name:<10}");
    if trend.is_empty() {
        return line + " none\n";
    }
    for percent in PERCENTILES {
        let _ = write!(line, " p{percent} {:.3}", trend.percentile(percent));
    }
    let _ = writeln!(line, " max {:.3} ms, mean {:.3}", trend.max(), trend.avg());
    line
}

fn summary(trend: &Trend) -> Value {
    if trend.is_empty() {
        return Value::Null;
    }
    let mut value = json!({
        "count": trend.count(),
        "mean": trend.avg(),
        "min": trend.min(),
        "max": trend.max(),
        "histogram": trend.encode(),
    });
    for percent in PERCENTILES {
        value[format!("p{percent}")] = json!(trend.percentile(percent));
    }
    value
}
