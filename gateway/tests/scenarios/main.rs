//! Black-box scenarios: the `weir` binary over real sockets, between real clients and real origins.
//!
//! One binary for all of them (it links once); `cargo nextest run -p weir-gateway smuggling::` runs
//! one suite. Each test starts its own gateway on loopback and asserts, when it ends, that the
//! gateway exits with 0 after SIGTERM and wrote no panic.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![allow(clippy::disallowed_methods, reason = "tests live in real time")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod auth;
mod cache;
mod cluster;
mod connect;
mod discovery;
mod files;
mod h3;
mod h3_aioquic;
mod h3_raw;
mod http2;
mod idempotency;
mod limits;
mod lossy;
mod matrix;
mod membership;
mod operations;
mod resilience;
mod scripts;
mod slow;
mod smuggling;
mod streams;
mod support;
mod syscalls;
mod traffic;
mod upstreams;
mod web;
