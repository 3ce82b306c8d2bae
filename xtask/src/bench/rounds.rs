//! The rounds themselves: who runs when, and what is read before and after.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustls::ClientConfig;

use super::{
    backend::{BODY_BYTES, Backends, CACHED_FIELDS_LEAST},
    calls::Counter,
    certify,
    client::{self, Client},
    load::{self, Load},
    measure::{self, Cpu},
    options::Options,
    peers::{Peer, Running, Task},
    report::{Round, Row, Table},
    scenario::{Duty, Port, Scenario},
    server::CORE_MEASURED,
    steady, streams,
};
use crate::process::{find, output};

const WARM_UP: Duration = Duration::from_secs(1);
/// Length of the load whose system calls are counted.
const COUNTED: Duration = Duration::from_secs(2);
/// How long idle connections are left alone before memory is read.
const SETTLE: Duration = Duration::from_secs(3);
/// Files that we have open beside the idle connections.
const FILES_RESERVED: usize = 100;

/// Everything that a round needs to know.
pub(super) struct Bench {
    /// The command line.
    pub(super) options: Options,
    task: Task,
    backends: Backends,
    tls: Arc<ClientConfig>,
    /// The client of HTTP/3, if any scenario needs it.
    streams: Option<PathBuf>,
}

impl Bench {
    /// Makes a certificate and starts the backends.
    pub(super) fn prepare(mut options: Options, folder: &Path) -> Result<Self, String> {
        options.idle = options.idle.min(measure::files_max().saturating_sub(FILES_RESERVED));
        let [cert, key] = certify(folder)?;
        let tls = client::tls(&cert)?;
        let h3 = options.only.iter().any(|scenario| scenario.port() == Port::H3);
        let streams = h3.then(streams::build).transpose()?;
        let backends = Backends::start(folder)?;
        let task = Task { folder: folder.to_path_buf(), backends: backends.addresses(), cert, key };
        Ok(Self { options, task, backends, tls, streams })
    }

    /// Runs one scenario with those of `peers` that can.
    pub(super) fn table(&self, scenario: Scenario, peers: &[Peer]) -> Result<Table, String> {
        let (peers, others) =
            peers.iter().partition::<Vec<&Peer>, _>(|peer| peer.takes_part(scenario));
        for peer in others {
            progress(&format!("{} cannot take part: left out", peer.name));
        }
        let rows = match scenario {
            Scenario::Idle | Scenario::IdleTls => {
                let row = |peer: &&Peer| {
                    progress(&peer.name);
                    Row {
                        peer: peer.name.clone(),
                        rounds: vec![self.idle(scenario, peer)],
                        calls: None,
                    }
                };
                peers.iter().map(row).collect()
            }
            _ => self.loaded(scenario, &peers)?,
        };
        Ok(Table { scenario, rows })
    }

    fn loaded(&self, scenario: Scenario, peers: &[&Peer]) -> Result<Vec<Row>, String> {
        let mut running = Vec::new();
        for peer in peers {
            running.push(peer.start(&self.task, scenario)?);
        }
        let name = |peer: &&Peer| Row { peer: peer.name.clone(), rounds: Vec::new(), calls: None };
        let mut rows: Vec<Row> = peers.iter().map(name).collect();
        for (row, peer) in rows.iter_mut().zip(&running) {
            progress(&format!("warm-up {}", row.peer));
            let warm = self.probe(scenario, peer).and_then(|()| self.load(scenario, peer, WARM_UP));
            if let Err(why) = warm {
                row.rounds.push(Err(why));
            }
        }
        for round in 0..self.options.rounds {
            let mut order: Vec<usize> = (0..rows.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for i in order.into_iter().filter(|i| rows[*i].fault().is_none()).collect::<Vec<_>>() {
                progress(&format!("round {} {}", round + 1, rows[i].peer));
                let measured = self.round(scenario, &running[i]);
                rows[i].rounds.push(measured);
            }
        }
        for (row, peer) in rows.iter_mut().zip(&running).filter(|(row, _)| row.fault().is_none()) {
            progress(&format!("system calls {}", row.peer));
            match self.calls(scenario, peer) {
                Ok(calls) => row.calls = calls,
                Err(why) => row.rounds.push(Err(why)),
            }
        }
        Ok(rows)
    }

    /// System calls of a request, if they can be counted here; apart from the rounds, because
    /// counting costs time.
    fn calls(&self, scenario: Scenario, peer: &Running) -> Result<Option<f64>, String> {
        let Some(counter) = Counter::attach(peer.pid(), &self.task.folder) else { return Ok(None) };
        let load = self.load(scenario, peer, COUNTED)?;
        Ok(counter.finish().map(|calls| calls as f64 / load.requests as f64))
    }

    fn round(&self, scenario: Scenario, peer: &Running) -> Result<Round, String> {
        let served = self.backends.served()?;
        let (cpu, busy) = (Cpu::read(peer.pid())?, measure::busy(CORE_MEASURED)?);
        let start = Instant::now();
        let load = self.load(scenario, peer, self.options.length)?;
        let cpu = Cpu::read(peer.pid())?.since(cpu);
        let busy = measure::busy(CORE_MEASURED)?.saturating_sub(busy);
        let length = start.elapsed();
        let now = self.backends.served()?;
        match scenario.duty() {
            Duty::Cache => now.check_hits(served)?,
            _ => now.check(served, load.requests - load.denied)?,
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / load.requests as f64;
        Ok(Round {
            cpu: [each(cpu.total), each(cpu.user), each(cpu.system)],
            rate: load.rate,
            latency: load.latency,
            foreign: busy.saturating_sub(cpu.total).as_secs_f64() / length.as_secs_f64(),
            ..Round::default()
        })
    }

    fn load(&self, scenario: Scenario, peer: &Running, length: Duration) -> Result<Load, String> {
        let port = peer.port(scenario.port());
        let rate = self.options.rate;
        match scenario {
            Scenario::Rate => steady::load(port, rate, length, None),
            Scenario::RateTls => steady::load(port, rate, length, Some(&self.task.cert)),
            Scenario::H3 | Scenario::H3Large | Scenario::H3Single => {
                let client = self.streams.as_deref().ok_or("no client of HTTP/3 was built")?;
                streams::load(client, scenario, port, length, &self.task.cert)
            }
            _ => load::saturate(scenario, port, length, &self.task.folder),
        }
    }

    /// One request whose answer is looked at closely; HTTP/2 in the clear is left to the load, and
    /// HTTP/3, whose load counts every byte.
    fn probe(&self, scenario: Scenario, peer: &Running) -> Result<(), String> {
        let port = scenario.port();
        if matches!(port, Port::H2c | Port::H3) {
            return Ok(());
        }
        let mut client = Client::connect(peer.port(port), self.tls_of(port))?;
        if let Some(field) = scenario.field() {
            return match client.gets_gzip(scenario.path(), field)? {
                true => Ok(()),
                false => Err("a probe got an answer that is not compressed".into()),
            };
        }
        let answer = client.get(scenario.path())?;
        if answer.status != 200 || answer.body.len() != BODY_BYTES {
            let (status, length) = (answer.status, answer.body.len());
            return Err(format!("a probe got status {status} and {length} bytes"));
        }
        if scenario.duty() == Duty::Cache {
            // The first one may have been the miss that fills the cache.
            let fields = client.get(scenario.path())?.fields;
            if fields < CACHED_FIELDS_LEAST {
                return Err(format!("a probe got {fields} fields"));
            }
        }
        if scenario == Scenario::LimitHalf {
            // The first one passes: a limit that admits nothing at all is no limit everywhere.
            let statuses = [client.get("/shut")?.status, client.get("/shut")?.status];
            if statuses[1] != 429 {
                return Err(format!("probes that were to be denied got {statuses:?}"));
            }
        }
        Ok(())
    }

    fn tls_of(&self, port: Port) -> Option<&Arc<ClientConfig>> {
        (port == Port::Tls).then_some(&self.tls)
    }

    /// Memory of a fresh process before and with idle connections that served a request each.
    fn idle(&self, scenario: Scenario, peer: &Peer) -> Result<Round, String> {
        let peer = peer.start(&self.task, scenario)?;
        self.probe(scenario, &peer)?;
        thread::sleep(SETTLE);
        let before = measure::memory(peer.pid())?;
        let mut clients = Vec::with_capacity(self.options.idle);
        for nth in 0..self.options.idle {
            let open = || {
                let port = scenario.port();
                let mut client = Client::connect(peer.port(port), self.tls_of(port))?;
                client.get("/").map(|answer| (client, answer.status))
            };
            let (client, status) = open().map_err(|e| format!("connection {nth}: {e}"))?;
            if status != 200 {
                return Err(format!("connection {nth}: status {status}"));
            }
            clients.push(client);
        }
        thread::sleep(SETTLE);
        let after = measure::memory(peer.pid())?;
        // The connections must still be there, or their memory was not what was read.
        for (nth, client) in clients.iter_mut().enumerate().step_by(self.options.idle.div_ceil(20))
        {
            client.get("/").map_err(|e| format!("connection {nth} did not stay open: {e}"))?;
        }
        Ok(Round {
            idle_bytes: after.saturating_sub(before) as f64 / self.options.idle as f64,
            base_bytes: before as f64,
            ..Round::default()
        })
    }

    /// Machine, versions and settings, as a list.
    pub(super) fn conditions(&self, peers: &[Peer], foreign: f64) -> String {
        let Options { rounds, length, rate, idle, .. } = &self.options;
        let date = output(std::process::Command::new("date").args(["-u", "+%F"]));
        let mut text = format!(
            "- {}, {}\n- {rounds} rounds of {length:?} after {WARM_UP:?} of warm-up, in turns; \
             fixed rate {rate}/s; {idle} idle connections\n\
             - backends: {} twice, {BODY_BYTES} bytes a response\n\
             - at most {:.0} % of the measured core was used by others during a round\n",
            date.unwrap_or_default().trim(),
            measure::machine(),
            self.backends.kind,
            foreign * 100.0,
        );
        for peer in peers {
            writeln!(text, "- {}: {}", peer.name, peer.version()).ok();
        }
        for (tool, flag) in [("wrk", "-v"), ("h2load", "--version")] {
            // wrk ends with 1 after it has told its version.
            let said = find(tool)
                .and_then(|tool| std::process::Command::new(tool).arg(flag).output().ok());
            let said = said.map(|said| said.stdout).unwrap_or_default();
            let said = String::from_utf8_lossy(&said).into_owned();
            let line = said.lines().next().unwrap_or_default();
            writeln!(text, "- {tool}: {}", line.split(" Copyright").next().unwrap_or(line)).ok();
        }
        text
    }
}

fn progress(what: &str) {
    eprintln!("    {what}");
}
