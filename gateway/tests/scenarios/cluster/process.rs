//! A process of the binary whose log goes to a file.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

/// A running `weir`; dropping it kills it and what it runs.
pub(super) struct Process {
    child: Child,
    log: NamedTempFile,
}

impl Process {
    pub(super) fn start(arguments: &[&str]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let out = || Stdio::from(File::options().append(true).open(log.path()).unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(arguments).stdin(Stdio::null()).stdout(out()).stderr(out());
        let child = command.env_remove("WEIR_GOSSIP_SECRET").spawn().unwrap();
        Self { child, log }
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    pub(super) fn signal(&self, number: Signal) {
        signal(self.child.id(), number);
    }

    /// What it runs.
    pub(super) fn children(&self) -> Vec<u32> {
        let id = self.child.id();
        let list = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let list = list.unwrap_or_default();
        list.split_whitespace().map(|id| id.parse().unwrap()).collect()
    }

    /// Kills it and what it runs, as a machine does that loses its power.
    pub(super) fn kill(&mut self) {
        let children = self.children();
        let _ = self.child.kill();
        for child in children {
            signal(child, Signal::KILL);
        }
        let _ = self.child.wait();
    }

    /// Its exit code, once it has ended.
    pub(super) fn wait(&mut self, limit: Duration) -> Option<i32> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() > end {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
        if thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(6).collect();
            eprintln!("last words, newest first:\n{}", last.join("\n"));
        }
    }
}

fn signal(id: u32, number: Signal) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).unwrap();
    let _ = kill_process(id, number);
}
