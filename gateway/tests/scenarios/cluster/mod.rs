//! Gateways and agents as processes on loopback addresses: instances come, are killed and restart,
//! the network parts, and no request fails.

mod agents;
mod changes;
mod clients;
mod partition;
mod process;
mod relay;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use self::{clients::owner, process::Process};
use crate::support::gateway::{Gateway, Setup, free_port};

/// How long members may take to agree on a machine that has other things to do.
const AGREEMENT: Duration = Duration::from_secs(60);

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// Where a member speaks and where others reach it.
#[derive(Debug, Clone, Copy)]
struct Place {
    bind: SocketAddr,
    advertise: SocketAddr,
}

impl Place {
    /// One address for both.
    fn direct() -> Self {
        let bind = address();
        Self { bind, advertise: bind }
    }
}

/// A gateway that takes the instances of `api` from the membership.
fn gateway(number: usize, place: Place, seeds: &[SocketAddr]) -> Gateway {
    let Place { bind, advertise } = place;
    let seeds: Vec<String> = seeds.iter().map(|seed| format!("\"{seed}\"")).collect();
    let seeds = seeds.join(", ");
    let mut gateway = Setup::yaml(&format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         log: {{ access: off }}\ntimeouts: {{ drain: 2s }}\n\
         membership: {{ bind: \"{bind}\", advertise: \"{advertise}\", name: edge-{number}, \
         seeds: [{seeds}] }}\nupstreams:\n  api:\n    discovery: {{ members: api }}\n    \
         balance: {{ rendezvous: {{ key: \"header:x-user-id\" }} }}\nroutes:\n  \
         - {{ match: {{ path: \"/**\" }}, to: api, retry: 3 }}\n"
    ))
    .start();
    gateway.farewell = rustix::process::Signal::INT;
    gateway
}

/// An instance: an agent that runs a `weir` which answers with its name.
struct Instance {
    name: String,
    at: SocketAddr,
    place: Place,
    seeds: Vec<SocketAddr>,
    folder: TempDir,
    process: Process,
}

impl Instance {
    /// The one with this number, at a loopback address of its own.
    fn start(number: usize, place: Place, seeds: &[SocketAddr]) -> Self {
        let last = u8::try_from(number + 11).unwrap();
        let at = SocketAddr::from(([127, 0, 0, last], free_port()));
        let name = format!("api-{number}");
        let folder = TempDir::new().unwrap();
        let file = format!(
            "workers: 1\nadmin: off\nlisteners: [\"{at}\"]\nlog: {{ access: off }}\n\
             timeouts: {{ drain: 2s }}\n\
             routes:\n  - name: me\n    match: {{ path: \"/**\" }}\n    \
             respond: {{ status: 200, body: {name} }}\n"
        );
        std::fs::write(folder.path().join("weir.yaml"), file).unwrap();
        let process = launch(&name, at, place, seeds, &folder);
        Self { name, at, place, seeds: seeds.to_vec(), folder, process }
    }

    /// Ends as told to, and begins again as who it was.
    fn begin_again(&mut self) {
        self.process = launch(&self.name, self.at, self.place, &self.seeds, &self.folder);
    }
}

fn launch(
    name: &str,
    at: SocketAddr,
    place: Place,
    seeds: &[SocketAddr],
    folder: &TempDir,
) -> Process {
    let file = folder.path().join("weir.yaml").display().to_string();
    let (at, bind, advertise) =
        (at.to_string(), place.bind.to_string(), place.advertise.to_string());
    let mut line = vec!["agent", "--service", "api", "--address", &at, "--name", name];
    line.extend(["--bind", &bind, "--advertise", &advertise]);
    let seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
    line.extend(seeds.iter().flat_map(|seed| ["--seed", seed]));
    line.extend(["--check-path", "/healthz", "--", env!("CARGO_BIN_EXE_weir"), "run", "-c", &file]);
    Process::start(&line)
}

/// The instances that a gateway sends requests to.
fn endpoints(gateway: &Gateway) -> BTreeSet<String> {
    let upstreams = gateway.admin("GET", "/upstreams").json();
    let endpoints = upstreams["upstreams"][0]["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints.iter().filter_map(|e| e["name"].as_str().map(str::to_owned)).collect()
}

fn names<'a>(instances: impl IntoIterator<Item = &'a Instance>) -> BTreeSet<String> {
    instances.into_iter().map(|instance| instance.name.clone()).collect()
}

/// Waits until each gateway has exactly these; from the first that has to the last, and in all.
fn settle(gateways: &[&Gateway], wanted: &BTreeSet<String>) -> (Duration, Duration) {
    let began = Instant::now();
    let mut when = vec![None; gateways.len()];
    while when.iter().any(Option::is_none) {
        for (gateway, when) in gateways.iter().zip(&mut when) {
            let has = endpoints(gateway);
            if has == *wanted {
                when.get_or_insert_with(|| began.elapsed());
            }
            let late = began.elapsed() > AGREEMENT;
            assert!(!late, "{has:?} instead of {wanted:?}\n{}", gateway.log());
        }
        thread::sleep(Duration::from_millis(20));
    }
    let times = || when.iter().flatten().copied();
    let (first, last) = (times().min().unwrap(), times().max().unwrap());
    (last - first, last)
}

/// Asks every gateway who has each of so many keys, until all say the same; how long they did not.
/// A gateway that has just met a member again may ask it less at first.
fn agree(gateways: &[&Gateway], keys: usize) -> Duration {
    let began = Instant::now();
    loop {
        let asked_after = began.elapsed();
        let asked = ask(gateways, keys);
        let differ = (0..keys).filter(|&key| asked.iter().any(|by| by[key] != asked[0][key]));
        let differ: Vec<usize> = differ.collect();
        if differ.is_empty() {
            let owners: BTreeSet<&String> = asked[0].iter().collect();
            println!("agreed on {keys} keys of {} after {asked_after:?}", owners.len());
            return asked_after;
        }
        println!("gateways differ on {} keys after {asked_after:?}", differ.len());
        assert!(asked_after < AGREEMENT, "gateways disagree on {} keys: {differ:?}", differ.len());
    }
}

/// For each gateway who has which key.
fn ask(gateways: &[&Gateway], keys: usize) -> Vec<Vec<String>> {
    thread::scope(|scope| {
        let ask = |gateway: &Gateway| {
            let at = gateway.listen;
            scope.spawn(move || {
                let mut client = None;
                (0..keys).map(|key| owner(at, &mut client, key).unwrap()).collect()
            })
        };
        let threads: Vec<_> = gateways.iter().map(|gateway| ask(gateway)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
