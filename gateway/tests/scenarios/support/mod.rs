//! The stage: a gateway process, origins behind it, clients before it.

pub(crate) mod answer;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod exchange;
pub(crate) mod frames;
pub(crate) mod gate;
pub(crate) mod gateway;
pub(crate) mod h2_client;
pub(crate) mod h2_origin;
pub(crate) mod h2_tunnel;
pub(crate) mod h3_client;
pub(crate) mod h3_origin;
pub(crate) mod h3_outcome;
pub(crate) mod h3_raw;
pub(crate) mod h3_wire;
pub(crate) mod hpack;
pub(crate) mod lossy;
pub(crate) mod origin;
pub(crate) mod pattern;
pub(crate) mod qpack_raw;
pub(crate) mod redis;
pub(crate) mod script;
pub(crate) mod seen;

use std::time::{Duration, Instant};

/// How long anything that should happen may take on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until `condition` holds; false when [`PATIENCE`] runs out first.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Fails with every line at once, so that a table of cases shows all that is wrong.
pub(crate) fn assert_none(failures: &[String]) {
    assert!(failures.is_empty(), "{} failed:\n  {}", failures.len(), failures.join("\n  "));
}

/// What an error says; for `map_err`.
#[expect(clippy::needless_pass_by_value, reason = "map_err passes by value")]
pub(crate) fn said(error: impl ToString) -> String {
    error.to_string()
}

/// A size or duration of a test that the environment can raise: `WEIR_TEST_<NAME>`.
pub(crate) fn scaled(name: &str, short: u64) -> u64 {
    std::env::var(format!("WEIR_TEST_{name}")).ok().and_then(|v| v.parse().ok()).unwrap_or(short)
}
