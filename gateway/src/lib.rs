//! Weir: an L7 service gateway. The binary is a thin shell over this library.

pub mod error;
pub mod listen;
pub mod clock;
pub mod telemetry;
pub mod timers;
pub mod upstream;
pub mod http;
pub mod route;
pub mod http;
pub mod pem;
pub mod upstream;
