//! Clients that ask for one key after the other at every gateway.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::support::{client::Client, gateway::Gateway};

/// Who answers for a key, over a connection that is kept.
pub(super) fn owner(
    gateway: SocketAddr,
    kept: &mut Option<Client>,
    key: usize,
) -> Result<String, String> {
    let head = format!("GET /who HTTP/1.1\r\nHost: api\r\nx-user-id: user-{key}\r\n\r\n");
    // A kept connection may close before its next request arrives: then it is sent once more.
    let again = kept.is_some();
    let mut client = match kept.take() {
        Some(client) => client,
        None => Client::try_connect(gateway).map_err(|error| error.to_string())?,
    };
    match client.send(head.as_bytes()).answer("GET") {
        Ok(answer) if answer.status == 200 => {
            if !answer.field("connection").is_some_and(|value| value.contains("close")) {
                *kept = Some(client);
            }
            Ok(answer.text())
        }
        Ok(answer) => Err(format!("{answer:?}")),
        Err(_) if again => owner(gateway, kept, key),
        Err(error) => Err(error.to_string()),
    }
}

/// Clients under way.
pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Starts one for each gateway, with a pause between its requests.
    pub(super) fn start(gateways: &[&Gateway], pause: Duration) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let failures = Arc::new(Mutex::new(Vec::new()));
        let client = |gateway: &&Gateway| {
            let (at, stop, done) = (gateway.listen, Arc::clone(&stop), Arc::clone(&done));
            let failures = Arc::clone(&failures);
            thread::spawn(move || {
                let mut kept = None;
                for key in (0..1000).cycle() {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    match owner(at, &mut kept, key) {
                        Ok(_) => drop(done.fetch_add(1, Ordering::AcqRel)),
                        Err(why) => failures.lock().unwrap().push(why),
                    }
                    thread::sleep(pause);
                }
            })
        };
        let threads = gateways.iter().map(client).collect();
        Self { stop, done, failures, threads }
    }

    /// Stops, and gives the requests answered; panics when any failed.
    pub(super) fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let failures = self.failures.lock().unwrap();
        let (count, first) = (failures.len(), failures.first());
        assert!(failures.is_empty(), "{count} requests failed, such as {first:?}");
        self.done.load(Ordering::Acquire)
    }
}
