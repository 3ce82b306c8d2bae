//! How many system calls a request costs, counted by strace over a saturated worker.

use std::{
    io::Read,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{
    certificates::Authority,
    client::Client,
    eventually,
    gateway::{Gateway, Setup},
    h2_client, h3_client,
    origin::Origin,
};

const CONNECTIONS: usize = 32;
const REQUESTS: usize = 100;

/// Counts the calls of a process between its start and its end.
struct Counter {
    strace: Child,
    output: TempDir,
}

impl Counter {
    /// Attaches; `None` (said on stdout) where strace is missing or not allowed.
    fn attach(gateway: &Gateway) -> Option<Self> {
        let output = TempDir::new().unwrap();
        let strace = Command::new("strace")
            .args(["-f", "-c", "-U", "calls,name", "-p", &gateway.pid().to_string(), "-o"])
            .arg(output.path().join("counts"))
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut strace) = strace else {
            println!("skipped: strace is not installed");
            return None;
        };
        let tasks = || {
            std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap().flatten().all(|t| {
                let status = std::fs::read_to_string(t.path().join("status")).unwrap_or_default();
                status.lines().any(|l| l.starts_with("TracerPid:") && !l.ends_with("\t0"))
            })
        };
        if eventually(|| tasks() || strace.try_wait().unwrap().is_some()) && tasks() {
            return Some(Self { strace, output });
        }
        let mut said = String::new();
        let _ = strace.kill();
        let _ = strace.stderr.take().unwrap().read_to_string(&mut said);
        let _ = strace.wait();
        println!("skipped: strace cannot attach: {said}");
        None
    }

    /// Detaches; calls by name.
    fn finish(mut self) -> Vec<(String, u64)> {
        let pid = Pid::from_raw(i32::try_from(self.strace.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let _ = self.strace.wait();
        let text = std::fs::read_to_string(self.output.path().join("counts")).unwrap();
        let parse = |line: &str| {
            let mut words = line.split_whitespace();
            let calls = words.next()?.parse().ok()?;
            let name = words.next()?.to_owned();
            (name != "total").then_some((name, calls))
        };
        text.lines().filter_map(parse).collect()
    }
}

/// Calls in each second that no request is the cause of: timers, samples of memory and load, wakes
/// of other threads. Under strace on a busy machine all this takes many seconds.
const HOUSEKEEPING: f64 = 30.0;

/// Calls for each request while `load` sends `requests` of them.
fn cost(gateway: &Gateway, requests: usize, load: impl FnOnce()) -> Option<(f64, String)> {
    let counter = Counter::attach(gateway)?;
    let began = Instant::now();
    load();
    let idle = HOUSEKEEPING * began.elapsed().as_secs_f64();
    let calls = counter.finish();
    let total: u64 = calls.iter().map(|(_, n)| n).sum();
    let count = u32::try_from(requests).unwrap();
    let table: Vec<String> = calls.iter().map(|(name, n)| format!("{name} {n}")).collect();
    let each = (f64::from(u32::try_from(total).unwrap()) - idle) / f64::from(count);
    Some((each, format!("{requests} requests: {}", table.join(", "))))
}

/// Many connections, one request after the other on each, all at once.
fn many(open: impl Fn() -> Client + Sync) {
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = open();
                client.patience(Duration::from_secs(60));
                for _ in 0..REQUESTS {
                    assert_eq!(client.get("/x").unwrap().status, 200);
                }
            });
        }
    });
}

fn one_worker(origin: &Origin, listener: &str, dir: TempDir) -> Gateway {
    let yaml = format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [{{ bind: \"$LISTEN\"{listener} }}]\n\
         timeouts: {{ drain: 2s }}\nupstreams:\n  a: {{ endpoints: [\"{}\"] }}\nroutes:\n  \
         - {{ match: {{ path: \"/**\" }}, to: a }}\n",
        origin.address
    );
    Setup::yaml(&yaml).within(dir).start()
}

fn assert_cost(measured: Option<(f64, String)>, most: f64) {
    if let Some((each, table)) = measured {
        println!("{each:.2} calls a request; {table}");
        assert!(each <= most, "{each:.2} calls a request, more than {most}; {table}");
    }
}

const TLS: &str = ", tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }";

const H3: &str = ", tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }, protocols: [h1, h2, h3]";

fn encrypted(origin: &Origin) -> (Gateway, Authority) {
    encrypted_by(origin, TLS)
}

fn encrypted_by(origin: &Origin, listener: &str) -> (Gateway, Authority) {
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    (one_worker(origin, listener, dir), authority)
}

#[test]
fn an_h1_request_costs_four_calls() {
    let origin = Origin::echo();
    let gateway = one_worker(&origin, "", TempDir::new().unwrap());
    // The first round fills the pools.
    many(|| gateway.client());
    let measured = cost(&gateway, CONNECTIONS * REQUESTS, || many(|| gateway.client()));
    assert_cost(measured, 4.1 + PER_CONNECTION);
}

#[test]
fn an_h1_request_over_tls_costs_four_calls() {
    let origin = Origin::echo();
    let (gateway, authority) = encrypted(&origin);
    let config = authority.client(&[b"http/1.1"]);
    let open = || Client::tls(gateway.listen, Arc::clone(&config), "edge.test").unwrap();
    many(open);
    let measured = cost(&gateway, CONNECTIONS * REQUESTS, || many(open));
    assert_cost(measured, 4.1 + 2.0 * PER_CONNECTION);
}

/// Accept, options, registration, the reads of a handshake and the close, spread over the requests
/// of one connection.
const PER_CONNECTION: f64 = 15.0 / REQUESTS as f64;

/// Eight connections with sixteen streams each.
async fn streams(gateway: &Gateway, config: &Arc<ClientConfig>) {
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let config = Arc::clone(config);
        let send = h2_client::connect_tls(gateway.listen, config, "edge.test").await;
        for _ in 0..16 {
            let send = send.clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..40 {
                    let (response, ..) = h2_client::get(&send, "/x").await.unwrap();
                    assert_eq!(response.status(), 200);
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn an_h2_request_costs_little_more_than_its_upstream_half() {
    let origin = Origin::echo();
    let (gateway, authority) = encrypted(&origin);
    let config = authority.client(&[b"h2"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(streams(&gateway, &config));
    let requests = 8 * 16 * 40;
    let measured = cost(&gateway, requests, || runtime.block_on(streams(&gateway, &config)));
    assert_cost(measured, 2.3 + PER_CONNECTION);
}

/// Ten connections with ten streams each.
async fn h3_streams(gateway: &Gateway, config: &Arc<ClientConfig>) {
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let config = Arc::clone(config);
        let client = h3_client::connect(gateway.listen, config, "edge.test").await.unwrap();
        let client = Arc::new(client);
        for _ in 0..10 {
            let client = Arc::clone(&client);
            tasks.spawn(async move {
                for _ in 0..H3_REQUESTS {
                    assert_eq!(client.get("/x").await.unwrap().status(), 200);
                }
            });
        }
    }
    tasks.join_all().await;
}

const H3_REQUESTS: usize = 50;

#[test]
fn an_h3_request_costs_little_more_than_its_upstream_half() {
    let origin = Origin::echo();
    let (gateway, authority) = encrypted_by(&origin, H3);
    let config = authority.client(&[b"h3"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(h3_streams(&gateway, &config));
    let requests = 10 * 10 * H3_REQUESTS;
    let measured = cost(&gateway, requests, || runtime.block_on(h3_streams(&gateway, &config)));
    assert_cost(measured, 2.5);
}
