//! The gateway's process: written configuration, start, stop, logs and memory.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{PATIENCE, answer::Answer, client::Client, eventually};

/// A port nobody listens on, over TCP or UDP, below the range the kernel takes for outgoing
/// connections.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = u16::try_from(std::process::id() * 64 % 21_000).unwrap();
    for _ in 0..2000 {
        let port = 10_500 + (base + NEXT.fetch_add(1, Ordering::Relaxed)) % 21_500;
        let udp = UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if udp && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// What a gateway is started with: pieces of YAML around one route, or a whole file.
#[derive(Default)]
pub(crate) struct Setup {
    endpoints: Vec<String>,
    listener: String,
    limits: String,
    timeouts: String,
    upstream: String,
    route: String,
    top: String,
    whole: Option<String>,
    env: Vec<(String, String)>,
    dir: Option<TempDir>,
    drain: Option<&'static str>,
}

impl Setup {
    /// One catch-all route to an upstream of these endpoints.
    pub(crate) fn to(endpoints: &[SocketAddr]) -> Self {
        let endpoints = endpoints.iter().map(|e| format!("\"{e}\"")).collect();
        Self { endpoints, ..Self::default() }
    }

    /// This file; `$LISTEN`, `$ADMIN` and `$DIR` are filled in.
    pub(crate) fn yaml(text: &str) -> Self {
        Self { whole: Some(text.to_owned()), ..Self::default() }
    }

    /// Keys of the listener, in flow style without braces.
    pub(crate) fn listener(mut self, keys: &str) -> Self {
        self.listener = keys.to_owned();
        self
    }

    /// Keys of `limits`.
    pub(crate) fn limits(mut self, keys: &str) -> Self {
        self.limits = keys.to_owned();
        self
    }

    /// Keys of `timeouts`.
    pub(crate) fn timeouts(mut self, keys: &str) -> Self {
        self.timeouts = keys.to_owned();
        self
    }

    /// How long its end waits for what is under way, instead of 2 s.
    pub(crate) fn drain(mut self, time: &'static str) -> Self {
        self.drain = Some(time);
        self
    }

    /// Keys of the upstream.
    pub(crate) fn upstream(mut self, keys: &str) -> Self {
        self.upstream = keys.to_owned();
        self
    }

    /// Keys of the route.
    pub(crate) fn route(mut self, keys: &str) -> Self {
        self.route = keys.to_owned();
        self
    }

    /// Lines at the top of the file.
    pub(crate) fn top(mut self, lines: &str) -> Self {
        self.top = format!("{lines}\n");
        self
    }

    /// Writes the files beside `weir.yaml` here.
    pub(crate) fn within(mut self, dir: TempDir) -> Self {
        self.dir = Some(dir);
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn text(&self) -> String {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let flow = |keys: &str| if keys.is_empty() { String::new() } else { format!(", {keys}") };
        let mut text = format!(
            "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners:\n  - {{ bind: \"$LISTEN\"{} }}\n",
            flow(&self.listener)
        );
        let drain = self.drain.unwrap_or("2s");
        text += &format!("timeouts: {{ drain: {drain}{} }}\n", flow(&self.timeouts));
        text += &self.top;
        // A machine that has other things to do makes workers late, which is no request's fault.
        text += &format!("limits: {{ lag: off{} }}\n", flow(&self.limits));
        text += &format!(
            "upstreams:\n  origin: {{ endpoints: [{}]{} }}\n",
            self.endpoints.join(", "),
            flow(&self.upstream)
        );
        text += &format!(
            "routes:\n  - {{ match: {{ path: \"/**\" }}, to: origin{} }}\n",
            flow(&self.route)
        );
        text
    }

    /// Starts the gateway and waits until it takes connections.
    pub(crate) fn start(self) -> Gateway {
        let text = self.text();
        let dir = self.dir.unwrap_or_else(|| TempDir::new().unwrap());
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = text
            .replace("$LISTEN", &listen.to_string())
            .replace("$ADMIN", &admin.to_string())
            .replace("$DIR", &dir.path().display().to_string());
        let file = dir.path().join("weir.yaml");
        fs::write(&file, &text).unwrap();
        let mut command = weir(&["run", "-c", file.to_str().unwrap()]);
        let (stderr, stdout) = (Output::new(), Output::new());
        command.stderr(stderr.stdio()).stdout(stdout.stdio());
        let child = command.envs(self.env).spawn().unwrap();
        let farewell = Signal::TERM;
        let mut gateway = Gateway {
            child,
            listen,
            admin,
            file,
            text,
            dir,
            stderr,
            stdout,
            ended: None,
            farewell,
        };
        gateway.await_ready();
        gateway
    }
}

/// Sends SIGSTOP to a process, and returns when all its threads stand.
pub(crate) fn stop_process(id: u32) {
    kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), Signal::STOP).unwrap();
    let tasks = format!("/proc/{id}/task");
    // The state follows the name, which is in parentheses; a thread may end meanwhile.
    let stands = |task: fs::DirEntry| {
        fs::read_to_string(task.path().join("stat")).map_or(true, |stat| stat.contains(") T "))
    };
    let all = || fs::read_dir(&tasks).unwrap().all(|task| stands(task.unwrap()));
    assert!(eventually(all), "it runs on after SIGSTOP");
}

/// The binary under test with both outputs piped.
pub(crate) fn weir(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running gateway; dropping it stops it and asserts a clean end.
pub(crate) struct Gateway {
    child: Child,
    /// The first listener.
    pub(crate) listen: SocketAddr,
    /// The admin listener.
    pub(crate) admin: SocketAddr,
    /// Its configuration.
    pub(crate) file: PathBuf,
    text: String,
    dir: TempDir,
    stderr: Output,
    stdout: Output,
    ended: Option<ExitStatus>,
    /// How it is told to end: SIGINT asks for less patience with balancers in front.
    pub(crate) farewell: Signal,
}

impl Gateway {
    fn await_ready(&mut self) {
        let end = Instant::now() + PATIENCE;
        let wanted = self.text.contains(&self.listen.to_string());
        let ready = || {
            self.stderr.text().contains("weir is listening")
                && (!wanted || TcpStream::connect(self.listen).is_ok())
        };
        while !ready() {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.ended = Some(status);
                panic!("gateway ended at once, {status}\n{}\n{}", self.text, self.stderr.text());
            }
            assert!(Instant::now() < end, "gateway not ready\n{}", self.stderr.text());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The directory of its files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client on a new connection to the first listener.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.listen)
    }

    /// One request to the admin listener.
    pub(crate) fn admin(&self, method: &str, path: &str) -> Answer {
        let mut client = None;
        let there = eventually(|| {
            client = Client::try_connect(self.admin).ok();
            client.is_some()
        });
        assert!(there, "no admin listener: {}", self.log());
        let mut client = client.unwrap();
        let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{length}Connection: close\r\n\r\n",
            self.admin
        );
        client.send(head.as_bytes());
        client.answer(method).expect("admin answers")
    }

    /// The counter of states that the gateway holds to be impossible, where it can be read.
    fn bugs(&self) -> Option<f64> {
        let mut client = Client::try_connect(self.admin).ok()?;
        client.send(b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let text = client.answer("GET").ok()?.text();
        let line = text.lines().find(|l| l.starts_with("weir_bugs_total"))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Stops all its threads, and returns when they stand; `Signal::CONT` wakes it.
    pub(crate) fn pause(&self) {
        stop_process(self.child.id());
    }

    /// Kills it, as a machine does that loses its power.
    pub(crate) fn kill(mut self) {
        self.farewell = Signal::KILL;
    }

    /// Waits for the process to end.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        while self.ended.is_none() && Instant::now() < end {
            self.ended = self.child.try_wait().unwrap();
            thread::sleep(Duration::from_millis(2));
        }
        self.ended
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// Processor time it took so far.
    pub(crate) fn worked(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which is in parentheses: user and system time, in hundredths.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let times = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Everything it wrote to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.text()
    }

    /// Waits for the access-log line that mentions `mark`, parsed.
    pub(crate) fn access_line(&self, mark: &str) -> serde_json::Value {
        let mut found = None;
        let there = eventually(|| {
            found = self.stdout.text().lines().find(|l| l.contains(mark)).map(str::to_owned);
            found.is_some()
        });
        assert!(there, "no access line with {mark}: {}", self.stdout.text());
        serde_json::from_str(&found.unwrap()).expect("an access line is JSON")
    }

    /// Access-log lines so far that hold `mark`.
    pub(crate) fn access_lines(&self, mark: &str) -> Vec<String> {
        self.stdout.text().lines().filter(|l| l.contains(mark)).map(str::to_owned).collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.farewell == Signal::KILL {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
            return;
        }
        if thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let log = self.stderr.text();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("gateway's last words, newest first:\n{}", tail.join("\n"));
            return;
        }
        if self.ended.is_none() {
            let bugs = self.bugs();
            assert!(bugs.is_none_or(|n| n == 0.0), "weir_bugs_total is {bugs:?}\n{}", self.log());
            self.signal(self.farewell);
            self.wait(PATIENCE);
        }
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let log = self.stderr.text();
        assert!(!log.contains("panicked at"), "the gateway panicked:\n{log}");
        let status = self.ended.expect("the gateway ends after SIGTERM");
        assert_eq!(status.code(), Some(0), "unclean end: {status}\n{log}");
    }
}

/// What the process writes: to a file, where all of it can be read as soon as it was written.
struct Output(File);

impl Output {
    fn new() -> Self {
        Self(tempfile::tempfile().unwrap())
    }

    fn stdio(&self) -> Stdio {
        self.0.try_clone().unwrap().into()
    }

    /// The whole lines so far.
    fn text(&self) -> String {
        let mut bytes = vec![0; usize::try_from(self.0.metadata().unwrap().len()).unwrap()];
        self.0.read_exact_at(&mut bytes, 0).unwrap();
        bytes.truncate(bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
