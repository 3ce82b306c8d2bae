//! `cargo xtask lint`: what a reviewer should not have to say.

use crate::{
    process::{self, announce, cargo, find},
    supply,
};

/// Format, clippy, licences and versions; the first failure ends it.
pub(crate) fn run() -> Result<(), String> {
    process::run(cargo(["fmt", "--all", "--check"]))?;
    process::run(cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    announce("licences and banned versions of deny.toml");
    supply::check()?;
    if find("cargo-deny").is_some() {
        // Advisories need a database from the network; what they said stands in deny.toml.
        process::run(cargo(["deny", "--offline", "check", "bans", "licenses", "sources"]))?;
    }
    Ok(())
}
