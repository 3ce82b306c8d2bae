//! The service that an agent runs: a child in a process group of its own, so that Ctrl-C in a
//! terminal reaches the agent first, which tells the gateways before it tells the child.

use std::{
    ffi::OsString,
    io::ErrorKind,
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child as Process, Command};

use super::Failed;

/// A running service.
#[derive(Debug)]
pub(super) struct Child {
    process: Process,
    group: Option<Pid>,
}

impl Child {
    /// Runs the command.
    ///
    /// # Errors
    /// As a shell has it: 127 when there is no such program, 126 when it cannot be run.
    pub(super) fn start(command: &[OsString]) -> Result<Option<Self>, Failed> {
        let Some((program, arguments)) = command.split_first() else { return Ok(None) };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        let process = command.spawn().map_err(|error| {
            let code = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
            let program = program.to_string_lossy();
            Failed::Command(code, format!("cannot run `{program}`: {error}"))
        })?;
        let id = process.id().and_then(|id| i32::try_from(id).ok());
        let group = id.and_then(Pid::from_raw);
        tracing::info!(pid = id, "the service runs");
        Ok(Some(Self { process, group }))
    }

    /// Passes a signal on to it and to what it runs.
    pub(super) fn tell(&self, signal: Signal) {
        if let Some(group) = self.group {
            // All of them may have ended by now.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Waits for its end: its exit code, or 128 more than the signal that ended it.
    pub(super) async fn ended(&mut self) -> u8 {
        match self.process.wait().await {
            Ok(status) => code(status),
            Err(error) => {
                tracing::error!(%error, "cannot wait for the service");
                1
            }
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
