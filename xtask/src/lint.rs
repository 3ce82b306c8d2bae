//! `cargo xtask lint`: what a reviewer should not have to say.

use crate::{
    process::{self, announce, cargo, find},
    supply,
};

/// Format, clippy, licences and versions; all of them, so that one run tells everything.
pub(crate) fn run() -> Result<(), String> {
    let mut outcomes = vec![
        process::run(cargo(["fmt", "--all", "--check"])),
        process::run(cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    ];
    announce("licences and banned versions of deny.toml");
    outcomes.push(supply::check());
    if find("cargo-deny").is_some() {
        // Advisories need a database from the network; what they said stands in deny.toml.
        let mut deny = cargo(["deny", "--offline", "check"]);
        deny.args(["bans", "licenses", "sources"]);
        outcomes.push(process::run(deny));
    }
    let failures: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}
