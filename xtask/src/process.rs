//! Running other programs: announced before, explained when they fail.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A cargo command in the workspace, run by the same cargo that runs us.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// Builds `program` of `package` in `profile`; where it then stands.
pub(crate) fn built(package: &str, program: &str, profile: &str) -> Result<PathBuf, String> {
    run(cargo(["build", "--profile", profile, "--package", package, "--bin", program]))?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    // The one profile whose folder has another name.
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target.join(folder).join(program))
}

/// The workspace's top folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Says what comes next, so that a long run shows where it is.
pub(crate) fn announce(what: &str) {
    println!("\n==> {what}");
    io::stdout().flush().ok();
}

/// Runs `command` with its output shown; an exit code other than 0 is an error.
pub(crate) fn run(mut command: Command) -> Result<(), String> {
    let shown = shown(&command);
    announce(&shown);
    let status = command.status().map_err(|e| format!("{shown}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// Runs `command` and returns its standard output; an exit code other than 0 is an error.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let shown = shown(command);
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{shown}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{shown}: {}\n{text}{complaint}", output.status))
}

/// Runs `command`, shows both of its streams as they come, and returns their lines with whether
/// it succeeded. The two streams are read one through the shell, so that their order is kept.
pub(crate) fn tee(command: &Command) -> Result<(bool, Vec<String>), String> {
    let shown = shown(command);
    announce(&shown);
    let mut merged = Command::new("sh");
    merged.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(command.get_program());
    merged.args(command.get_args()).current_dir(root());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => merged.env(name, value),
            None => merged.env_remove(name),
        };
    }
    let mut child = merged
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{shown}: {e}"))?;
    let mut lines = Vec::new();
    if let Some(stream) = child.stdout.take() {
        for line in BufReader::new(stream).split(b'\n') {
            let line = line.map_err(|e| format!("{shown}: {e}"))?;
            let line = String::from_utf8_lossy(&line).into_owned();
            println!("{line}");
            io::stdout().flush().ok();
            lines.push(line);
        }
    }
    let status = child.wait().map_err(|e| format!("{shown}: {e}"))?;
    Ok((status.success(), lines))
}

/// Where `program` stands on the search path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let also = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(also).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
