//! How many system calls a process makes, counted by the kernel while it runs undisturbed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::process::find;

/// Until perf has surely attached.
const ATTACH: Duration = Duration::from_millis(500);

/// A count under way.
#[derive(Debug)]
pub(super) struct Counter {
    perf: Child,
    file: PathBuf,
}

impl Counter {
    /// Starts to count the calls of process `pid`; `None` where there is no perf.
    pub(super) fn attach(pid: u32, folder: &Path) -> Option<Self> {
        let file = folder.join("calls.csv");
        let mut command = Command::new(find("perf")?);
        command.args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", &pid.to_string(), "-o"]);
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let perf = command.spawn().ok()?;
        thread::sleep(ATTACH);
        Some(Self { perf, file })
    }

    /// Ends the count; `None` where the kernel lets nobody count.
    pub(super) fn finish(mut self) -> Option<u64> {
        let interrupt = format!("kill -INT {}", self.perf.id());
        Command::new("sh").args(["-c", &interrupt]).stderr(Stdio::null()).status().ok()?;
        self.perf.wait().ok()?;
        counted(&fs::read_to_string(&self.file).ok()?)
    }
}

/// The first field of the line that names the event.
fn counted(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perf_is_understood() {
        let said = "# started on Fri\n\n4711,,raw_syscalls:sys_enter,100,100.00,,\n";
        assert_eq!(counted(said), Some(4711));
        assert_eq!(counted("<not counted>,,raw_syscalls:sys_enter,0,100.00,,"), None);
        assert_eq!(counted(""), None);
    }
}
