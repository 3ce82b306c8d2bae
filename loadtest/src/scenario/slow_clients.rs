//! Clients that dawdle, beside others that do not: who keeps whom waiting?

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::time::sleep;

use self::{
    dawdler::{Dawdlers, Kind},
    traffic::Tally,
    verdict::Verdict,
};
use super::Native;
use crate::{
    clock,
    exit::Exit,
    http::{Client, Net, NetOptions, Request, Target, Version, client_config},
    signals::Signals,
    task,
    vm::console,
};

mod dawdler;
mod traffic;
mod verdict;

/// Most clients of each kind.
const CLIENTS_MAX: f64 = 20_000.0;
/// Most good requests a second.
const RATE_MAX: f64 = 100_000.0;
/// Longest times, in seconds.
const SECONDS_MAX: f64 = 86_400.0;
/// How often the gateway is asked for its memory.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) const NATIVE: Native = Native {
    about: "Do clients that dawdle keep the others waiting?

Asks RATE times a second for PATH_PLAIN, for BASELINE seconds alone, then for DURATION seconds
beside CLIENTS clients of each of four kinds: those that send a head byte by byte, one every PAUSE
seconds, and never end it; those that send a body so, to PATH_UPLOAD; those that read a response so,
that of PATH_LARGE, which should have some megabytes; and those that keep a connection open and ask
nothing. Who is closed connects again. One good request in ten has a new connection.
All good requests must be answered below 400, and their 99th percentile be at most P99 milliseconds
or FACTOR times what it was alone; the gateway must close a connection HEADER_TIMEOUT and at most
SLACK seconds after its head began; and its memory, as its metrics tell it, may grow by no more than
GROWTH of what it may use.
",
    settings: &[
        ("TARGET", "http://127.0.0.1:8080"),
        ("ADMIN", "http://127.0.0.1:9901"),
        ("PATH_PLAIN", "/"),
        ("PATH_UPLOAD", "/"),
        ("PATH_LARGE", "/"),
        ("CLIENTS", "50"),
        ("RATE", "50"),
        ("BASELINE", "5"),
        ("DURATION", "20"),
        ("PAUSE", "0.5"),
        ("HEADER_TIMEOUT", "10"),
        ("SLACK", "2"),
        ("P99", "100"),
        ("FACTOR", "3"),
        ("GROWTH", "0.1"),
    ],
    run,
};

/// What is to be done.
#[derive(Debug)]
struct Plan {
    plain: Rc<Target>,
    upload: Rc<Target>,
    large: Rc<Target>,
    metrics: Rc<Target>,
    clients: usize,
    /// Good requests a second.
    rate: f64,
    baseline: Duration,
    duration: Duration,
    pause: Duration,
    /// How long a head may take before its connection must be closed.
    head_most: Duration,
    /// Milliseconds.
    p99: f64,
    factor: f64,
    growth: f64,
}

impl Plan {
    /// `settings` begin with those that were given and end with the defaults.
    fn new(settings: &[(String, String)]) -> Result<Self, String> {
        let text = |wanted: &str| {
            let found = settings.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| &**value).unwrap_or_default()
        };
        let number = |name: &str, least: f64, most: f64| {
            let parsed = text(name).parse().ok();
            let within = parsed.filter(|number: &f64| (least..=most).contains(number));
            within.ok_or_else(|| format!("{name}={}: from {least} to {most}", text(name)))
        };
        let seconds = |name: &str| number(name, 0.01, SECONDS_MAX).map(Duration::from_secs_f64);
        let at = |base: &str, path: &str| {
            let url = format!("{}{path}", text(base).trim_end_matches('/'));
            Target::parse(&url).map(Rc::new).map_err(|error| format!("{base}: {url}: {error}"))
        };
        let plan = Self {
            plain: at("TARGET", text("PATH_PLAIN"))?,
            upload: at("TARGET", text("PATH_UPLOAD"))?,
            large: at("TARGET", text("PATH_LARGE"))?,
            metrics: at("ADMIN", "/metrics")?,
            clients: number("CLIENTS", 1.0, CLIENTS_MAX)? as usize,
            rate: number("RATE", 0.1, RATE_MAX)?,
            baseline: seconds("BASELINE")?,
            duration: seconds("DURATION")?,
            pause: seconds("PAUSE")?,
            head_most: seconds("HEADER_TIMEOUT")? + seconds("SLACK")?,
            p99: number("P99", 0.0, 1e6)?,
            factor: number("FACTOR", 1.0, 1e6)?,
            growth: number("GROWTH", 0.0, 1.0)?,
        };
        // Who began last must be closed before the end as well.
        if plan.duration <= plan.head_most + plan.pause {
            let least = (plan.head_most + plan.pause).as_secs_f64();
            return Err(format!("DURATION must be above HEADER_TIMEOUT + SLACK + PAUSE: {least}"));
        }
        Ok(plan)
    }
}

fn run(settings: &[(String, String)], is_quiet: bool) -> Result<(Exit, Value), String> {
    let plan = Rc::new(Plan::new(settings)?);
    let tls = client_config(false, false, &[]).map_err(|error| format!("TLS: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(Default::default())
        .map_err(|error| error.to_string())?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new();
        let net = Rc::new(Net::new(NetOptions::default(), Arc::new(tls)));
        tokio::select! {
            outcome = course(&plan, &net, is_quiet) => Some(outcome),
            () = signals.next() => None,
        }
    });
    let Some((verdicts, result)) = outcome else { return Ok((Exit::Interrupted, Value::Null)) };
    let lines: String = verdicts.iter().map(|verdict| format!("{verdict}\n")).collect();
    console::print(&lines);
    let passed = verdicts.iter().all(Verdict::holds);
    Ok((if passed { Exit::Passed } else { Exit::ThresholdsCrossed }, result))
}

/// First without, then with those who dawdle.
async fn course(plan: &Rc<Plan>, net: &Rc<Net>, is_quiet: bool) -> (Vec<Verdict>, Value) {
    let say = |text: String| {
        if !is_quiet {
            console::write("info", &text);
        }
    };
    say(format!("{} good requests a second alone, for {:?}", plan.rate, plan.baseline));
    let alone = traffic::steady(plan, net, plan.baseline).await;
    let before = memory(plan, net).await;
    say(format!("{} slow clients of each kind beside them, for {:?}", plan.clients, plan.duration));
    let end = clock::now() + plan.duration;
    let dawdlers: Vec<Dawdlers> =
        Kind::ALL.map(|kind| Dawdlers::begin(kind, plan, net, end)).into();
    let watch = task::spawn("memory", watch(Rc::clone(plan), Rc::clone(net), end));
    let beside = traffic::steady(plan, net, plan.duration).await;
    let most = watch.await.unwrap_or_default();
    let mut kinds = Vec::new();
    for dawdlers in dawdlers {
        kinds.push(dawdlers.end().await);
    }
    let growth = before.zip(most).map(|(before, most)| most - before);
    for seen in &kinds {
        say(seen.to_string());
    }
    say(format!("good requests alone:  {alone}"));
    say(format!("good requests beside: {beside}"));
    let verdicts = verdict::judge(plan, &alone, &beside, &kinds, growth);
    let result = json!({
        "verdicts": verdicts.iter().map(Verdict::json).collect::<Vec<_>>(),
        "good": { "alone": alone.json(), "beside": beside.json() },
        "slow": kinds.iter().map(|seen| (seen.kind.name(), seen.json()))
            .collect::<std::collections::BTreeMap<_, _>>(),
        "memory": { "before": before, "most": most },
    });
    (verdicts, result)
}

/// The most memory that the gateway tells of, until `end`.
async fn watch(plan: Rc<Plan>, net: Rc<Net>, end: Instant) -> Option<f64> {
    let mut most = None;
    while clock::now() < end {
        sleep(LOOK_EVERY).await;
        if let Some(now) = memory(&plan, &net).await {
            most = Some(now.max(most.unwrap_or_default()));
        }
    }
    most
}

/// The share of its memory that the gateway takes; none where its metrics do not tell.
async fn memory(plan: &Plan, net: &Rc<Net>) -> Option<f64> {
    let reply = Client::new(Rc::clone(net)).send(&ask(&plan.metrics)).await;
    let text = std::str::from_utf8(&reply.body).ok().filter(|_| reply.status == 200)?;
    let mut found = text.lines().filter_map(|line| {
        line.strip_prefix("weir_memory_pressure_ratio")?.trim().parse::<f64>().ok()
    });
    found.next()
}

/// A request of the good kind.
fn ask(target: &Rc<Target>) -> Request {
    let agent = concat!("weir-load/", env!("CARGO_PKG_VERSION"));
    Request {
        method: "GET".into(),
        target: Rc::clone(target),
        headers: vec![("user-agent".into(), agent.into())],
        body: None,
        timeout: Duration::from_secs(10),
        keeps_body: target.path.ends_with("/metrics"),
        version: Version::Agreed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_settings_or_says_what_is_wrong_with_them() {
        let plan = |given: &[(&str, &str)]| {
            let all = given.iter().chain(NATIVE.settings);
            let all: Vec<_> = all.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Plan::new(&all)
        };
        let usual = plan(&[]).unwrap();
        assert_eq!((usual.clients, usual.head_most), (50, Duration::from_secs(12)));
        assert_eq!(usual.metrics.url(), "http://127.0.0.1:9901/metrics");
        let wrong = |name, value| plan(&[(name, value)]).unwrap_err();
        assert_eq!(wrong("CLIENTS", "0"), "CLIENTS=0: from 1 to 20000");
        assert!(wrong("RATE", "x").starts_with("RATE=x: "));
        assert!(wrong("DURATION", "12").contains("12.5"));
        assert!(wrong("TARGET", "ftp://x").contains("ftp://x/"));
    }
}
