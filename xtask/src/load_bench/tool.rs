//! The tools under test, and what they are let loose on.

use std::{
    cell::Cell,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    bench::{Backends, CORE_MEASURED, CORE_OTHERS, Cpu, Server, free_port, machine, pinned},
    process::output,
};

/// What a tool has to begin all it begins.
pub(super) const WARM_UP: Duration = Duration::from_secs(2);
/// A tool that runs on after its time: oha waits for HTTP/3 to be silent.
const END_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// All that a case needs.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) backends: Backends,
    /// Questions for their counts, which they count as well.
    pub(super) asked: Cell<u64>,
    pub(super) weir_load: PathBuf,
    pub(super) weir: PathBuf,
    pub(super) k6: Option<PathBuf>,
    pub(super) oha: Option<PathBuf>,
    pub(super) wrk: Option<PathBuf>,
    pub(super) certificate: [PathBuf; 2],
    pub(super) folder: PathBuf,
    pub(super) rounds: usize,
    pub(super) seconds: u64,
}

/// A gateway of our own before the backends, for what they do not speak.
#[derive(Debug)]
pub(super) struct Front {
    /// Where HTTP/2 and HTTP/3 are spoken.
    pub(super) url: String,
    _server: Server,
}

impl Stage {
    /// The first backend.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.backends.addresses()[0])
    }

    /// Starts a gateway before the backends.
    pub(super) fn front(&self) -> Result<Front, String> {
        let [a, b] = self.backends.addresses();
        let [cert, key] = self.certificate.each_ref().map(|path| path.display());
        let port = free_port()?;
        let file = self.folder.join("front.yaml");
        let text = format!(
            "workers: 1\nadmin: off\nlog: {{ access: off, level: error }}\nlisteners:\n  - bind: \
             \"127.0.0.1:{port}\"\n    tls: {{ cert: \"{cert}\", key: \"{key}\" }}\n    \
             protocols: [h1, h2, h3]\nupstreams:\n  backend: {{ endpoints: [\"{a}\", \"{b}\"] }}\n\
             routes:\n  - {{ match: {{ path: \"/**\" }}, to: backend }}\n"
        );
        std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        let words = [&self.weir, Path::new("run"), Path::new("-c"), &file]
            .map(|word| word.display().to_string());
        let server = Server::start("front", &words, CORE_OTHERS, &[port], &self.folder)?;
        Ok(Front { url: format!("https://127.0.0.1:{port}/"), _server: server })
    }

    /// Writes a script.
    pub(super) fn script(&self, name: &str, text: &str) -> Result<String, String> {
        let file = self.folder.join(name);
        std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(file.display().to_string())
    }

    /// Machine and versions.
    pub(super) fn conditions(&self) -> String {
        let version = |path: &Option<PathBuf>, word: &str| {
            let said = output(Command::new(path.as_ref()?).arg(word)).ok()?;
            said.lines().next().map(str::to_owned)
        };
        let own = version(&Some(self.weir_load.clone()), "--version");
        let said = [own, version(&self.k6, "version"), version(&self.oha, "--version")];
        let said: Vec<String> = said.into_iter().flatten().collect();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
        format!(
            "{}; load average at the end {load}; the tool on core {CORE_MEASURED}, what it asks \
             ({}) on core {CORE_OTHERS}; {}; {} \
             rounds of {} s after {} s",
            machine(),
            self.backends.kind,
            said.join(", "),
            self.rounds,
            self.seconds,
            WARM_UP.as_secs()
        )
    }

    /// Requests that reached the backends so far, but for the questions after them.
    pub(super) fn served(&self) -> Result<u64, String> {
        let served = self.backends.served()?.total();
        self.asked.set(self.asked.get() + 2);
        Ok(served.saturating_sub(self.asked.get()))
    }
}

/// A tool that runs, and is killed when nobody waits for it any more.
pub(super) struct Tool {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Tool {
    /// Starts `words` on the measured core; what they say goes to a file.
    pub(super) fn start(stage: &Stage, name: &str, words: &[String]) -> Result<Self, String> {
        let log = stage.folder.join(format!("{name}.out"));
        let complain = |e: std::io::Error| format!("{name}: {e}");
        let out = File::create(&log).map_err(complain)?;
        let errors = out.try_clone().map_err(complain)?;
        let mut command = pinned(CORE_MEASURED, words);
        command.env("K6_NO_USAGE_REPORT", "true").stdin(Stdio::null());
        let child = command.stdout(out).stderr(errors).spawn().map_err(complain)?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// What it has used so far.
    pub(super) fn cpu(&self) -> Result<Cpu, String> {
        Cpu::read(self.child.id()).map_err(|why| format!("{} is gone: {why}", self.name))
    }

    /// Its resident memory in bytes.
    pub(super) fn resident(&self) -> Result<u64, String> {
        let file = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| format!("{file} names no VmRSS"))
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its first request: what a start takes is no request's cost.
    pub(super) fn begins(&mut self, stage: &Stage) -> Result<(), String> {
        let (before, deadline) = (stage.served()?, Instant::now() + END_MAX);
        while stage.served()? == before {
            if Instant::now() > deadline || !self.runs() {
                return Err(format!("{} sends nothing", self.name));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Waits for its end; what it said, when that is not a good one.
    pub(super) fn finish(mut self) -> Result<(), String> {
        let deadline = Instant::now() + END_MAX;
        while self.runs() {
            if Instant::now() > deadline {
                return Err(format!("{} does not end", self.name));
            }
            thread::sleep(POLL);
        }
        let status = self.child.wait().map_err(|e| format!("{}: {e}", self.name))?;
        if status.success() {
            return Ok(());
        }
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        Err(format!("{}: {status}\n{said}", self.name))
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a request cost one tool in one round, in microseconds of a processor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) total: f64,
    pub(super) user: f64,
    pub(super) system: f64,
    pub(super) per_second: f64,
}

/// Runs a tool for the time of a round and longer, and looks at what it used within it.
pub(super) fn cost(stage: &Stage, name: &str, words: &[String]) -> Result<Cost, String> {
    let mut tool = Tool::start(stage, name, words)?;
    tool.begins(stage)?;
    thread::sleep(WARM_UP);
    let (cpu, served, begun) = (tool.cpu()?, stage.served()?, Instant::now());
    thread::sleep(Duration::from_secs(stage.seconds));
    let used = tool.cpu()?.since(cpu);
    let served = stage.served()?.saturating_sub(served);
    let length = begun.elapsed().as_secs_f64();
    if name != "oha" {
        tool.finish()?;
    }
    if served < 100 {
        return Err(format!("{name} sent {served} requests in {length:.1} s"));
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / served as f64;
    let [total, user, system] = [used.total, used.user, used.system].map(each);
    Ok(Cost { total, user, system, per_second: served as f64 / length })
}
