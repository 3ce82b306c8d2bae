//! `cargo xtask bench`: Weir beside its peers, in processor time per request.
//!
//! Requests per second change with the machine and with whoever else uses it; the processor time
//! that one request costs hardly does. Each peer runs one worker on core 0, everything else is on
//! core 1, and rounds alternate (A B C, C B A) so that a disturbance hits everybody.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process, thread,
};

use self::{
    options::Options,
    peers::{KNOWN, Peer},
    report::Table,
    rounds::Bench,
};
use crate::{
    process::{announce, built, find, root},
    tools,
};

mod backend;
mod calls;
mod client;
mod configs;
mod load;
mod measure;
mod options;
pub(crate) mod peers;
mod report;
mod rounds;
mod scenario;
pub(crate) mod server;
mod steady;
mod streams;

pub(crate) use self::{
    backend::{Backends, RESPONDER, run as responder},
    measure::{Cpu, machine},
    server::{CORE_MEASURED, CORE_OTHERS, Server, free_port, pinned},
    steady::{STEADY, run as steady},
    streams::{STREAMS, run as streams},
};

const PAGE: &str = "docs/benchmarks.md";

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.iter().any(|word| word == "--help") {
        print!("{}", options::HELP);
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    if options.install {
        tools::ensure(tools::FOR_BENCH);
    }
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err("this needs two cores: one is measured, the other makes the load".into());
    }
    let needed = ["taskset", "wrk", "h2load"].into_iter().filter(|tool| find(tool).is_none());
    let missing: Vec<&str> = needed.collect();
    if !missing.is_empty() {
        return Err(format!("not installed: {} (see --install)", missing.join(" ")));
    }
    let peers = peers(&options)?;
    let folder = Folder::create()?;
    let bench = Bench::prepare(options, &folder.0)?;
    let mut tables = Vec::new();
    for scenario in bench.options.only.clone() {
        announce(scenario.title());
        let table = bench.table(scenario, &peers)?;
        println!("\n{}", table.markdown());
        tables.push(table);
    }
    let conditions = bench.conditions(&peers, report::foreign(&tables));
    println!("{conditions}");
    if bench.options.write {
        let tables: Vec<String> = tables.iter().map(Table::markdown).collect();
        let page = format!("{}\n{conditions}\n{}", report::INTRODUCTION, tables.join("\n"));
        fs::create_dir_all(root().join("docs")).map_err(|e| e.to_string())?;
        fs::write(root().join(PAGE), page).map_err(|e| format!("{PAGE}: {e}"))?;
        println!("wrote {PAGE}");
    }
    match tables.iter().flat_map(|table| &table.rows).filter(|row| row.fault().is_some()).count() {
        0 => Ok(()),
        void => Err(format!("void rows: {void}")),
    }
}

/// The peers to measure, Weir first: the others are compared with the first one.
fn peers(options: &Options) -> Result<Vec<Peer>, String> {
    let chosen = options.peers.clone();
    let names = chosen.unwrap_or_else(|| KNOWN.iter().map(ToString::to_string).collect());
    let weir = match &options.weir {
        Some(path) => fs::canonicalize(path).map_err(|e| format!("{}: {e}", path.display()))?,
        None if names.iter().any(|name| name == "weir") => {
            built("weir-gateway", "weir", "release")?
        }
        None => PathBuf::new(),
    };
    let mut peers = Vec::new();
    for name in &names {
        match Peer::known(name, &weir)? {
            Some(peer) => peers.push(peer),
            None => println!("{name} is not installed: left out"),
        }
    }
    peers.extend(options.extras.iter().map(Peer::extra));
    if peers.is_empty() { Err("no peer to measure".into()) } else { Ok(peers) }
}

/// A folder of our own for configurations and logs, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self, String> {
        let folder = env::temp_dir().join(format!("weir-bench-{}", process::id()));
        fs::create_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Writes a self-signed ECDSA P-256 certificate for localhost and its key.
pub(crate) fn certify(folder: &Path) -> Result<[PathBuf; 2], String> {
    let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]);
    let made = made.map_err(|e| e.to_string())?;
    let files = [folder.join("cert.pem"), folder.join("key.pem")];
    let texts = [made.cert.pem(), made.signing_key.serialize_pem()];
    for (file, text) in files.iter().zip(texts) {
        fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(files)
}
