//! Weir: an L7 service gateway. The binary is a thin shell over this library.

pub mod clock;
pub mod telemetry;
pub mod timers;
pub mod upstream;
