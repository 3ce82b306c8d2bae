//! Starting, watching and stopping the processes under test.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::process::find;

const START_MAX: Duration = Duration::from_secs(20);
const STOP_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// The core of the process that is measured.
pub(crate) const CORE_MEASURED: &str = "0";
/// The core of everything else.
pub(crate) const CORE_OTHERS: &str = "1";

/// A running process of ours; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
}

/// `words` as a command that runs on one core only and ends when we do.
pub(crate) fn pinned(core: &str, words: &[String]) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]);
    if find("setpriv").is_some() {
        command.args(["setpriv", "--pdeathsig", "TERM"]);
    }
    command.args(words).stdin(Stdio::null());
    command
}

/// A port of this machine that nobody uses now, neither on TCP nor on UDP.
pub(crate) fn free_port() -> Result<u16, String> {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
}

impl Server {
    /// Starts `words` on `core` and waits until it accepts on all `ports`. What it prints goes to
    /// a file in `folder`.
    pub(crate) fn start(
        name: &str,
        words: &[String],
        core: &str,
        ports: &[u16],
        folder: &Path,
    ) -> Result<Self, String> {
        let complain = |e: std::io::Error| format!("{name}: {e}");
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log).map_err(complain)?;
        let errors = out.try_clone().map_err(complain)?;
        let child = pinned(core, words).stdout(out).stderr(errors).spawn().map_err(complain)?;
        let mut server = Self { name: name.to_owned(), child };
        let deadline = Instant::now() + START_MAX;
        for port in ports {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_err() {
                let ended = server.child.try_wait().map_err(complain)?;
                if ended.is_some() || Instant::now() > deadline {
                    let said = fs::read_to_string(&log).unwrap_or_default();
                    let words = words.join(" ");
                    return Err(format!("{name} did not listen on {port}: {words}\n{said}"));
                }
                thread::sleep(POLL);
            }
        }
        Ok(server)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The id of the first process that it started itself, once there is one.
    pub(super) fn child(&self) -> Result<u32, String> {
        let file = format!("/proc/{0}/task/{0}/children", self.pid());
        let deadline = Instant::now() + START_MAX;
        loop {
            let children = fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
            if let Some(child) = children.split(' ').find_map(|id| id.parse().ok()) {
                return Ok(child);
            }
            if Instant::now() > deadline {
                return Err(format!("{} started no process", self.name));
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let kill = format!("kill -TERM {}", self.child.id());
        Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().ok();
        let deadline = Instant::now() + STOP_MAX;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                eprintln!("{} did not stop when asked to; it is killed", self.name);
                self.child.kill().ok();
                self.child.wait().ok();
                return;
            }
            thread::sleep(POLL);
        }
    }
}
