//! The Python packages that tests use, in an environment of their own below `target`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    process::{announce, output, root, run},
    tools,
};

/// What to install, every version pinned.
const REQUIREMENTS: &str = "gateway/tests/scenarios/h3_aioquic/requirements.txt";

/// What makes an environment from Debian's Python, which leaves parts of itself out.
const DEBIAN: &[&str] = &["python3", "python3-venv"];

/// Makes the environment where it is missing or of other versions.
///
/// Tests look for it in `python` of the target folder and fail without it.
pub(crate) fn ensure() -> Result<(), String> {
    let requirements = root().join(REQUIREMENTS);
    let wanted = fs::read_to_string(&requirements).map_err(|e| format!("{REQUIREMENTS}: {e}"))?;
    let home = home();
    // Written last, so that it stands for all of them.
    let installed = home.join("installed.txt");
    let python = home.join("bin/python3");
    let same = fs::read_to_string(&installed).is_ok_and(|text| text == wanted);
    if same && output(Command::new(&python).args(["-c", "import aioquic, wsproto"])).is_ok() {
        return Ok(());
    }
    make(&home)?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--only-binary=:all:"]);
    pip.arg("-r").arg(&requirements);
    run(pip)?;
    fs::write(&installed, wanted).map_err(|e| format!("{}: {e}", installed.display()))
}

/// Where tests look for the environment.
fn home() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    target.join("python")
}

/// An empty environment with pip, by whichever Python can make one.
fn make(home: &Path) -> Result<(), String> {
    announce("python3 -m venv");
    let venv = |python: &str| {
        output(Command::new(python).args(["-m", "venv", "--clear"]).arg(home)).map(drop)
    };
    venv("python3").or_else(|_| {
        tools::install_debian(DEBIAN)?;
        // Another Python may stand before Debian's on the search path.
        venv("/usr/bin/python3")
    })
}
