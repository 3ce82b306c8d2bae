//! A Redis server of a test's own.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::gateway::{free_port, stop_process};

/// A running server; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    /// Starts one; `None` (said on stdout) where Redis is not installed.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        Self::start_on(free_port(), arguments)
    }

    /// Starts one on `port`.
    pub(crate) fn start_on(port: u16, arguments: &[&str]) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let spawned = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(folder.path())
            .args(["--save", "", "--appendonly", "no", "--loglevel", "warning"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = spawned else {
            println!("skipped: redis-server is not installed");
            return None;
        };
        let mut server = Self { child, port, _folder: folder };
        for _ in 0..500 {
            assert!(server.child.try_wait().unwrap().is_none(), "it ended at once");
            let said = server.try_ask("PING").unwrap_or_default();
            if said.contains("PONG") || said.contains("NOAUTH") {
                return Some(server);
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("redis-server does not answer");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends one command and returns the beginning of what it says.
    pub(crate) fn ask(&self, line: &str) -> String {
        self.try_ask(line).unwrap()
    }

    fn try_ask(&self, line: &str) -> Option<String> {
        let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port))).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
        let mut said = vec![0; 65_536];
        let length = stream.read(&mut said).ok()?;
        Some(String::from_utf8_lossy(&said[..length]).into_owned())
    }

    /// The names of the keys that it holds for gateways.
    pub(crate) fn keys(&self) -> Vec<String> {
        let said = self.ask("KEYS weir:*");
        said.lines().filter(|line| line.starts_with("weir:")).map(str::to_owned).collect()
    }

    /// How often a script has been run.
    pub(crate) fn calls(&self) -> u64 {
        let said = self.ask("INFO commandstats");
        let calls = |name: &str| {
            let rest = said.split(&format!("cmdstat_{name}:calls=")).nth(1)?;
            rest.split(',').next()?.parse::<u64>().ok()
        };
        calls("evalsha").unwrap_or(0) + calls("eval").unwrap_or(0)
    }

    /// Stops it, and returns when it stands; `Signal::CONT` wakes it.
    pub(crate) fn pause(&self) {
        stop_process(self.child.id());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
