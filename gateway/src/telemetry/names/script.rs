//! What is counted of scripts.

use super::{Kind, Metric, metric};

/// What hooks came to.
pub const SCRIPTS: Metric = metric(
    "weir_scripts_total",
    Kind::Counter,
    &["route", "upstream", "outcome"],
    "Requests of routes with a script, by what came of its hooks, and those with a key in Lua that \
     failed",
);
