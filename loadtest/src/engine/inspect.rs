//! Telling what a test would run with, without running it.

use serde_json::json;

use super::{
    read::read,
    run::{Failed, Invocation, block_on},
};
use crate::{
    executor::{Plan, requirements},
    exit::Exit,
    options::format_duration,
    vm::console,
};

/// Prints the options of a test as JSON; with `requirements`, also how many VUs it needs and how
/// long it takes at most.
pub fn inspect(invocation: &Invocation, requirements: bool) -> Exit {
    block_on(tell(invocation, requirements))
}

async fn tell(invocation: &Invocation, is_asked: bool) -> Result<Exit, Failed> {
    let options = read(invocation).await?.options;
    for warning in &options.warnings {
        console::write("warn", warning);
    }
    let mut told = options.consolidated.clone();
    if is_asked {
        let plans: Vec<Plan> = options.scenarios.iter().map(Plan::new).collect();
        let needed = requirements(&plans);
        told["maxVUs"] = json!(needed.vus_most);
        told["totalDuration"] = json!(format_duration(needed.duration));
    }
    console::print(&format!("{told:#}\n"));
    Ok(Exit::Passed)
}
