//! Ordinary clients under way, and what failed for them.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::support::{answer::End, client::Client};

/// Clients that send one request after the other until told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `count` clients, each with a pause between its requests.
    pub(crate) fn start(address: SocketAddr, count: usize, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        let failures = Arc::new(Mutex::new(Vec::new()));
        let clients = (0..count)
            .map(|_| {
                let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
                let failures = Arc::clone(&failures);
                thread::spawn(move || {
                    let mut connection: Option<Client> = None;
                    while !stop.load(Ordering::Acquire) {
                        match one(address, &mut connection) {
                            Ok(true) => done.fetch_add(1, Ordering::AcqRel),
                            Ok(false) => return,
                            Err(why) => {
                                failures.lock().unwrap().push(why);
                                connection = None;
                                0
                            }
                        };
                        thread::sleep(pause);
                    }
                })
            })
            .collect();
        Self { stop, done, failures, clients }
    }

    /// Requests answered so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Stops, and gives the requests answered; panics when any failed.
    pub(crate) fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        for client in self.clients {
            client.join().unwrap();
        }
        let failures = self.failures.lock().unwrap();
        let count = failures.len();
        let first: Vec<&String> = failures.iter().take(5).collect();
        assert!(failures.is_empty(), "{count} requests failed, such as {first:?}");
        self.done.load(Ordering::Acquire)
    }
}

/// One request; false when nobody listens any more.
fn one(address: SocketAddr, connection: &mut Option<Client>) -> Result<bool, String> {
    // A kept connection may close before its next request arrives; then a client asks once more.
    if let Some(client) = connection.as_mut() {
        match client.get("/load") {
            Ok(answer) if answer.status == 200 && answer.end == End::Complete => {
                if answer.field("connection").is_some_and(|c| c.contains("close")) {
                    *connection = None;
                }
                return Ok(true);
            }
            Ok(answer) => return Err(format!("{answer:?}")),
            Err(_) => *connection = None,
        }
    }
    let Ok(mut client) = Client::try_connect(address) else { return Ok(false) };
    match client.get("/load") {
        Ok(answer) if answer.status == 200 && answer.end == End::Complete => {
            if !answer.field("connection").is_some_and(|c| c.contains("close")) {
                *connection = Some(client);
            }
            Ok(true)
        }
        other => Err(format!("on a new connection: {other:?}")),
    }
}
