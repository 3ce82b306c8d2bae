//! The shared store against real Redis servers, well and otherwise.
#![allow(clippy::unwrap_used, reason = "a test that cannot begin has failed")]
#![allow(clippy::print_stdout, reason = "a test says what it skips and what it measured")]
#![allow(clippy::disallowed_methods, reason = "these tests are about real time")]

mod algorithms;
mod cluster;
mod exactness;
mod failures;
mod leased;
mod odd;
mod patience;
mod runner;
mod server;
mod under_way;

use std::{
    cell::RefCell,
    future::Future,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use weir_ratelimit::{
    Algorithm, Bucket, Key, Limit, Local, Nanos, Rate, Secret,
    redis::{OnFailure, Options, Outcome, Servers, Shared, SharedLimit},
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A store and its limits, as one worker of a gateway has them.
pub(crate) struct Gateway {
    pub(crate) servers: Arc<Servers>,
    pub(crate) shared: Shared,
    pub(crate) limits: Vec<SharedLimit>,
    began: Instant,
}

/// `rate` a second with a burst of `burst`.
pub(crate) fn limit(name: &str, rate: u64, burst: u64, on_failure: OnFailure) -> SharedLimit {
    let bucket = Bucket::new(Rate::new(rate, SECOND).unwrap(), burst).unwrap();
    let secret = Secret::new([7; 16]);
    let limit = Limit::new(&secret, "tests", name, Algorithm::TokenBucket(bucket));
    SharedLimit::new(limit, on_failure).unwrap().unwrap()
}

/// The same, of which nothing is earned while a test runs.
pub(crate) fn still(name: &str, burst: u64, on_failure: OnFailure) -> SharedLimit {
    let bucket = Bucket::new(Rate::new(1, 1_000 * SECOND).unwrap(), burst).unwrap();
    let secret = Secret::new([7; 16]);
    let limit = Limit::new(&secret, "tests", name, Algorithm::TokenBucket(bucket));
    SharedLimit::new(limit, on_failure).unwrap().unwrap()
}

/// Long enough for a machine with much else to do.
pub(crate) fn patient(urls: &[String]) -> Options {
    Options { urls: urls.to_vec(), timeout: SECOND, ..Options::default() }
}

impl Gateway {
    pub(crate) fn new(options: Options, limits: Vec<SharedLimit>, began: Instant) -> Self {
        let servers = Arc::new(Servers::new(options).unwrap());
        Self::beside(servers, limits, began)
    }

    pub(crate) fn beside(servers: Arc<Servers>, limits: Vec<SharedLimit>, began: Instant) -> Self {
        let local = Arc::new(Local::new(100_000));
        let rng = fastrand::Rng::with_seed(1);
        let shared = Shared::new(Arc::clone(&servers), local, rng);
        Self { servers, shared, limits, began }
    }

    pub(crate) fn now(&self) -> Nanos {
        Nanos::from(SECOND + self.began.elapsed())
    }

    /// One key per limit, for a client of this name.
    pub(crate) fn keys(&self, client: &str) -> Vec<Key> {
        let key = |limit: &SharedLimit| limit.limit().hasher().part(client.as_bytes()).finish();
        self.limits.iter().map(key).collect()
    }

    pub(crate) async fn ask(&self, client: &str) -> Outcome {
        self.ask_one_of(1, client).await
    }

    /// As one of so many gateways.
    pub(crate) async fn ask_one_of(&self, members: u32, client: &str) -> Outcome {
        let keys = self.keys(client);
        let pairs = self.limits.iter().zip(keys);
        let asks: Vec<_> = pairs.map(|(limit, key)| limit.ask(key, None)).collect();
        self.shared.check(&asks, members, self.now()).await
    }
}

/// Runs `future` as a worker does: on one thread.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build_local(Default::default()).unwrap().block_on(future)
}

/// Lets `clients` ask again and again until `length` is over; how long each took, and the outcome.
pub(crate) async fn load(
    gateway: &Rc<Gateway>,
    clients: usize,
    length: Duration,
    between: Duration,
) -> Vec<(Duration, Outcome)> {
    let results = Rc::new(RefCell::new(Vec::new()));
    let end = Instant::now() + length;
    let clients = (0..clients).map(|_| {
        let (gateway, results) = (Rc::clone(gateway), Rc::clone(&results));
        async move {
            while Instant::now() < end {
                let began = Instant::now();
                let outcome = gateway.ask("client").await;
                results.borrow_mut().push((began.elapsed(), outcome));
                tokio::time::sleep(between).await;
            }
        }
    });
    futures_util::future::join_all(clients).await;
    Rc::into_inner(results).unwrap().into_inner()
}
