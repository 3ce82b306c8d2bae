//! The `weir` binary.

use std::{path::PathBuf, process::ExitCode};

use weir_gateway::app::{self, Source};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let path = std::env::args().nth(3).unwrap_or_else(|| "weir.yaml".into());
    app::run(Source::File(PathBuf::from(path)))
}
