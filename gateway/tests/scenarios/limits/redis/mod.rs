//! Limits that gateways share over Redis: several gateways, real servers, and what becomes of
//! requests while those are gone. Without redis-server on the machine these say so and pass.

mod exact;
mod members;
mod odd;
mod outage;
mod places;
mod shared;
mod tls;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::envelope::Passage;
use crate::support::{
    client::get,
    gateway::{Gateway, Setup},
    origin::Origin,
    redis::Server,
};

/// A gateway whose limits are on `url`; it waits for it as long as a loaded machine needs.
fn gateway(origin: &Origin, url: &str, route: &str) -> Gateway {
    with(origin, &format!("url: \"{url}\", timeout: 2s"), route)
}

fn with(origin: &Origin, redis: &str, route: &str) -> Gateway {
    let top = format!("redis: {{ {redis}, secret: s3 }}");
    Setup::to(&[origin.address]).top(&top).route(&format!("name: api, {route}")).start()
}

/// The value of the first metric that begins so; 0 without one.
fn metric(gateway: &Gateway, name: &str) -> f64 {
    let text = gateway.admin("GET", "/metrics").text();
    let line = text.lines().find(|line| line.starts_with(name));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Lines of the gateway's own log that say this.
fn lines(gateway: &Gateway, text: &str) -> usize {
    gateway.log().lines().filter(|line| line.contains(text)).count()
}

/// An answer as a client saw it: when it was asked for, how long that took, and its status.
type Seen = (Duration, Duration, u16);

/// Clients of several gateways, and an origin that writes down what reaches it.
struct Siege {
    began: Instant,
    origin: Origin,
    passages: Arc<Mutex<Vec<Passage>>>,
    seen: Mutex<Vec<Seen>>,
}

impl Siege {
    fn new() -> Self {
        let began = Instant::now();
        let passages = Arc::new(Mutex::new(Vec::new()));
        let ledger = Arc::clone(&passages);
        let origin = Origin::start(move |x| {
            let arrived = began.elapsed();
            let sent = x.target().trim_start_matches('/').parse().map(Duration::from_nanos);
            ledger.lock().unwrap().push((sent.unwrap(), arrived));
            x.reply(200, "", "")
        });
        Self { began, origin, passages, seen: Mutex::default() }
    }

    /// Lets so many clients ask each gateway, `pace` apart, while `on` says so of the time since
    /// the beginning; meanwhile `act`s.
    fn lay(
        &self,
        clients: &[(&Gateway, usize)],
        pace: Duration,
        on: impl Fn(Duration) -> bool + Sync,
        act: impl FnOnce(),
    ) {
        let over = AtomicBool::new(false);
        let ask = |gateway: &Gateway| {
            let mut client = gateway.client();
            while !over.load(Ordering::Relaxed) {
                let sent = self.began.elapsed();
                if on(sent) {
                    client.send(get(&format!("/{}", sent.as_nanos())).as_bytes());
                    let status = client.answer("GET").unwrap().status;
                    let took = self.began.elapsed() - sent;
                    self.seen.lock().unwrap().push((sent, took, status));
                }
                thread::sleep(pace);
            }
        };
        thread::scope(|scope| {
            for (gateway, count) in clients {
                (0..*count).for_each(|_| {
                    scope.spawn(|| ask(gateway));
                });
            }
            act();
            over.store(true, Ordering::Relaxed);
        });
    }

    fn passages(&self) -> Vec<Passage> {
        self.passages.lock().unwrap().clone()
    }

    /// What clients saw of requests that were sent in this stretch of time.
    fn seen(&self, from: Duration, until: Duration) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(sent, ..)| (from..until).contains(sent)).copied().collect()
    }
}
