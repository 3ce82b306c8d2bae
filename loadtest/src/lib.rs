//! The load tester: runs k6 scripts at a fraction of their usual cost, and measures latency from
//! the scheduled start of each iteration, so that a stall of the server shows.
//!
//! The rooms below are plain computation: they take the time as an argument and open no socket.
//! `options` turns what the script, the environment and the command line say into one checked
//! value; `executor` says when iterations begin; `metrics` counts what happened; `threshold`
//! judges it. `progress`, `summary`, `report` and `output` tell of it, and so does
//! `push`, to servers; `compare` sets two runs side by side.

mod alarm;
pub mod bench;
pub mod cli;
mod clock;
pub mod compare;
pub mod engine;
pub mod executor;
pub mod exit;
mod grpc;
mod html;
pub mod http;
pub mod metrics;
pub mod options;
pub mod output;
pub mod progress;
pub mod push;
pub mod report;
mod scenario;
mod signals;
pub mod summary;
mod task;
pub mod threshold;
mod typescript;
pub mod vm;
