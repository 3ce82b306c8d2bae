//! Weir: an L7 service gateway. The binary is a thin shell over this library.

pub mod listen;
pub mod pem;
pub mod upstream;
pub mod watch;
