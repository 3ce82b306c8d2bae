//! Weir: an L7 service gateway. The binary is a thin shell over this library.

pub mod clock;
pub mod error;
pub mod http;
pub mod listen;
mod pause;
pub mod pem;
pub mod route;
pub mod snapshot;
mod task;
pub mod telemetry;
pub mod timers;
pub mod upstream;
mod worker;
pub mod watch;
