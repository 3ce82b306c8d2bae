//! What is measured.

use std::{
    fmt::Write as _,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{
    saying::{count, percentile, truth},
    tool::{Cost, Stage, Tool, WARM_UP, cost},
};

/// One of the comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Script,
    Bench,
    Memory,
    Stall,
    Lag,
    Soak,
}

/// Users of a script that sleep, for the slope between the two.
const SLEEPERS: [u64; 2] = [10, 2_000];
/// What the sleepers have to begin.
const ASLEEP_MAX: Duration = Duration::from_secs(60);
const STALL_RATE: u32 = 500;
const STALL_RUN: Duration = Duration::from_secs(10);
const STALL: Duration = Duration::from_secs(2);
const SOAK_REQUESTS: u64 = 10_000_000;
const SOAK_MAX: Duration = Duration::from_secs(1_200);

impl Case {
    pub(super) const ALL: [Self; 6] =
        [Self::Script, Self::Bench, Self::Memory, Self::Stall, Self::Lag, Self::Soak];

    const fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Bench => "bench",
            Self::Memory => "memory",
            Self::Stall => "stall",
            Self::Lag => "lag",
            Self::Soak => "soak",
        }
    }

    pub(super) fn of(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|case| case.name() == name);
        found.ok_or_else(|| format!("no case `{name}`"))
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Script => "the same script: CPU of the tool per request",
            Self::Bench => "without a script: CPU of the tool per request",
            Self::Memory => "memory of a user with a connection",
            Self::Stall => "a server that stands still for 2 of 10 s, at 500 requests a second",
            Self::Lag => "how late iterations begin, at 5,000 a second",
            Self::Soak => "memory over ten million requests",
        }
    }

    /// Measures, and tells in a table.
    pub(super) fn run(self, stage: &Stage) -> Result<String, String> {
        match self {
            Self::Script => script(stage),
            Self::Bench => bench(stage),
            Self::Memory => memory(stage),
            Self::Stall => stall(stage),
            Self::Lag => lag(stage),
            Self::Soak => soak(stage),
        }
    }
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

/// weir-load, and k6 where it is installed, with how each runs a script.
fn runners(stage: &Stage) -> Vec<(&'static str, PathBuf)> {
    let own = ("weir-load", stage.weir_load.clone());
    std::iter::once(own).chain(stage.k6.clone().map(|k6| ("k6", k6))).collect()
}

/// Rounds by turns; the medians, weir-load's first.
fn by_turns(
    stage: &Stage,
    tools: &[(&str, Vec<String>)],
) -> Result<Vec<(String, [Cost; 3])>, String> {
    let mut rounds: Vec<Vec<Cost>> = vec![Vec::new(); tools.len()];
    for round in 0..stage.rounds {
        let mut order: Vec<usize> = (0..tools.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for i in order {
            eprintln!("    {}", tools[i].0);
            rounds[i].push(cost(stage, tools[i].0, &tools[i].1)?);
        }
    }
    let sorted = rounds.into_iter().map(|mut costs| {
        costs.sort_by(|a, b| a.total.total_cmp(&b.total));
        [costs[0], costs[costs.len() / 2], costs[costs.len() - 1]]
    });
    Ok(tools.iter().map(|(name, _)| (*name).to_owned()).zip(sorted).collect())
}

const COST_HEAD: &str = concat!(
    "\n| | tool | CPU us per request (least to most) | user + system | weir-load / tool ",
    "| requests/s |\n|---|---|--:|--:|--:|--:|\n"
);

fn cost_rows(out: &mut String, what: &str, rows: &[(String, [Cost; 3])]) {
    let own = rows[0].1[1].total;
    for (name, [least, median, most]) in rows {
        let _ = writeln!(
            out,
            "| {what} | {name} | **{:.1}** ({:.1} to {:.1}) | {:.1} + {:.1} | {:.2} | {:.0} |",
            median.total,
            least.total,
            most.total,
            median.user,
            median.system,
            own / median.total,
            median.per_second
        );
    }
}

fn script(stage: &Stage) -> Result<String, String> {
    let text = format!(
        "import http from 'k6/http';\nimport {{ check }} from 'k6';\nexport default function () \
         {{\n  const r = http.get('{}');\n  check(r, {{ ok: (r) => r.status === 200 }});\n}}\n",
        stage.url()
    );
    let file = stage.script("get.js", &text)?;
    let time = format!("{}s", stage.seconds + WARM_UP.as_secs() + 1);
    let mut out = COST_HEAD.to_owned();
    for users in ["10", "100", "1000"] {
        let tools: Vec<_> = runners(stage)
            .into_iter()
            .map(|(name, path)| {
                let path = path.display().to_string();
                (name, words(&[&path, "run", "--quiet", "-u", users, "-d", &time, &file]))
            })
            .collect();
        cost_rows(&mut out, &format!("{users} users"), &by_turns(stage, &tools)?);
    }
    Ok(out)
}

fn bench(stage: &Stage) -> Result<String, String> {
    let mut out = COST_HEAD.to_owned();
    let time = format!("{}s", stage.seconds + WARM_UP.as_secs() + 1);
    let own = stage.weir_load.display().to_string();
    let url = stage.url();
    let front = stage.front()?;
    for connections in ["10", "100"] {
        let mut tools =
            vec![("weir-load", words(&[&own, "bench", "-c", connections, "-d", &time, &url]))];
        if let Some(wrk) = &stage.wrk {
            let wrk = wrk.display().to_string();
            tools.push(("wrk", words(&[&wrk, "-t1", "-c", connections, "-d", &time, &url])));
        }
        if let Some(oha) = &stage.oha {
            let oha = oha.display().to_string();
            let line = [&*oha, "--no-tui", "-c", connections, "-z", &time, &url];
            tools.push(("oha", words(&line)));
        }
        let what = format!("HTTP/1.1, {connections} connections");
        cost_rows(&mut out, &what, &by_turns(stage, &tools)?);
    }
    for version in ["2", "3"] {
        let line = [&*own, "bench", "-k", "--http", version, "-c", "10", "-d", &time, &front.url];
        let mut tools = vec![("weir-load", words(&line))];
        if let Some(oha) = &stage.oha {
            let oha = oha.display().to_string();
            let line =
                [&*oha, "--no-tui", "--insecure", "--http-version", version, "-c", "10", "-z"];
            let mut line = words(&line);
            line.extend([time.clone(), front.url.clone()]);
            tools.push(("oha", line));
        }
        let what = format!("HTTP/{version} over TLS, 10 connections");
        cost_rows(&mut out, &what, &by_turns(stage, &tools)?);
    }
    Ok(out)
}

/// What a tool holds once so many users have been answered and sleep.
fn asleep(stage: &Stage, path: &str, name: &str, file: &str, users: u64) -> Result<u64, String> {
    let before = stage.served()?;
    let line = [path, "run", "--quiet", "-u", &users.to_string(), "-d", "1h", file];
    let mut tool = Tool::start(stage, name, &words(&line))?;
    let deadline = Instant::now() + ASLEEP_MAX;
    while stage.served()? < before + users {
        if Instant::now() > deadline || !tool.runs() {
            return Err(format!("{name}: {users} users do not all get an answer"));
        }
        thread::sleep(Duration::from_millis(200));
    }
    // For what is tidied up afterwards.
    thread::sleep(Duration::from_secs(2));
    tool.resident()
}

fn memory(stage: &Stage) -> Result<String, String> {
    let text = format!(
        "import http from 'k6/http';\nimport {{ sleep }} from 'k6';\nexport default function () \
         {{\n  http.get('{}');\n  sleep(3600);\n}}\n",
        stage.url()
    );
    let file = stage.script("sleep.js", &text)?;
    let [few, many] = SLEEPERS;
    let mut out =
        format!("\n| tool | {few} users | {many} users | per user |\n|---|--:|--:|--:|\n");
    for (name, path) in runners(stage) {
        let path = path.display().to_string();
        let low = asleep(stage, &path, name, &file, few)? as f64;
        let high = asleep(stage, &path, name, &file, many)? as f64;
        let _ = writeln!(
            out,
            "| {name} | {:.0} MB | {:.0} MB | **{:.0} kB** |",
            low / 1e6,
            high / 1e6,
            (high - low) / (many - few) as f64 / 1e3
        );
    }
    Ok(out)
}

/// A script that begins so many iterations a second.
fn arrivals(stage: &Stage, rate: u32, time: Duration, users: u32) -> Result<String, String> {
    let text = format!(
        "import http from 'k6/http';\nexport const options = {{\n  summaryTrendStats: ['p(50)', \
         'p(90)', 'p(99)', 'max'],\n  scenarios: {{ s: {{ executor: 'constant-arrival-rate', \
         rate: {rate}, timeUnit: '1s', duration: '{}s', preAllocatedVUs: {users} }} }},\n}};\n\
         export default function () {{ http.get('{}'); }}\n",
        time.as_secs(),
        stage.url()
    );
    stage.script(&format!("arrivals-{rate}.js"), &text)
}

fn stall(stage: &Stage) -> Result<String, String> {
    let file = arrivals(stage, STALL_RATE, STALL_RUN, 50)?;
    let mut out = "\n| | p50 | p90 | p99 | dropped |\n|---|--:|--:|--:|--:|\n".to_owned();
    let row = |out: &mut String, name: &str, [p50, p90, p99]: [f64; 3], dropped: f64| {
        let _ = writeln!(out, "| {name} | {p50:.2} ms | {p90:.2} ms | {p99:.2} ms | {dropped} |");
    };
    for (name, path) in runners(stage) {
        let summary = stage.folder.join(format!("{name}.json"));
        let (path, export) = (path.display().to_string(), summary.display().to_string());
        let line = [&*path, "run", "--quiet", "--summary-export", &export, &file];
        let mut tool = Tool::start(stage, name, &words(&line))?;
        tool.begins(stage)?;
        thread::sleep(Duration::from_secs(3));
        let pid = stage.backends.pids()[0];
        let signal = |which: &str| {
            let kill = format!("kill -{which} {pid}");
            Command::new("sh").args(["-c", &kill]).status().map_err(|e| e.to_string())
        };
        signal("STOP")?;
        let stopped = Instant::now();
        thread::sleep(STALL);
        signal("CONT")?;
        let stood = stopped.elapsed();
        let true_points =
            [50.0, 90.0, 99.0].map(|point| truth(STALL_RATE, STALL_RUN, stood, point));
        row(&mut out, &format!("the truth for {name}"), true_points, 0.0);
        tool.finish()?;
        let dropped = count(&summary, "dropped_iterations")?;
        let metrics: &[&str] = if name == "k6" {
            &["http_req_duration"]
        } else {
            &["http_req_latency", "http_req_duration"]
        };
        for metric in metrics {
            let mut said = [0.0; 3];
            for (value, point) in said.iter_mut().zip(["p(50)", "p(90)", "p(99)"]) {
                *value = percentile(&summary, metric, point)?;
            }
            row(&mut out, &format!("{name}, `{metric}`"), said, dropped);
        }
    }
    Ok(out)
}

fn lag(stage: &Stage) -> Result<String, String> {
    let file = arrivals(stage, 5_000, Duration::from_secs(10), 200)?;
    let summary = stage.folder.join("lag.json");
    let (path, export) = (stage.weir_load.display().to_string(), summary.display().to_string());
    let line = [&*path, "run", "--quiet", "--summary-export", &export, &file];
    Tool::start(stage, "weir-load", &words(&line))?.finish()?;
    let of = |point| percentile(&summary, "schedule_lag", point);
    let [begun, dropped] =
        ["iterations", "dropped_iterations"].map(|metric| count(&summary, metric));
    Ok(format!(
        "\n`schedule_lag`: p50 {:.3} ms, p99 {:.3} ms, most {:.3} ms; {} of 50000 begun, {} \
         dropped\n",
        of("p(50)")?,
        of("p(99)")?,
        of("max")?,
        begun?,
        dropped?
    ))
}

fn soak(stage: &Stage) -> Result<String, String> {
    let text = format!(
        "import http from 'k6/http';\nimport {{ check }} from 'k6';\nexport const options = {{ \
         scenarios: {{ s: {{ executor: 'shared-iterations', vus: 100, iterations: \
         {SOAK_REQUESTS}, maxDuration: '1h' }} }} }};\nexport default function () {{\n  const r = \
         http.get('{}');\n  check(r, {{ ok: (r) => r.status === 200 }});\n}}\n",
        stage.url()
    );
    let file = stage.script("soak.js", &text)?;
    let path = stage.weir_load.display().to_string();
    let before = stage.served()?;
    let mut tool = Tool::start(stage, "weir-load", &words(&[&path, "run", "--quiet", &file]))?;
    let mut out = "\n| requests | resident |\n|--:|--:|\n".to_owned();
    let (mut next, begun) = (SOAK_REQUESTS / 100, Instant::now());
    while tool.runs() {
        let (served, resident) = (stage.served()? - before, tool.resident());
        if served >= next
            && let Ok(resident) = resident
        {
            let _ = writeln!(out, "| {served} | {:.1} MB |", resident as f64 / 1e6);
            next = if next < SOAK_REQUESTS / 10 {
                SOAK_REQUESTS / 10
            } else {
                next + SOAK_REQUESTS / 10
            };
        }
        if begun.elapsed() > SOAK_MAX {
            return Err(format!("ten million requests take longer than {SOAK_MAX:?}\n{out}"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    tool.finish()?;
    Ok(out)
}
