//! What a decision costs that gateways share: `cargo bench -p weir-ratelimit --bench redis`.
//!
//! Starts a Redis server of its own and asks it over one connection, from one thread, under one
//! token bucket with 100,000 keys that all pass: the dearest case, since each decision is written.
//! Processor time is that of the asking thread alone, and beside it that of the server, by the
//! kernel's own account, so that it says the same on a machine that does other things as well;
//! decisions a second do not. The larger of both is what bounds these where each has a core.
#![allow(clippy::print_stdout, reason = "a benchmark reports on stdout")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot begin has failed")]

use std::{
    cell::Cell,
    env, fs,
    future::Future,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use weir_ratelimit::{
    Algorithm, Bucket, Limit, Local, Nanos, Rate, Secret, Window,
    redis::{Mode, OnFailure, Options, Servers, Shared, SharedLimit},
};

const SECOND: Duration = Duration::from_secs(1);
const KEYS: u32 = 100_000;
const LENGTH: Duration = Duration::from_secs(2);

/// A server of this benchmark's own, killed with it.
struct Server {
    child: Child,
    folder: PathBuf,
    url: String,
}

impl Server {
    /// What it has had of a processor.
    fn on_processor(&self) -> Duration {
        on_processor(&self.child.id().to_string())
    }

    fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let folder = env::temp_dir().join(format!("weir-bench-redis-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let child = Command::new("redis-server")
            .args(["--port", &free.port().to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(&folder)
            .args(["--save", "", "--appendonly", "no", "--loglevel", "warning"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, folder, url: format!("redis://{free}") };
        while TcpStream::connect(free).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A store, its limits, and the time by its clock.
struct Gateway {
    servers: Arc<Servers>,
    shared: Shared,
    limits: Vec<SharedLimit>,
    began: Instant,
}

impl Gateway {
    fn new(server: &Server, limits: Vec<SharedLimit>) -> Self {
        let options =
            Options { urls: vec![server.url.clone()], timeout: 10 * SECOND, ..Options::default() };
        let servers = Arc::new(Servers::new(options).unwrap());
        let local = Arc::new(Local::new(KEYS as usize));
        let shared = Shared::new(Arc::clone(&servers), local, fastrand::Rng::with_seed(1));
        Self { servers, shared, limits, began: Instant::now() }
    }

    async fn ask(&self, client: u32) -> bool {
        let ask =
            |limit: &'_ SharedLimit| limit.limit().hasher().part(&client.to_le_bytes()).finish();
        let keys: Vec<_> = self.limits.iter().map(ask).collect();
        let pairs = self.limits.iter().zip(keys);
        let asks: Vec<_> = pairs.map(|(limit, key)| limit.ask(key, None)).collect();
        let now = Nanos::from(SECOND + self.began.elapsed());
        self.shared.check(&asks, 3, now).await.verdict.allowed()
    }
}

fn bucket(name: &str, rate: u64, burst: u64, mode: Mode) -> SharedLimit {
    let bucket = Bucket::new(Rate::new(rate, SECOND).unwrap(), burst).unwrap();
    shared(name, Algorithm::TokenBucket(bucket)).with_mode(mode)
}

fn shared(name: &str, algorithm: Algorithm) -> SharedLimit {
    let limit = Limit::new(&Secret::new([7; 16]), "bench", name, algorithm);
    SharedLimit::new(limit, OnFailure::Deny).unwrap().unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build_local(Default::default()).unwrap().block_on(future)
}

/// What a thread has had of a processor.
fn on_processor(thread: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{thread}/schedstat")).unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0))
}

/// The clock, and what this thread and the server have had of a processor.
struct Since<'s> {
    server: &'s Server,
    time: Instant,
    here: Duration,
    there: Duration,
}

impl<'s> Since<'s> {
    fn now(server: &'s Server) -> Self {
        let (here, there) = (on_processor("thread-self"), server.on_processor());
        Self { server, time: Instant::now(), here, there }
    }

    fn report(&self, name: &str, in_flight: usize, asked: u64) {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / asked as f64;
        let rate = asked as f64 / self.time.elapsed().as_secs_f64();
        let here = each(on_processor("thread-self") - self.here);
        let there = each(self.server.on_processor() - self.there);
        println!(
            "{name:<20} {in_flight:>4} in flight {rate:>9.0} /s {here:>6.2} us here, \
             {there:>6.2} us there"
        );
    }
}

/// Decisions a second with so many in flight, and the processor time of each.
fn speed(server: &Server, name: &str, gateway: &Gateway, in_flight: usize, clients: u32) {
    let asked = Cell::new(0_u64);
    run(async {
        // The way there, and the script, are not what is measured.
        gateway.ask(0).await;
        let since = Since::now(server);
        let began = since.time;
        let client = |i: usize| {
            let asked = &asked;
            async move {
                let mut rng = fastrand::Rng::with_seed(i as u64);
                while began.elapsed() < LENGTH {
                    assert!(gateway.ask(rng.u32(0..clients)).await);
                    asked.set(asked.get() + 1);
                    if clients == 1 {
                        // Nothing to wait for: the others have a turn all the same.
                        tokio::task::yield_now().await;
                    }
                }
            }
        };
        join_all((0..in_flight).map(client)).await;
        since.report(name, in_flight, asked.get());
    });
}

/// The same for a script that does nothing, by the client alone: what the way there and back costs.
fn nothing(server: &Server, in_flight: usize) {
    let asked = Cell::new(0_u64);
    run(async {
        let client = redis::Client::open(&*server.url).unwrap();
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(10 * SECOND))
            .set_response_timeout(Some(10 * SECOND));
        let connection = client.get_multiplexed_async_connection_with_config(&patient);
        let connection = connection.await.unwrap();
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg("return 1");
        let name: String = load.query_async(&mut connection.clone()).await.unwrap();
        let since = Since::now(server);
        let began = since.time;
        let client = |_| {
            let (asked, name, mut connection) = (&asked, &name, connection.clone());
            async move {
                while began.elapsed() < LENGTH {
                    let mut call = redis::cmd("EVALSHA");
                    call.arg(name).arg(0);
                    let _: i64 = call.query_async(&mut connection).await.unwrap();
                    asked.set(asked.get() + 1);
                }
            }
        };
        join_all((0..in_flight).map(client)).await;
        since.report("the client alone", in_flight, asked.get());
    });
}

/// Calls at a steady overload of one key: three times its rate, from three gateways.
fn calls(server: &Server, mode: Mode) -> (u64, u64) {
    let name = format!("overload {mode:?}");
    let gateways: Vec<_> =
        (0..3).map(|_| Gateway::new(server, vec![bucket(&name, 1_000, 200, mode)])).collect();
    let allowed = Cell::new(0);
    run(async {
        let began = Instant::now();
        let client = |i: u64| {
            let (gateway, allowed) = (&gateways[i as usize % 3], &allowed);
            async move {
                let passes = gateway.ask(0).await;
                allowed.set(allowed.get() + u64::from(passes));
            }
        };
        let mut sent = 0_u64;
        while began.elapsed() < LENGTH {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let due = (began.elapsed().as_secs_f64() * 3_000.0) as u64;
            join_all((sent..due).map(client)).await;
            sent = due;
        }
    });
    let calls = gateways.iter().map(|gateway| gateway.servers.counters().answered()).sum();
    (calls, allowed.get())
}

fn main() {
    let server = Server::start();
    let million = 1_000_000;
    nothing(&server, 64);
    let one = || bucket("one", million, million, Mode::Exact);
    for in_flight in [1, 16, 64, 256] {
        let gateway = Gateway::new(&server, vec![one()]);
        speed(&server, "token bucket", &gateway, in_flight, KEYS);
    }
    let window = Window::new(million, SECOND).unwrap();
    let window = shared("window", Algorithm::SlidingWindow(window));
    speed(&server, "sliding window", &Gateway::new(&server, vec![window]), 64, KEYS);
    let three = vec![
        one(),
        bucket("two", million, million, Mode::Exact),
        bucket("three", million, million, Mode::Exact),
    ];
    speed(&server, "three token buckets", &Gateway::new(&server, three), 64, KEYS);
    let leased = bucket("leased", million, million, Mode::Leased);
    speed(&server, "leased, one key", &Gateway::new(&server, vec![leased]), 64, 1);
    let ((exact, of), (leased, lent)) = (calls(&server, Mode::Exact), calls(&server, Mode::Leased));
    let times = exact as f64 / leased as f64;
    println!(
        "steady overload, 3 gateways: {exact} calls exact ({of} admitted), {leased} leased \
         ({lent} admitted): {times:.1} times fewer"
    );
}
