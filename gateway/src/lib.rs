//! Weir: an L7 service gateway. The binary is a thin shell over this library.

pub mod admin;
pub mod admission;
mod agent;
pub mod app;
mod base64;
mod cache;
pub mod cli;
pub mod clock;
pub mod discover;
pub mod error;
pub mod h3;
pub mod http;
pub mod idempotency;
pub mod limit;
pub mod listen;
mod pause;
pub mod pem;
pub mod policy;
mod quic;
pub mod route;
pub mod snapshot;
mod task;
pub mod telemetry;
pub mod timers;
pub mod upstream;
pub mod watch;
mod worker;
