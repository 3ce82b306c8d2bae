//! Keys that gateways share over Redis. Without redis-server on the machine these say so and pass.

mod crowd;
mod lost;
mod store;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::{ALICE, ask};
use crate::support::{
    answer::Answer,
    client::Client,
    gateway::{Gateway, Setup},
    origin::Origin,
    redis::Server,
};

/// How often each target was run.
type Runs = Arc<Mutex<HashMap<String, usize>>>;

/// A backend that counts executions, and takes so long for each.
fn backend(length: Duration) -> (Origin, Runs) {
    let runs = Runs::default();
    let counted = Arc::clone(&runs);
    let origin = Origin::start(move |x| {
        x.read_body()?;
        let target = x.target().to_owned();
        let number = {
            let mut runs = counted.lock().unwrap();
            let number = runs.entry(target.clone()).or_default();
            *number += 1;
            *number
        };
        thread::sleep(length);
        x.reply(201, "", &format!("{target} run {number}"))
    });
    (origin, runs)
}

/// One of the gateways before `origin`; all have the same keys.
fn gateway(origin: &Origin, server: &Server, keys: &str) -> Gateway {
    let top = format!("redis: {{ url: \"{}\", timeout: 2s }}", server.url());
    let route = format!("name: api, idempotency: {{ store: redis, {keys} }}");
    Setup::to(&[origin.address]).top(&top).route(&route).start()
}

/// Alice's POST to `target`, which is its key as well.
fn pay(client: &mut Client, target: &str) -> Answer {
    ask(client, target, &fields(target), "x")
}

fn fields(target: &str) -> String {
    format!("{ALICE}Idempotency-Key: {}\r\n", target.trim_start_matches('/'))
}

/// The one rule: nothing ran twice.
fn assert_single(runs: &Runs) {
    let twice: Vec<_> = runs
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, n)| **n > 1)
        .map(|(k, n)| (k.clone(), *n))
        .collect();
    assert!(twice.is_empty(), "{twice:?}");
}
